"""A headless Chromium before the web application, and a wire tap between the two."""

import shutil
import socket
import threading
import uuid
from collections import namedtuple
from contextlib import closing, contextmanager

import psutil
from axe_playwright_python.sync_playwright import Axe

CHROMIUM = shutil.which("chromium")
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}

Response = namedtuple("Response", "status head body")


def launch(playwright):
    """Start a browser; return it and the process that it is."""
    mark = f"--of-these-tests={uuid.uuid4()}"
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", mark])
    processes = [child for child in psutil.Process().children(recursive=True) if mark in _arguments(child)]
    (process,) = [one for one in processes if not any(part.startswith("--type=") for part in _arguments(one))]
    return browser, process


def _arguments(process):
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended since
        return []


def problems(page):
    """Return what is wrong with a page for people with disabilities, in light and in dark, and on a narrow phone."""
    found = []
    size = page.viewport_size
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for one in Axe().run(page).response["violations"]:
            found.append((scheme, one["id"], [node["target"] for node in one["nodes"]]))
    page.emulate_media(color_scheme="null")
    page.set_viewport_size({"width": 360, "height": 640})
    if (width := page.evaluate("document.documentElement.scrollWidth")) > 360:
        found.append(("phone", "wider than the screen", width))
    page.set_viewport_size(size)
    return found


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
