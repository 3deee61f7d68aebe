"""A headless Chromium on one page, told what to do over its debugging pipe; no driver, no port, no network."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


class Page:
    """One page; `errors`: what went wrong in it, in its own words; `requests`: the addresses that it asked for."""

    def __init__(self, read, write):
        self.errors, self.requests = [], []
        self._read, self._write, self._rest, self._count = read, write, b"", 0
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """Send one command and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        return self._until(lambda answer: answer.get("id") == self._count, method)["result"]

    def _until(self, wanted, what, seconds=60):
        end = time.monotonic() + seconds
        while True:
            *messages, self._rest = self._rest.split(b"\0")
            for place, raw in enumerate(messages):
                message = json.loads(raw)
                self._note(message)
                if wanted(message):
                    self._rest = b"\0".join([*messages[place + 1 :], self._rest])
                    if "error" in message:
                        raise RuntimeError(f"{what}: {message['error']}")
                    return message
            if not select.select([self._read], [], [], max(end - time.monotonic(), 0))[0]:
                raise TimeoutError(f"{what}: no answer within {seconds} s")
            result = os.read(self._read, 1 << 16)
            if not result:
                raise RuntimeError(f"{what}: the browser has gone")
            self._rest += result

    def _note(self, message):
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.errors.append(" ".join(str(item.get("value", item)) for item in params["args"]))

    def open(self, address, width=1200, height=900, dark=False):
        """Load a page in a window of this size and wait until it has loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url="about:blank")
        self._until(lambda message: message.get("method") == "Page.loadEventFired", "about:blank")
        self.send("Page.navigate", url=address)
        self._until(lambda message: message.get("method") == "Page.loadEventFired", address)

    def run(self, script):
        """Return the value of an expression, awaited."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", script))
        return result["result"].get("value")

    def press(self, key, code=None):
        """Press one key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            text |= {"text": " "} if key == " " and kind == "keyDown" else {}
            codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=code or key,
                      windowsVirtualKeyCode=codes.get(key, 0), **text)  # fmt: skip

    def click(self, x, y):
        """Move the mouse to a point of the window, in pixels, and click."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        time.sleep(0.3)  # plotly.js takes a moment to say what is under the pointer
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path, whole=True):
        """Write a PNG of the page, from top to bottom or of the window."""
        result = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))


@contextmanager
def page(folder):
    """Yield a `Page` of a browser of its own, with its profile in `folder`."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    # the browser reads from descriptor 3 and writes to 4
    command = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
    arguments = [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        ["bash", "-c", command, *arguments], pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_read)
    os.close(from_write)
    try:
        yield Page(from_read, to_write)
    finally:
        os.close(to_write)  # at the end of its pipe the browser ends by itself
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_read)
