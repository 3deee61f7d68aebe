"""Requests that no page sends, and what a browser could learn from the pages that it gets."""

import asyncio
import contextlib
import itertools
import logging
import re
import socket
import sqlite3

import pytest
from starlette.testclient import TestClient

from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web import access_codes, request_guard
from robustlaws.humans.web.request_guard import LARGEST
from tests.support import stimuli_studies
from tests.support.web_server import JSON, Participant, client, error, fields
from tests.support.web_server import codes as make_codes

SQL = "'; DROP TABLE answers; --"
HTML = '<script src="https://example.org/x.js"></script>'
SECURE = {
    "x-content-type-options": "nosniff", "cache-control": "no-store", "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Return a server process that all of these tests share."""
    from tests.support.web_server import Server

    server = Server(stimuli_studies.folder(tmp_path_factory.mktemp("hostile") / "study"))
    yield server
    server.kill()


_numbers = itertools.count()


@pytest.fixture
def person(running):
    """Return a function that gives a new participant of the server, at work."""
    opened = []

    def come(consents=True):
        name = f"h{next(_numbers)}"
        opened.append(client(running))
        item = Participant(opened[-1], make_codes(running.study, name)[name])
        item.name = name
        assert item.enter().status_code == 200
        if consents:
            item.consent()
        return item

    yield come
    for http in opened:
        http.close()


def recorded(study, name):
    """Return what the database has of a participant's answers."""
    with sqlite3.connect(bundle.locate(study).database) as item:
        return item.execute(
            "SELECT stimulus, class, confidence, undone IS NULL FROM answers JOIN participants"
            " ON participants.id = participant WHERE name = ? ORDER BY answers.id",
            (name,),
        ).fetchall()


def logged(study):
    """Return what the server has logged."""
    return (bundle.locate(study).folder / "server.log").read_text()


BAD_ANSWERS = [
    ("an image of another batch", {"image": "0" * 16}, 409),
    ("SQL for an image", {"image": SQL}, 409),
    ("HTML for an image", {"image": HTML}, 409),
    ("SQL for a token", {"token": SQL}, 409),
    ("no token", {"token": ""}, 409),
    ("a class that is none", {"class": "10"}, 400),
    ("a class below", {"class": "-1"}, 400),
    ("a class of other digits", {"class": "٣"}, 400),
    ("SQL for a class", {"class": SQL}, 400),
    ("no class while there is time", {"class": "", "confidence": ""}, 409),
    ("no confidence", {"confidence": ""}, 400),
    ("HTML for a confidence", {"confidence": HTML}, 400),
    ("no time", {"elapsed": "soon"}, 400),
    ("no finite time", {"elapsed": "inf"}, 400),
    ("SQL for csrf", {"csrf": SQL}, 403),
    ("no csrf", {"csrf": ""}, 403),
    ("csrf that is not ASCII", {"csrf": "é"}, 403),
    ("an unknown field", {"label": "3"}, 400),
    ("a long field", {"elapsed": "1" * 400}, 400),
]


@pytest.mark.parametrize(
    ("change", "status"), [item[1:] for item in BAD_ANSWERS], ids=[item[0] for item in BAD_ANSWERS]
)
def test_a_forged_answer_is_refused_logged_and_not_recorded(running, person, change, status):
    item = person()
    form = fields(item.page().text)[0] | {"class": "3", "confidence": "low"}
    for headers in (JSON, {}):
        response = item.http.post("/answers", data=form | change, headers=headers)
        assert response.status_code == status
        assert SECURE.items() <= dict(response.headers).items()
        for secret in (SQL, HTML, "Traceback", "sqlite", form["token"], form["csrf"], item.code):
            assert secret not in response.text
    assert recorded(running.study, item.name) == []
    assert re.search(rf"{status} POST /answers from {item.name}: ", logged(running.study))
    assert item.http.post("/answers", data=form, headers=JSON).status_code == 200


def test_an_answer_counts_once_however_often_it_is_sent(running, person):
    item = person()
    form = fields(item.page().text)[0] | {"class": "3", "confidence": "low"}
    settings = [item.http.post("/answers", data=form, headers=JSON) for _ in range(3)]
    assert {response.text for response in settings} == {settings[0].text}
    assert settings[0].json() == {"recorded": True, "answered": 1, "images": 16, "batch_complete": False}
    for change in ({"class": "4"}, {"confidence": "high"}):
        assert item.http.post("/answers", data=form | change, headers=JSON).status_code == 409
    assert recorded(running.study, item.name) == [(form["image"], 3, "low", 1)]
    item.post("/undo")
    assert item.http.post("/answers", data=form, headers=JSON).status_code == 409  # it would be no longer true
    assert recorded(running.study, item.name) == [(form["image"], 3, "low", 0)]


def test_nobody_acts_for_another_participant(running, person):
    item, other = person(), person()
    mine, theirs = fields(item.page().text)[0], fields(other.page().text)[0]
    answer = {"class": "3", "confidence": "low"}
    for stolen, status in (
        (theirs, 403),
        (theirs | {"csrf": mine["csrf"]}, 409),
        (mine | {"csrf": theirs["csrf"]}, 403),
    ):
        assert item.http.post("/answers", data=stolen | answer, headers=JSON).status_code == status
    for path in ("/undo", "/continue", "/leave"):
        assert item.http.post(path, data={"csrf": theirs["csrf"]}, headers=JSON).status_code == 403
    assert recorded(running.study, item.name) == recorded(running.study, other.name) == []
    # what another was shown is no reason to see it
    other.answer(theirs, 1)
    following = fields(other.page().text)[0]["image"]
    assert other.http.get(f"/images/{following}").status_code == 200
    assert item.http.get(f"/images/{following}").status_code == 404
    with client(running) as nobody:
        assert nobody.post("/answers", data=mine | answer, headers=JSON).status_code == 401
        assert nobody.get(f"/images/{mine['image']}").status_code == 401
        nobody.cookies.set(*item.http.cookies.keys(), SQL)
        assert nobody.get("/work").headers["location"] == "/"


def test_a_form_of_another_site_is_refused(running, person):
    item = person()
    form = fields(item.page().text)[0] | {"class": "3", "confidence": "low"}
    host = running.address.removeprefix("http://")
    for headers in (
        {"origin": "https://example.org"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": running.address},
    ):  # fmt: skip
        assert item.http.post("/answers", data=form, headers=headers).status_code == 403
        assert item.http.post("/enter", data={"code": item.code}, headers=headers).status_code == 403
    ours = {"origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert item.http.post("/answers", data=form, headers=ours).status_code == 303


@pytest.mark.parametrize("path", ["/enter", "/answers", "/undo", "/nothing"])
def test_a_form_that_is_too_large_or_none_is_refused(running, person, path):
    item = person()
    large = b"csrf=" + b"a" * LARGEST
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert item.http.post(path, content=large, headers=headers).status_code == 413
    assert item.http.post(path, content=iter([large[:9000], large[9000:]]), headers=headers).status_code == 413
    for kind in ("application/json", "multipart/form-data; boundary=a", "text/plain", ""):
        assert item.http.post(path, content=b"{}", headers={"content-type": kind}).status_code == 415
    assert recorded(running.study, item.name) == []


def test_a_length_that_is_a_lie_gets_no_further(running):
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as raw:
        head = b"POST /enter HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        raw.sendall(head + b"Content-Length: 99999999999999999999\r\n\r\n")
        assert b" 413 " in raw.recv(100) or b" 400 " in raw.recv(100)


def test_a_form_that_does_not_arrive_is_waited_for_a_while_only(monkeypatch, inside, study, caplog):
    monkeypatch.setattr(request_guard, "_BODY_SECONDS", 0.05)
    sent = []

    async def never():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"10")]
    scope = {"type": "http", "method": "POST", "path": "/enter", "headers": headers, "client": ("192.0.2.1", 1)}
    asyncio.run(inside(study).app(scope, never, send))
    assert sent[0]["status"] == 408
    assert "408 POST /enter from 192.0.2.1, nobody: the form did not arrive in time" in caplog.text


def test_what_is_no_http_ends_the_connection_and_nothing_else(running, person):
    item = person()
    long = b"GET /work HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"
    for rubbish in (b"\x16\x03\x01\x02\x00" * 50, b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", long):
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as raw:
            with contextlib.suppress(ConnectionError):  # the server may hang up before it has read all
                raw.sendall(rubbish)
                assert re.match(rb"HTTP/1.1 40[04] |$", raw.recv(100))
    assert item.page().status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/images/../key.parquet", "/images/..%2fkey.parquet", "/images/%2e%2e%2f%2e%2e%2fkey.parquet", "/images/",
        "/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py", "/static/", "/static//etc/passwd",
        "/key.parquet", "/study.sqlite", "/server.log", "/docs", "/redoc", "/openapi.json", "/work/", "//work",
        "/images/" + "a" * 5000,
    ],
)  # fmt: skip
def test_no_path_leads_out(running, person, path):
    item = person()
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as raw:  # no client tidies the path up
        ((name, cookie),) = item.http.cookies.items()
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {name}={cookie}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"server:" not in answer.lower().split(b"\r\n\r\n")[0]


def test_a_method_that_is_not_meant_is_refused(running, person):
    item = person()
    for method, path in itertools.product(
        ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "SECRET"), ("/answers", "/work")
    ):
        assert item.http.request(method, path).status_code == 405
    for path in ("/answers", "/enter", "/undo", "/continue", "/leave", "/consent"):
        assert item.http.get(path).status_code == 405
    assert "SECRET" not in logged(running.study)


def test_the_work_comes_after_the_consent_and_in_its_order(running, person):
    item = person(consents=False)
    assert "image-" not in item.page().text
    assert item.http.post("/consent", data={"csrf": "x", "agree": "yes"}).status_code == 403
    refused = item.post("/consent", agree="no")
    assert (refused.status_code, error(refused)) == (400, "without your consent the study does not begin")
    ids = bundle.read(bundle.locate(running.study)).ids
    assert {item.http.get(f"/images/{image}").status_code for image in ids} == {404}
    item.consent()
    form = fields(item.page().text)[0]
    assert form["image"] == ids[0]
    assert [item.http.get(f"/images/{image}").status_code for image in ids] == [200] + [404] * (len(ids) - 1)
    assert {item.answer(form | {"image": image}, 1).status_code for image in ids[1:]} == {409}
    assert item.post("/undo").status_code == 409
    assert item.post("/continue").json()["answered"] == 0  # there is nothing to go on from, which does no harm
    assert item.http.get("/organiser").status_code == 403


_DATE = re.compile(r"expires=[^;]*")  # of the cookie that goes: now


def everything(monkeypatch, inside, study):
    """Return all that a browser gets in a whole participation, with random tokens replaced by a count."""
    numbers = itertools.count()
    monkeypatch.setattr(access_codes, "token", lambda: f"token{next(numbers):027d}")
    app = inside(study)
    participant = app.participant("p1", consents=False)
    got = []

    def keep(response):
        headers = [(name, _DATE.sub("then", value)) for name, value in response.headers.multi_items()]
        got.append((response.status_code, sorted(headers), response.content))
        app.clock.now += 1
        return response

    keep(participant.consent())
    for number in range(1000):
        page = keep(participant.page()).text
        if "Thank you" in page:
            break
        if fields(page, "/continue"):
            keep(participant.http.post("/continue", data=fields(page, "/continue")[0]))
        for form in fields(page):
            keep(participant.http.get(f"/images/{form['image']}"))
            keep(participant.answer(form, number % 10, elapsed="100"))
            keep(participant.answer(form, (number + 1) % 10))
            if number % 3 == 0:
                keep(participant.post("/undo"))
                keep(participant.page())
                break
    for path in ("/", "/organiser", "/static/style.css", *(f"/images/{image}" for image in app.store.bundle.ids)):
        keep(participant.http.get(path))
    keep(participant.post("/leave"))
    return got, app


@pytest.mark.parametrize("page", ["single", "batch"])
def test_a_browser_gets_the_same_bytes_whatever_is_secret(tmp_path, monkeypatch, inside, page):
    first, second = (
        everything(
            monkeypatch, inside, stimuli_studies.folder(tmp_path / str(secrets), checks=2, secrets=secrets, page=page)
        )
        for secrets in (0, 1)
    )
    assert len(first[0]) > 60
    assert first[0] == second[0]
    # what is secret did differ, in all that is exported
    item, other = first[1].exported(), second[1].exported()
    assert item["chosen_label"].tolist() == other["chosen_label"].tolist()
    for name in ("true_label", "cifar10_test_test_idx", "is_attn_check"):
        assert item[name].tolist() != other[name].tolist()
    assert set(item["variant"]) == set(other["variant"])
    assert item["variant"].tolist() == other["variant"].tolist()[::-1]


def test_refusals_mark_simulations_and_log_no_name_with_address(caplog):
    log = logging.getLogger("refusals")

    async def refusing(scope, receive, send):
        if scope["path"] == "/work":
            scope["state"] |= {"who": "p1", "simulated": True}
        await request_guard.refuse(scope, request_guard.Refusal(409, "no"))(scope, receive, send)

    http = TestClient(request_guard.Protection(refusing, log), client=("192.0.2.1", 1))
    assert "Simulated participant" in http.get("/work").text
    assert "imulated" not in http.get("/enter").text
    settings = [record.getMessage() for record in caplog.records if record.name == log.name]
    assert settings == ["409 GET /work from p1: no", "409 GET /enter from 192.0.2.1, nobody: no"]


def test_what_breaks_inside_is_not_told(monkeypatch, inside, study, caplog):
    app = inside(study)
    participant = app.participant()
    form = fields(participant.page().text)[0]
    http = TestClient(app.app, raise_server_exceptions=False, cookies=participant.http.cookies)

    def broken(*_, **__):
        raise RuntimeError(participant.code)

    monkeypatch.setattr(app.store, "answer", broken)
    response = http.post("/answers", data=form | {"class": "1", "confidence": "low"})
    assert response.status_code == 500
    assert SECURE.items() <= dict(response.headers).items()
    assert "Traceback" not in response.text
    assert participant.code not in response.text
    logged = [record.getMessage() for record in caplog.records if record.name == app.log.name]
    assert any("RuntimeError" in line for line in logged)
    assert not any(participant.code in line for line in logged)

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(app.store, "answer", full)
    response = http.post("/answers", data=form | {"class": "1", "confidence": "low"}, headers=JSON)
    assert (response.status_code, error(response)) == (503, "that could not be recorded; try again in a moment")
