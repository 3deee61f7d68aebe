"""The SQLite database below the web application: what it keeps, and how it is opened."""

import sqlite3
import threading
from pathlib import Path

import pytest

from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web.store import Store
from tests.support import stimuli_studies
from tests.support.stored import answer, current


def test_database_refuses_a_second_answer_to_an_image(begin):
    store = begin()
    shown = current(store)[0]
    answer(store, shown)
    with store.database.connection() as to:
        show = "INSERT INTO showings (participant, stimulus, token, shown) VALUES (1, ?, ?, 0)"
        to.execute(show, (shown.id, "t"))
        with pytest.raises(sqlite3.IntegrityError, match=r"answers\.participant, answers\.stimulus"):
            to.execute(
                "INSERT INTO answers (participant, stimulus, showing, status, class, confidence, at)"
                " SELECT 1, stimulus, id, 'answered', 1, 'low', 0 FROM showings WHERE token = 't'"
            )
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            to.execute(show, ("none", "u"))


def test_what_is_committed_survives_a_power_cut(begin):
    # as SQLite's documentation has it: in WAL mode only FULL (2) syncs the log at each commit
    database = begin().database
    assert database.row("PRAGMA journal_mode")[0] == "wal"
    assert database.row("PRAGMA synchronous")[0] == 2


def test_threads_that_come_and_go_leave_no_files_open(begin):
    store = begin()

    def descriptors():
        return sum(path.resolve().name.startswith("study.sqlite") for path in Path("/proc/self/fd").iterdir())

    def look():
        store.place(1)
        store.consent(1)

    def crowd(size):
        threads = [threading.Thread(target=look) for _ in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for _ in range(60):
        crowd(1)
    item = descriptors()
    assert 0 < item <= 3  # the database, its log, the log's index
    for _ in range(20):
        crowd(4)
    assert descriptors() <= 4 * item
    with store.database.connection() as outer, store.database.reading() as inner:
        assert inner is outer
    store.close()
    assert descriptors() == 0


def test_a_database_of_other_images_is_refused_and_left_alone(begin, tmp_path):
    store = begin()
    answer(store, current(store)[0])
    store.close()
    before = store.database.path.read_bytes()
    for number, change in enumerate(
        ({"seed": 1}, {"images": 5}, {"classes": [*stimuli_studies.CLASSES[1:], "airplane"]})
    ):
        other = bundle.read(bundle.locate(stimuli_studies.folder(tmp_path / f"other{number}", **change)))
        with pytest.raises(ValueError, match="begun with other images or classes.* bring those back"):
            Store(store.database.path, other)
    assert store.database.path.read_bytes() == before
    assert Store(store.database.path, store.bundle).place(1).answered == 1
    same = bundle.read(
        bundle.locate(stimuli_studies.folder(tmp_path / "same", page="batch", secrets=1, consent="Otherwise."))
    )
    assert Store(store.database.path, same).place(1).answered == 1


def test_what_is_no_database_is_refused(begin, tmp_path):
    images = begin().bundle
    path = tmp_path / "other.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ValueError, match=r"other\.sqlite: damaged, or no SQLite database"):
        Store(path, images)
    with pytest.raises(ValueError, match="cannot be used"):
        Store(tmp_path / "none" / "study.sqlite", images)
