"""A headless Chromium before the web application, and a wire tap between the two."""

import shutil
import socket
import threading
import time
import uuid
from collections import namedtuple
from contextlib import closing, contextmanager

import psutil

CHROMIUM = shutil.which("chromium")
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}

_MIDDLE = """place => {
    const box = document.querySelector(place).getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
}"""
_SHOWN = """() => ({
    heading: document.querySelector('h1').textContent,
    token: document.querySelector('[name=token]')?.value ?? null,
    image: document.querySelector('[name=image]')?.value ?? null,
})"""

Response = namedtuple("Response", "status head body")


def launch(playwright):
    """Start a browser; return it and the process that it is."""
    mark = f"--of-these-tests={uuid.uuid4()}"
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", mark])
    processes = [child for child in psutil.Process().children(recursive=True) if mark in _arguments(child)]
    # what it has just forked looks like it for a moment, until it is another program
    return browser, min(processes, key=lambda item: item.create_time())


def _arguments(process):
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended since
        return []


def problems(page):
    """Return what is wrong with a page for people with disabilities, in light and in dark, and on a narrow phone."""
    from axe_playwright_python.sync_playwright import Axe  # here: where it is not installed, these tests are skipped

    results = []
    size = page.viewport_size
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for item in Axe().run(page).response["violations"]:
            results.append((scheme, item["id"], [node["target"] for node in item["nodes"]]))
    page.emulate_media(color_scheme="null")
    page.set_viewport_size({"width": 360, "height": 640})
    if (width := page.evaluate("document.documentElement.scrollWidth")) > 360:
        results.append(("phone", "wider than the screen", width))
    page.set_viewport_size(size)
    return results


def come_in(page, address, code):
    """Come in by keyboard."""
    page.goto(address)
    page.wait_for_function("document.activeElement.id === 'code'")
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def agree_by_keyboard(page):
    """Agree on the page of the consent, without a pointer."""
    page.wait_for_url("**/work")
    for _ in range(20):
        if page.evaluate("document.activeElement.name") == "agree":
            break
        page.keyboard.press("Tab")
    else:
        raise AssertionError(f"no Tab leads to the consent: {page.content()}")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".scripted .answer").first.wait_for()


def token(page):
    """Return what tells one showing of an image from all others."""
    return page.locator("[name=token]").get_attribute("value")


def changed(page, before):
    """Wait until the page shows, and has the image of, something else than the showing `before`."""
    page.wait_for_function(
        """before => document.querySelector('[name=token]')?.value !== before
            && [...document.images].every(image => image.complete && image.naturalWidth)""",
        arg=before,
    )


def image(page):
    """Return the id of the image that is shown."""
    return page.locator(".picture img").get_attribute("src").rpartition("/")[2]


def opinion(name, who):
    """Return the class and the confidence that somebody gives to an image; everybody another."""
    number = int(name, 16) + who
    return number % 10, ("low", "high")[number // 10 % 2]


def by_keyboard(page, chosen, confidence):
    """Answer by keys."""
    page.keyboard.press(str((chosen + 1) % 10))  # the keys are 1 to 9, then 0
    page.keyboard.press({"low": "l", "high": "ArrowRight"}[confidence])


def by_touch(page, chosen, confidence):
    """Answer by touching the screen."""
    for place in (f".choice:nth-of-type({chosen + 1})", f"button[value={confidence}]"):
        page.touchscreen.tap(*page.evaluate(_MIDDLE, place))


def work(page, who, answer, go_on):
    """Answer all that is left, one step at a time; each yields the number of images answered on this page."""
    answered, end = 0, time.monotonic() + 300
    while (shown := page.evaluate(_SHOWN))["heading"] != "Thank you":
        assert time.monotonic() < end, page.content()
        if shown["image"] is None:
            go_on(page)
            page.locator(".scripted .answer").wait_for()
            continue
        answer(page, *opinion(shown["image"], who))
        changed(page, shown["token"])
        answered += 1
        yield answered


class Tap:
    """A wire between browsers and a server: `address` is where browsers go, `responses` what they got, byte by byte."""

    def __init__(self, port):
        self._port, self._streams, self._listening = port, [], socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                browser, _ = self._listening.accept()
            except OSError:  # closed: the test is over
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._streams.append(bytearray())
            for source, sink, copy in ((browser, server, None), (server, browser, self._streams[-1])):
                threading.Thread(target=_pump, args=(source, sink, copy), daemon=True).start()

    def close(self):
        """Take no more connections."""
        self._listening.close()

    def responses(self):
        """Return all `Response`s so far: status, head as text, body as bytes."""
        return [response for stream in self._streams for response in _responses(bytes(stream))]


def _pump(source, sink, copy):
    with source, sink:
        try:
            while data := source.recv(1 << 16):
                if copy is not None:
                    copy += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one end has gone
            pass


def _responses(stream):
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        head = head.decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
        length = int(fields["content-length"])
        yield Response(int(head.split()[1]), head, rest[:length])
        stream = rest[length:]


@contextmanager
def tapped(server):
    """Yield a `Tap` of a server."""
    with closing(Tap(server.port)) as tap:
        yield tap
