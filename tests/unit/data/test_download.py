"""Published files: fetched whole or not at all, and what is said where they cannot be."""

import hashlib
import http.server
import threading

import pytest

from robustlaws.data import download


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Return a function that makes a URL known under a path, which it returns."""

    def known(url, sha256):
        monkeypatch.setitem(download.PUBLISHED, "weights.pth", download.Published(url, sha256=sha256))
        return tmp_path / "weights.pth"

    return known


class Server(http.server.BaseHTTPRequestHandler):
    """Serves 3 MB; breaks off after 1 MB the first time; answers ranges."""

    content, asked = bytes(range(256)) * 12_000, []

    def do_GET(self):
        have = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.asked.append(have)
        self.send_response(206 if have else 200)
        self.send_header("Content-Length", str(len(self.content) - have))
        self.end_headers()
        self.wfile.write(self.content[have : 1 << 20 if len(self.asked) == 1 else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    Server.asked = []
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/weights.pth"
        server.shutdown()
        thread.join()


def test_a_download_that_broke_off_goes_on(url, publish, tmp_path):
    path = publish(url, hashlib.sha256(Server.content).hexdigest())
    with pytest.raises(ValueError, match=rf"{path}: not there, and {url} cannot be had from here \(.*\); download it"):
        download.fetch(path)
    assert not path.exists()
    download.fetch(path)
    assert path.read_bytes() == Server.content
    assert Server.asked == [0, 1 << 20]
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.pth"]


def test_other_content_is_not_kept(url, publish, tmp_path):
    Server.asked = [0]
    with pytest.raises(ValueError, match=f"came with the SHA-256 .*, not {'0' * 8}; nothing kept"):
        download.fetch(publish(url, "0" * 8))
    assert list(tmp_path.iterdir()) == []


def test_without_internet_it_is_said_what_to_put_where(publish):
    path = publish("http://127.0.0.1:9/weights.pth", "")
    with pytest.raises(ValueError, match="cannot be had from here .*; download it and put it there") as error:
        download.fetch(path)
    assert "\n" not in str(error.value)


def test_what_only_a_person_may_fetch_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"no program may fetch it; download discriminator_250.pt from https://drive"):
        download.fetch(tmp_path / "discriminator_250.pt")
