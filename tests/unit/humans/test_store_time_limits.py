"""For how long an image is shown and an answer is taken."""

import pytest

from robustlaws.humans.web.store import Conflict
from tests.support.stored import answer, current


def test_an_answer_after_its_time_has_no_class(begin):
    store = begin(answer_seconds=10.0, images=5)
    in_time, late = current(store)[0], None
    store.clock.now += 10.9  # with the grace of a second
    answer(store, in_time)
    late = current(store)[0]
    store.clock.now += 11.1
    first = answer(store, late)
    again = answer(store, late)
    assert (again.place, again.late, first.late) == (first.place, True, True)
    assert (again.new, first.new) == (False, True)
    with pytest.raises(Conflict, match="the time for this image was over"):
        answer(store, late, 4)
    output = current(store)[0]
    with pytest.raises(Conflict, match="there is time left"):
        answer(store, output, None, None)
    store.clock.now += 10
    assert not answer(store, output, None, None).late  # the browser knows
    left = current(store)[0]
    store.clock.now += 3600  # away meanwhile
    following = current(store)[0]
    assert following.id != left.id
    assert following.since == 0
    assert [row["status"] for row in store.database.rows("SELECT status FROM answers ORDER BY id")] == [
        "answered", "timed_out", "timed_out", "timed_out",
    ]  # fmt: skip
    with pytest.raises(Conflict, match="the time for this image was over"):
        answer(store, left)
    kept = store.database.rows("SELECT class, confidence FROM answers ORDER BY id")
    assert [tuple(row) for row in kept] == [(3, "low"), (3, "low"), (None, None), (None, None)]


def test_without_a_limit_no_time_is_up(begin):
    store = begin(page="batch", answer_seconds=10.0, image_seconds=1.0)  # limits are for single images
    shown = current(store)[0]
    store.clock.now += 3600
    assert store.fetch(1, shown.id)
    with pytest.raises(Conflict, match="there is time left"):
        answer(store, shown, None, None)
    answer(store, shown)
    assert store.database.row("SELECT status FROM answers")["status"] == "answered"


def test_an_image_is_seen_for_its_time_from_when_it_was_fetched(begin):
    store = begin(image_seconds=2.0)
    ids = store.bundle.ids
    assert not store.fetch(1, ids[0])
    current(store)
    store.clock.now += 60  # over a slow connection
    assert current(store)[0].seen == 0
    assert store.fetch(1, ids[0])
    assert not store.fetch(1, ids[1])
    store.clock.now += 2.9  # with the grace of a second
    assert store.fetch(1, ids[0])  # which begins nothing anew
    store.clock.now += 0.2
    assert not store.fetch(1, ids[0])
    (shown,) = current(store)
    assert (shown.since, shown.seen) == (pytest.approx(63.1), pytest.approx(3.1))
    answer(store, shown)  # it may still be answered
    assert current(store)[0].seen == 0


@pytest.mark.parametrize("limit", [{"answer_seconds": 10.0}, {"image_seconds": 2.0}])
def test_no_answer_is_taken_back_where_time_is_limited(begin, limit):
    store = begin(**limit)
    shown = current(store)[0]
    answer(store, shown)
    assert store.undoable(1) is None
    with pytest.raises(Conflict, match="no answer is taken back where time is limited"):
        store.undo(1)
    assert current(store)[0].id != shown.id
    store = begin("batch", page="batch", **limit)  # which has no limits
    answer(store, current(store)[0])
    assert store.undo(1) == current(store)[0].id
