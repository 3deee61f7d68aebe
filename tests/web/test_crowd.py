"""Many participants at once, and a server that is killed under their hands."""

import random
import sqlite3
import threading
import time

import httpx2
import pandas as pd

from robustlaws.humans.stimuli import bundle
from tests.support import stimuli_studies
from tests.support.web_server import Participant, client, codes, fields

PEOPLE, BATCHES, IMAGES = 50, 3, 4  # batches of each part, images of each
PATIENCE = 120  # seconds, for one request and for all that follow the last kill


class Stubborn(Participant):
    """Goes on, whatever happens to the server; `sent`: image -> (class, confidence), acknowledged or not."""

    def __init__(self, http, code, seed):
        super().__init__(http, code)
        self.choices, self.sent, self.seen, self.refused = random.Random(seed), {}, [], []

    def insist(self, request):
        """Send a request until there is an answer to it."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return request()
            except httpx2.TransportError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def take_part(self):
        """Do all of the study."""
        self.insist(self.enter)
        end = time.monotonic() + 10 * PATIENCE
        while "Thank you" not in (page := self.insist(self.page).text):
            assert time.monotonic() < end, page
            if fields(page, "/consent"):
                self.insist(self.consent)
            elif fields(page, "/continue"):
                self.insist(lambda: self.post("/continue"))
            for form in fields(page):
                self.answer_once(form)

    def answer_once(self, form):
        """Answer one image; what is sent again is the same."""
        image = form["image"]
        if image not in self.sent:
            self.seen.append(image)
            self.sent[image] = (self.choices.randrange(10), self.choices.choice(["low", "high"]))
            if self.choices.random() < 0.2:
                assert self.insist(lambda: self.http.get(f"/images/{image}")).status_code == 200
        response = self.insist(lambda: self.answer(form, *self.sent[image]))
        if response.status_code != 200:
            self.refused.append((response.status_code, response.text))


def test_crowd_keeps_acknowledged_answers_once_across_kills(tmp_path, serve):
    study = stimuli_studies.folder(tmp_path / "study", batches=BATCHES, images=IMAGES)
    made = codes(study, *(f"p{number}" for number in range(PEOPLE)), kind="simulated")
    server = serve(study)
    people = {name: Stubborn(client(server), code, name) for name, code in made.items()}
    threads = [threading.Thread(target=item.take_part, daemon=True) for item in people.values()]
    for thread in threads:
        thread.start()
    whole = PEOPLE * 2 * BATCHES * IMAGES
    for share in (0.15, 0.4, 0.7):
        while sum(len(item.acknowledged) for item in people.values()) < share * whole:
            time.sleep(0.01)
            assert any(thread.is_alive() for thread in threads)
        settings = {name: dict(item.acknowledged) for name, item in people.items()}
        port = server.port
        server.kill()
        check(bundle.locate(study).database, settings, people)
        server = serve(study, port=port)
    end = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads)
    assert [item.refused for item in people.values() if item.refused] == []
    settings = {name: item.acknowledged for name, item in people.items()}
    assert {len(item) for item in settings.values()} == {2 * BATCHES * IMAGES}
    check(bundle.locate(study).database, settings, people)
    assert server.stop() == 0
    exported = pd.read_parquet(bundle.locate(study).table)
    assert len(exported) == whole
    assert set(exported["kind"]) == {"simulated"}


def check(database, settings, people):
    """Check that what was acknowledged is in the database, once, and nothing there was not sent."""
    with sqlite3.connect(database) as item:
        assert item.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = item.execute(
            "SELECT name, stimulus, class, confidence FROM answers JOIN participants ON participants.id = participant"
        ).fetchall()
    item.close()
    there = {(name, image): (chosen, confidence) for name, image, chosen, confidence in rows}
    assert len(there) == len(rows)
    for name, answers in settings.items():
        for image, answer in answers.items():
            assert there[name, image] == answer
    for (name, image), answer in there.items():
        assert people[name].sent[image] == answer
