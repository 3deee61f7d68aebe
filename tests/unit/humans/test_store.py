"""The database of the web application: who may answer what when, and what is kept."""

import hashlib
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web import access_codes, progress
from robustlaws.humans.web.store import Conflict, Store
from tests.support import stimuli_studies
from tests.support.stored import Clock, answer, current


def test_a_code_is_easy_to_type_and_only_its_digest_is_kept(begin):
    store = begin()
    code = store.add(["p2"], "person")["p2"]
    assert not set("01OI") & set(code)
    assert len(access_codes.ALPHABET) ** 15 >= 2**60
    for typed in (
        code,
        code.lower(),
        code.replace("-", ""),
        f"  {code.replace('-', ' ')}\n",
        code.replace("-", "\u2013"),
    ):
        assert store.session(store.enter(typed)).name == "p2"
    for typed in ("", code[:-1], code + "A", code[:-1] + "0", "p2"):
        assert store.enter(typed) is None
    store.database.row("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = store.database.path.read_bytes()
    assert b"p2" in kept
    for secret in (code, code.replace("-", "")):
        assert secret.encode() not in kept


def test_names_are_plain_and_each_is_one(begin):
    store = begin()
    for name in ("", "a b", "=1+1", "<b>", "-a", "a" * 41, "p1"):
        with pytest.raises(ValueError, match="^participant "):
            store.add(["new", name], "person")
    assert len(store.database.rows("SELECT * FROM participants")) == 1  # all or none


def test_store_ends_sessions_idle_revoked_or_left(begin):
    store = begin()
    code = store.add(["p2"], "person")["p2"]
    token = store.enter(code)
    for _ in range(3):
        store.clock.now += 11.9 * 3600
        assert store.session(token).name == "p2"
    store.clock.now += 12.1 * 3600
    assert store.session(token) is None
    token, other = store.enter(code), store.enter(code)
    store.leave(token)
    assert store.session(token) is None
    assert store.session(other).name == "p2"
    store.revoke("p2")
    assert store.session(other) is None
    assert store.enter(code) is None
    with pytest.raises(ValueError, match="'p3': there is none"):
        store.revoke("p3")


def test_the_organiser_has_one_code(begin):
    store = begin()
    first = store.organiser()
    token = store.enter(first)
    assert store.session(token).participant is None
    assert store.organiser() is None
    second = store.organiser(again=True)
    assert store.enter(first) is None
    assert store.session(token) is None
    assert store.session(store.enter(second)).name == "organiser"


def test_images_come_in_their_order_and_batches_end_with_a_rest(begin):
    store, seen, rests = begin(batches=2, images=3), [], []
    while (where := store.place(1)).state != progress.FINISHED:
        if where.state == progress.REST:
            rests.append(where.answered)
            assert current(store) == []
            store.go_on(1)
            store.go_on(1)  # a second click changes nothing
        shown = current(store)
        assert current(store) == shown  # a reload
        seen.append(shown[0].id)
        answer(store, shown[0])
    assert tuple(seen) == store.bundle.ids
    assert rests == [3, 6, 9]


def test_the_page_of_a_batch_takes_its_answers_in_any_order(begin):
    store = begin(page="batch", batches=1, images=4)
    shown = current(store)
    assert [item.position for item in shown] == [1, 2, 3, 4]
    for item in (shown[2], shown[0], shown[3]):
        answer(store, item)
    assert [item.chosen for item in current(store)] == [3, None, 3, 3]
    assert answer(store, shown[1]).place.state == progress.REST


def test_one_answer_wins_where_several_come_at_the_same_time(begin):
    store = begin()
    shown, options = current(store)[0], []

    def give(chosen):
        try:
            answer(store, shown, chosen)
            options.append(chosen)
        except Conflict:
            pass

    threads = [threading.Thread(target=give, args=(chosen,)) for chosen in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["class"] for row in store.database.rows("SELECT class FROM answers")] == options
    assert len(options) == 1


def test_store_undo_keeps_the_history_of_answers(begin):
    store = begin(batches=1, images=3)
    first = current(store)[0]
    with pytest.raises(Conflict):
        store.undo(1)
    answer(store, first, 1)
    second = current(store)[0]
    assert store.undo(1) == first.id
    again = current(store)[0]
    assert (again.id, again.token == first.token) == (first.id, False)
    with pytest.raises(Conflict):
        answer(store, second)  # it is not its turn any more
    answer(store, again, 2)
    for _ in range(2):
        answer(store, current(store)[0], 4)
    assert store.place(1).state == progress.REST
    store.undo(1)
    assert store.place(1).state == progress.WORK
    answer(store, current(store)[0], 5)
    store.go_on(1)
    with pytest.raises(Conflict):  # that batch is over
        store.undo(1)
    rows = store.database.rows("SELECT class, undone IS NULL AS stands FROM answers ORDER BY id")
    assert [tuple(row) for row in rows] == [(1, 0), (2, 1), (4, 1), (4, 0), (5, 1)]


def test_what_was_shown_before_an_undo_is_answered_no_more(begin):
    store = begin(batches=1, images=3)
    first = current(store)[0]
    answer(store, first)
    second = current(store)[0]
    store.undo(1)
    answer(store, current(store)[0])
    assert current(store)[0].id == second.id
    with pytest.raises(Conflict, match="not before you"):
        answer(store, second)
    answer(store, current(store)[0])
    assert store.place(1).answered == 2


def test_a_lost_code_is_renewed(begin):
    store = begin()
    former = store.add(["p2"], "person")["p2"]
    token = store.enter(former)
    store.consent(2)
    answer(store, current(store, 2)[0], participant=2)
    for revoked in (False, True):
        if revoked:
            store.revoke("p2")
        code = store.renew("p2")
        assert store.session(token) is None
        assert store.enter(former) is None
        token, former = store.enter(code), code
        assert store.session(token).participant == 2
    assert store.place(2).answered == 1
    with pytest.raises(ValueError, match="'p3': there is none"):
        store.renew("p3")


def test_store_asks_consent_again_and_keeps_answers(begin, tmp_path):
    store = begin()
    shown = current(store)[0]
    answer(store, shown)
    store.close()
    texts, stores = ("Otherwise.", "You will see small images.\n\nYou may stop at any time."), []
    for number, text in enumerate(texts):
        images = bundle.read(bundle.locate(stimuli_studies.folder(tmp_path / f"other{number}", consent=text)))
        stores.append(Store(store.database.path, images, clock=Clock()))
    changed, back = stores
    assert changed.place(1) == progress.Place(progress.CONSENT, 0, 1)
    assert current(changed) == []
    assert not changed.fetch(1, shown.id)
    with pytest.raises(Conflict):
        answer(changed, shown, 4)
    assert progress.word(changed.place(1)) == "to consent again"
    assert back.place(1).state == progress.WORK
    changed.consent(1)
    changed.clock.now += 5
    changed.consent(1)
    assert changed.place(1) == progress.Place(progress.WORK, 0, 1)
    kept = changed.database.rows("SELECT text, at FROM consents ORDER BY rowid")
    assert [row["text"] for row in kept] == [hashlib.sha256(text.encode()).hexdigest() for text in texts[::-1]]
    assert [row["at"] for row in kept] == [Clock.now, Clock.now]
    for item in stores:
        item.close()


def test_images_of_former_batches_are_seen_no_more(begin):
    store = begin(batches=3, images=1)
    first = current(store)[0]
    options = []
    for _ in range(3):
        answer(store, current(store)[0])
        options.append(store.fetch(1, first.id))
        store.go_on(1)
        current(store)
        options.append(store.fetch(1, first.id))
    assert options == [True, True, True, False, False, False]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["answer", "answer", "answer", "undo", "go on", "reload", "replay"]), max_size=40))
@pytest.mark.parametrize("page", ["single", "batch"])
def test_store_answers_are_the_last_given(begin, tmp_path_factory, page, actions):
    folder = tmp_path_factory.mktemp("any") / "study"
    store = begin(folder, batches=1, images=3, page=page)
    stands, sent, chosen = [], [], 0  # [image, class] in order; (shown, class)
    for action in actions:
        where, shown = store.current(1)
        open_ones = [item for item in shown if item.chosen is None]
        if action == "answer" and open_ones:
            chosen = (chosen + 1) % 10
            answer(store, open_ones[-1], chosen)
            stands.append([open_ones[-1].id, chosen])
            sent.append((open_ones[-1], chosen))
        elif action == "undo":
            of_batch = store.bundle.ids[
                store.bundle.batches[where.batch].start : store.bundle.batches[where.batch].stop
            ]
            if stands and stands[-1][0] in of_batch:
                assert store.undo(1) == stands.pop()[0]
            else:
                with pytest.raises(Conflict):
                    store.undo(1)
        elif action == "go on":
            store.go_on(1)
        elif action == "replay" and sent:
            item, output = sent[-1]
            if [item.id, output] in stands:
                assert answer(store, item, output).place.answered == len(stands)
            with pytest.raises(Conflict):
                answer(store, item, (output + 1) % 10)
    rows = store.database.rows("SELECT stimulus, class FROM answers WHERE undone IS NULL ORDER BY id")
    assert [[row["stimulus"], row["class"]] for row in rows] == stands
    assert store.place(1).answered == len(stands)
