"""A real server process of the web application, and a participant that speaks HTTP with it."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import httpx2
from starlette.testclient import TestClient

from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web import app, export
from robustlaws.humans.web.organiser_view import Overview
from robustlaws.humans.web.store import Store
from robustlaws.storage import human_tables, tables

JSON = {"accept": "application/json"}


def codes(study, *names, kind="person", name="test"):
    """Make participants of these names; return the code of each."""
    paths = bundle.locate(study, name)
    store = Store(paths.database, bundle.read(paths))
    try:
        return store.add(names, kind)
    finally:
        store.close()


class Server:
    """A server process of the study in a folder; `address`: where it is; `organiser`: that code, if it was told."""

    def __init__(self, study, *options, port=0):
        self.study = study
        command = [sys.executable, "-m", "robustlaws", "serve", str(study), "--port", str(port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.output, self.address, self.organiser = "", None, None
        for line in self.process.stdout:
            self.output += line
            if line.startswith("to stop:"):
                break
        if match := re.search(r"address: (\S+)", self.output):
            self.address = match[1]
        if match := re.search(r"code, shown only now: (\S+)", self.output):
            self.organiser = match[1]
        if self.address is None:
            self.process.wait()
            raise RuntimeError(self.output)

    @property
    def port(self):
        """The port."""
        return int(self.address.rpartition(":")[2])

    def stop(self, how=signal.SIGINT):
        """End it as Ctrl+C does, or by another signal; return its status."""
        return self._end(how)

    def kill(self):
        """End it as a power cut does."""
        return self._end(signal.SIGKILL)

    def _end(self, how):
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        self.output += self.process.communicate(timeout=60)[0]
        return self.process.returncode


def fields(page, action="/answers"):
    """Return the hidden fields of each form of a page that goes to `action`."""
    result = _Forms()
    result.feed(page)
    return [names for where, names in result.forms if where == action]


class _Forms(HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append((attrs["action"], {}))
        elif tag == "input" and attrs.get("type") == "hidden":
            self.forms[-1][1][attrs["name"]] = attrs["value"]


class Participant:
    """Comes in with a code and does what is on the page; `acknowledged`: image -> (class, confidence) as answered."""

    def __init__(self, http, code):
        self.http, self.code, self.acknowledged = http, code, {}

    def enter(self):
        """Come in."""
        return self.http.post("/enter", data={"code": self.code}, headers=JSON)

    def page(self):
        """Return the page at work."""
        return self.http.get("/work")

    def consent(self):
        """Agree."""
        return self.post("/consent", agree="yes")

    def post(self, path, **more):
        """Send a form with the session's csrf."""
        csrf = fields(self.page().text, "/leave")[0]["csrf"]
        return self.http.post(path, data={"csrf": csrf, **more}, headers=JSON)

    def answer(self, form, chosen, confidence="high", **more):
        """Answer one picture with this form; note it if that was acknowledged."""
        data = form | {"class": str(chosen), "confidence": confidence} | more
        response = self.http.post("/answers", data=data, headers=JSON)
        if response.status_code == 200:
            self.acknowledged[form["image"]] = (int(chosen), confidence)
        return response

    def finish(self, choose):
        """Answer all that is left with the class and confidence that `choose` gives for an image."""
        page, end = self.page(), time.monotonic() + 120
        while "Thank you" not in page.text:
            assert time.monotonic() < end, page.text
            if fields(page.text, "/consent"):
                self.consent()
            elif fields(page.text, "/continue"):
                self.post("/continue")
            for form in fields(page.text):
                if form["image"] not in self.acknowledged:
                    assert self.answer(form, *choose(form["image"])).status_code == 200
            page = self.page()
            assert page.status_code == 200
        return page


def client(server, **options):
    """Return an HTTP client of a server (or address)."""
    return httpx2.Client(base_url=getattr(server, "address", server), timeout=30, **options)


def until(there, seconds=20):
    """Wait until `there()` is true."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.02)


def error(response):
    """Return the text of a refusal."""
    return json.loads(response.text)["error"]


class Clock:
    """A clock that is told to go on."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Inside:
    """The web application in this process, at a `clock`; `done`: how often a participant has finished."""

    def __init__(self, study, clock=None):
        paths = bundle.locate(study)
        images = bundle.read(paths)
        self.clock = clock or Clock()
        self.store = Store(paths.database, images, clock=self.clock)
        self.key = export.read_key(paths, images)
        self.overview = Overview(self.store, self.key)
        self.done = 0
        self.log = logging.getLogger(f"inside {study}")
        self.app = app.app(store=self.store, overview=self.overview, finished=self._finished, log=self.log)

    def _finished(self):
        self.done += 1

    def client(self):
        """Return an HTTP client with cookies of its own."""
        return TestClient(self.app, follow_redirects=False)

    def participant(self, name="p1", kind="person", consents=True):
        """Return a new participant who has come in."""
        item = Participant(self.client(), self.store.add([name], kind)[name])
        assert item.enter().status_code == 200
        if consents:
            assert item.consent().status_code == 200
        return item

    def exported(self):
        """Return the answers as they are exported."""
        return tables.table(export.rows(self.store, self.key), human_tables.ANSWERS)
