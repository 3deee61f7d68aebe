"""What nobody can use up: connections, attempts at codes."""

import contextlib
import functools
import socket
import threading
import time

import pytest
import uvicorn

from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web import access_codes
from robustlaws.humans.web.connection_limits import Connection
from robustlaws.humans.web.rate_limits import Attempts
from tests.support.web_server import JSON, client, until
from tests.support.web_server import codes as make_codes

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
SECONDS = 0.5


@pytest.fixture
def listening(inside, study):
    """Return a function that serves a study in this process with limits of connections, and gives the port."""
    running = []

    def serve(**limits):
        app = inside(study)
        http = functools.partial(Connection, log=app.log, **limits)
        config = uvicorn.Config(app.app, http=http, ws="none", lifespan="off", log_level="warning", port=0)
        server, taking = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taking]})
        thread.start()
        running.append((server, thread))
        until(lambda: server.started)
        return taking.getsockname()[1]

    yield serve
    for server, thread in running:
        server.should_exit = True
        thread.join()


def connect(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


def ended(connection):
    """Wait until the other side ends a connection; return after how many seconds and what came."""
    begun, got = time.monotonic(), b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            got += data
    return time.monotonic() - begun, got


def ask(connection, keep=True):
    """Send a whole request and return the response, as far as it comes."""
    got = b""
    with contextlib.suppress(ConnectionError):
        connection.sendall(HEAD + (b"" if keep else b"Connection: close\r\n") + b"\r\n")
        while b"</html>" not in got and (data := connection.recv(65536)):
            got += data
    return got


def test_who_is_silent_is_not_waited_for(listening):
    port = listening(seconds=SECONDS)
    with connect(port) as silent, connect(port) as begins, connect(port) as drips:
        begins.sendall(HEAD)
        for _ in range(3):
            drips.sendall(b"G")
            time.sleep(SECONDS / 5)
        assert [ended(item)[1] for item in (silent, begins, drips)] == [b""] * 3


def test_connection_limit_serves_slow_requests_then_closes(listening):
    port = listening(seconds=SECONDS)
    with connect(port) as item:
        for _ in range(4):  # together longer than the time of one head
            assert ask(item).startswith(b"HTTP/1.1 200")
            time.sleep(SECONDS / 2)
        item.sendall(HEAD)  # a next request that never ends
        seconds, got = ended(item)
        assert got == b""
        assert seconds < 4  # that is, not by uvicorn's own 5 s
    form = (
        b"POST /enter HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n"
    )
    with connect(port) as slow:
        slow.sendall(form + b"\r\ncode")
        time.sleep(2 * SECONDS)  # the head was there in time
        slow.sendall(b"=1")
        assert slow.recv(100).startswith(b"HTTP/1.1 403")


def test_one_address_does_not_hold_all_connections(listening, caplog):
    port = listening(each=3, overall=5)
    with contextlib.ExitStack() as opened:
        kept = [opened.enter_context(connect(port)) for _ in range(3)]
        for item in kept:
            assert ask(item).startswith(b"HTTP/1.1 200")
        refused = ended(opened.enter_context(connect(port)))[1]
        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\ncontent-security-policy: default-src 'self'" in refused
        assert b"\r\nretry-after: " in refused
        assert "503 from 127.0.0.1, nobody: too many connections" in caplog.text
        for _ in range(2):
            assert ask(opened.enter_context(connect(port, "127.0.0.2"))).startswith(b"HTTP/1.1 200")
        assert b" 503 " in ended(opened.enter_context(connect(port, "127.0.0.3")))[1]  # of all
        kept[0].close()
        until(lambda: b" 200 " in ask(opened.enter_context(connect(port, "127.0.0.3")), keep=False))


def test_all_connections_may_be_a_proxys(listening):
    port = listening(each=None, overall=5)
    with contextlib.ExitStack() as opened:
        for _ in range(5):
            assert ask(opened.enter_context(connect(port))).startswith(b"HTTP/1.1 200")
        assert b" 503 " in ended(opened.enter_context(connect(port)))[1]


def test_a_server_does_not_wait_for_who_is_silent(study, serve):
    """With the command's own limits."""
    server = serve(study)
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(connect(server.port)) for _ in range(320)]
        with client(server) as other:
            assert other.get("/").status_code == 503
        seconds, got = ended(connections[0])
        assert got == b""
        assert seconds < 12
        with client(server) as other:
            assert other.get("/").status_code == 200


def test_wrong_codes_count_by_the_address_they_come_from(monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    attempts = Attempts()
    for _ in range(100):
        assert attempts.wait("192.0.2.1") == 0
        attempts.wrong("192.0.2.1")
    assert 0 < attempts.wait("192.0.2.1") <= 300
    for number in range(5):  # there is no limit that strangers could use up for all
        for _ in range(100):
            attempts.wrong(f"198.51.100.{number}")
    assert attempts.wait("192.0.2.2") == 0
    for number in range(100):
        attempts.wrong(f"2001:db8::{number:x}")
    assert attempts.wait("2001:db8::abcd:1") > 0  # of the same line
    assert attempts.wait("2001:db8:0:1::1") == 0
    now += 301
    assert attempts.wait("192.0.2.1") == 0


def test_codes_are_guessed_a_few_times_and_no_more(study, serve):
    made = make_codes(study, "p1", "p2")
    server = serve(study)
    with client(server) as known, client(server) as guessing:
        known.post("/enter", data={"code": made["p1"]})
        for typed in (
            "",
            "'; DROP TABLE answers; --",
            "<script>",
            "0" * 15,
            "A" * 15,
            made["p2"][:-1],
            "é" * 15,
            "A" * 200,
        ):
            response = guessing.post("/enter", data={"code": typed}, headers=JSON)
            assert response.status_code == 403
            assert not response.cookies
        for _ in range(101):
            response = guessing.post(
                "/enter", data={"code": access_codes.make()}, headers={"x-forwarded-for": access_codes.make()}
            )
        assert response.status_code == 429
        assert 0 < int(response.headers["retry-after"]) <= 300
        response = guessing.post("/enter", data={"code": made["p2"]})  # even the right one
        assert response.status_code == 429
        assert not response.cookies
        assert known.get("/work").status_code == 200
        settings = (bundle.locate(study).folder / "server.log").read_text()
        assert "429 POST /enter from 127.0.0.1, nobody: too many wrong codes" in settings
        ((name, cookie),) = known.cookies.items()
        guessing.get(f"/{made['p2']}?code={made['p2']}", headers={"cookie": f"{name}={cookie}"})
    server.stop()
    for secret in (*made.values(), *(code.replace("-", "") for code in made.values()), cookie, server.organiser):
        assert secret not in (bundle.locate(study).folder / "server.log").read_text()
        for file in bundle.locate(study).folder.glob("study.sqlite*"):
            assert secret.encode() not in file.read_bytes()
