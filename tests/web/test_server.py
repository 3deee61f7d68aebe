"""The web application as its participants and its organiser meet it, over HTTP."""

import numpy as np
import pandas as pd
import pytest

from robustlaws import cli
from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web.rate_limits import SessionLimit
from tests.support import stimuli_studies
from tests.support.stimuli_choices import check_exported, choice
from tests.support.web_server import JSON, Participant, client, codes, fields, until


@pytest.mark.parametrize("page", ["single", "batch"])
def test_server_exports_all_answers_at_a_participants_end(tmp_path, serve, page):
    study = stimuli_studies.folder(tmp_path / "study", page=page)
    made, paths = codes(study, "p1", "p2"), bundle.locate(study)
    server = serve(study)
    with client(server) as http:
        item = Participant(http, made["p1"])
        assert item.enter().json() == {"entered": True}
        item.finish(choice)
    until(paths.csv.exists)
    check_exported(study, ["p1"])
    with client(server) as http:
        item = Participant(http, made["p2"])
        item.enter()
        item.consent()
        form = fields(item.page().text)[0]
        item.answer(form, *choice(form["image"]))
        assert server.stop() == 0
        assert "stopped; all answers are in" in server.output
        table = pd.read_parquet(paths.table)
        assert table["annotator_id"].tolist() == ["p1"] * 16 + ["p2"]
        serve(study, port=server.port)  # the session goes on
        item.finish(choice)
        until(lambda: paths.csv.read_text().count("\n") == 1 + 32)
    table = check_exported(study, ["p1", "p2"])
    for _, rows in table.groupby("annotator_id"):
        assert rows["time_elapsed"].is_monotonic_increasing
        assert (rows["reaction_time"] <= rows["time_elapsed"] + 1e-3).all()
    output = tmp_path / "other.csv"
    assert cli.main(["answers", str(study), "--output", str(output)]) == 0
    assert output.read_bytes() == paths.csv.read_bytes()


def test_a_browser_without_scripts_is_led_on(study, inside):
    app = inside(study)
    participant = app.participant(consents=False)
    csrf = {"csrf": fields(participant.page().text, "/consent")[0]["csrf"]}
    assert participant.http.get("/").headers["location"] == "/work"
    for path, more in (("/consent", {"agree": "yes"}), ("/continue", {}), ("/leave", {})):
        response = participant.http.post(path, data=csrf | more)
        assert (response.status_code, response.headers["location"]) == (303, "/" if path == "/leave" else "/work")
    assert participant.http.get("/work").headers["location"] == "/"
    response = participant.http.post("/enter", data={"code": participant.code})
    cookie = response.headers["set-cookie"]
    assert (response.status_code, response.headers["location"]) == (303, "/work")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie


def test_the_page_of_a_batch_comes_back_where_one_was(tmp_path, inside):
    app = inside(stimuli_studies.folder(tmp_path / "study", page="batch", images=3, batches=1))
    participant = app.participant()
    forms = fields(participant.page().text)
    places = [
        participant.http.post("/answers", data=form | {"class": "1", "confidence": "low"}).headers["location"]
        for form in (forms[1], forms[2])
    ]
    places.append(participant.http.post("/undo", data={"csrf": forms[0]["csrf"]}).headers["location"])
    assert places == ["/work#image-3", "/work#image-3", "/work#image-3"]
    for form in fields(participant.page().text):
        if form["token"] != forms[1]["token"]:
            last = participant.http.post("/answers", data=form | {"class": "1", "confidence": "low"})
    assert last.headers["location"] == "/work"
    assert participant.post("/continue").json() == {
        "recorded": True,
        "answered": 3,
        "images": 6,
        "batch_complete": False,
    }


def test_times_are_the_browsers_where_they_can_be_true(study, inside):
    app = inside(study)
    participant = app.participant()
    for seconds, elapsed in ((2, "1500.5"), (2, "2500"), (2, "-1"), (2, ""), (2, "2000")):
        form = fields(participant.page().text)[0]
        app.clock.now += seconds
        assert participant.answer(form, 1, elapsed=elapsed).status_code == 200
        if fields(participant.page().text, "/continue"):
            participant.post("/continue")
    participant.post("/undo")
    form = fields(participant.page().text)[0]
    app.clock.now += 7
    participant.answer(form, 2)
    table = app.exported()
    assert table["reaction_time"].tolist() == [1500.5, 2000, 2000, 2000, 7000]
    assert table["time_elapsed"].tolist() == [2000, 4000, 6000, 8000, 17000]
    assert table["trial_index"].tolist() == [0, 1, 2, 3, 4]
    assert table["chosen_label"].tolist() == [1, 1, 1, 1, 2]


def test_batch_page_times_start_at_the_previous_answer(tmp_path, inside):
    app = inside(stimuli_studies.folder(tmp_path / "study", page="batch", batches=1, images=6))
    participant = app.participant()
    forms = fields(participant.page().text)
    # the third says more than there was; then the connection is cut for a while, and the next two arrive at once
    for form, seconds, elapsed in zip(
        forms, (2, 3, 4, 10, 0, 5), ("1500", "", "9000", "3000", "4000", ""), strict=True
    ):
        app.clock.now += seconds
        assert participant.answer(form, 1, elapsed=elapsed).status_code == 200
    table = app.exported()
    assert table["reaction_time"].tolist() == [1500, 3000, 4000, 3000, 4000, 5000]
    (row,), _, _ = app.overview()
    assert row["minutes"] == round((2 + 3 + 4 + 10 + 0 + 5) / 60, 1)
    assert row["per_minute"] == round(60 * 6 / 24, 1)


def test_an_answer_that_was_taken_back_is_one_before_too(tmp_path, inside):
    app = inside(stimuli_studies.folder(tmp_path / "study", page="batch", batches=1, images=3))
    participant = app.participant()
    forms = fields(participant.page().text)
    app.clock.now += 10
    participant.answer(forms[0], 1)
    participant.post("/undo")
    app.clock.now += 7
    participant.answer(forms[1], 1)
    assert app.exported()["reaction_time"].tolist() == [7000]


def test_only_a_new_last_answer_is_a_reason_to_export(tmp_path, inside):
    app = inside(stimuli_studies.folder(tmp_path / "study", batches=1, images=1))
    participant = app.participant()
    participant.answer(fields(participant.page().text)[0], 1)
    participant.post("/continue")
    last = fields(participant.page().text)[0]
    for _ in range(3):
        assert participant.answer(last, 2).status_code == 200
        assert app.done == 1
    participant.post("/undo")
    participant.answer(fields(participant.page().text)[0], 3)
    assert app.done == 2


def test_a_session_sends_so_many_requests_and_no_more(tmp_path, inside, monkeypatch):
    monkeypatch.setattr(SessionLimit.__init__, "__defaults__", (60, 600))  # 600 in 30 s: a busy machine is slower
    app = inside(stimuli_studies.folder(tmp_path / "study", page="batch", batches=1, images=2))
    participant, other = app.participant("p1"), app.participant("p2")
    form = fields(participant.page().text)[0]
    settings = [participant.http.post("/undo", data={"csrf": form["csrf"]}, headers=JSON) for _ in range(60)]
    assert {response.status_code for response in settings[:50]} == {409}
    assert settings[-1].status_code == 429
    assert 1 <= int(settings[-1].headers["retry-after"]) <= 600
    assert "too many requests" in settings[-1].json()["error"]
    again = app.client()
    again.post("/enter", data={"code": participant.code})  # another session of the same participant
    for path in ("/", "/work"):
        assert again.get(path).status_code == 429
    assert participant.http.get(f"/images/{form['image']}").status_code == 200  # the pages that are open keep theirs
    assert other.page().status_code == 200
    assert {participant.http.get(f"/images/{form['image']}").status_code for _ in range(100)} == {200}


def test_server_asks_again_after_the_consent_text_changes(tmp_path, inside):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=1)
    app = inside(study)
    participant, done = app.participant(), app.participant("p2")
    participant.answer(fields(participant.page().text)[0], 1)
    done.finish(choice)
    stimuli_studies.folder(study, batches=1, images=1, consent="It is otherwise now.")
    app = inside(study)
    http = app.client()
    http.post("/enter", data={"code": participant.code})
    again = Participant(http, participant.code)
    page = again.page().text
    assert "It is otherwise now." in page
    assert not fields(page)
    app.store.add(["p3"], "person")
    rows, totals, _ = app.overview()
    assert [(row["state"], row["answered"]) for row in rows] == [
        ("to consent again", 1), ("to consent again", 2), ("not begun", 0),
    ]  # fmt: skip
    assert totals["participants"] == "3: 1 not begun, 0 at work, 0 finished, 2 to consent again"
    again.acknowledged = dict(participant.acknowledged)
    assert "Thank you" in again.finish(choice).text
    assert len(app.exported()) == 4


def test_what_came_too_late_has_no_class(tmp_path, inside):
    app = inside(stimuli_studies.folder(tmp_path / "study", answer_seconds=5.0, image_seconds=2.0, batches=1, images=2))
    participant = app.participant()
    form = fields(participant.page().text)[0]
    app.clock.now += 1
    page = participant.page().text
    assert 'data-seconds="4.0"' in page
    assert 'data-image-seconds="2.0"' in page  # from when the image is there
    app.clock.now += 1
    assert participant.http.get(f"/images/{form['image']}").status_code == 200
    app.clock.now += 0.5
    page = participant.page().text
    assert 'data-seconds="2.5"' in page
    assert 'data-image-seconds="1.5"' in page
    app.clock.now += 10
    assert participant.http.get(f"/images/{form['image']}").status_code == 404
    late = {"recorded": True, "answered": 1, "images": 4, "batch_complete": False, "late": True}
    assert [participant.answer(form, 3).json() for _ in range(2)] == [late, late]
    form = fields(participant.page().text)[0]
    app.clock.now += 5
    output = participant.http.post("/answers", data=form, headers=JSON).json()
    assert output == {"recorded": True, "answered": 2, "images": 4, "batch_complete": True}
    assert participant.post("/undo").status_code == 409
    participant.post("/continue")
    assert participant.answer(fields(participant.page().text)[0], 3).status_code == 200
    assert "Thank you" not in participant.page().text
    assert app.done == 0
    app.clock.now += 60
    assert "Thank you" in participant.page().text
    assert app.done == 1
    table = app.exported()
    assert table["status"].tolist() == ["timed_out", "timed_out", "answered", "timed_out"]
    assert table["chosen_label"].isna().tolist() == [True, True, False, True]
    assert table["confidence"].isna().tolist() == [True, True, False, True]
    assert table["correct_guess"].tolist()[:2] == [0, 0]


def test_simulated_participants_are_called_so_everywhere(study, inside):
    app = inside(study)
    participant, person = app.participant("s1", "simulated", consents=False), app.participant("p1")
    for step in ("/consent", "/work", "/continue"):
        assert "simulated participant" in participant.page().text.lower(), step
        assert "simulated" not in person.page().text.lower()
        if step == "/consent":
            participant.consent()
        while step == "/work" and (forms := fields(participant.page().text)):
            participant.answer(forms[0], 1)
    assert "Thank you" in participant.finish(choice).text
    assert "simulated participant" in participant.page().text.lower()
    assert set(app.exported()["kind"]) == {"simulated"}


def test_organiser_page_shows_progress_but_no_answers(tmp_path, inside):
    app = inside(stimuli_studies.folder(tmp_path / "study", batches=1, images=3, checks=1))
    key, ids = app.key, app.store.bundle.ids
    # part 1: a check, then images on which three agree as 3:0 and 2:1
    given = {ids[0]: [key[ids[0]].label, key[ids[0]].label, (key[ids[0]].label + 1) % 10], ids[1]: [1, 1, 1],
             ids[2]: [2, 2, 3]}  # fmt: skip
    for number in range(3):
        participant = app.participant(f"p{number}")
        for _ in range(3):
            form = fields(participant.page().text)[0]
            app.clock.now += 4
            assert participant.answer(form, given[form["image"]][number]).status_code == 200
    app.store.add(["idle"], "person")
    app.clock.now += 60
    rows, totals, simulated = app.overview()
    assert simulated is False
    assert [row["state"] for row in rows] == ["at work", "at work", "at work", "not begun"]
    assert totals["participants"] == "4: 1 not begun, 3 at work, 0 finished"
    assert [(row["answered"], row["images"]) for row in rows] == [(3, 6)] * 3 + [(0, 6)]
    assert [row["checks_right"] for row in rows] == [1, 1, 0, 0]
    assert [(row["minutes"], row["per_minute"]) for row in rows[:3]] == [(0.2, 15.0)] * 3
    assert totals["answers"] == "9 of 24"
    assert totals["attention checks right"] == "2 of 3"
    # by hand: P = (1 + 1/3) / 2 = 2/3; shares 3/6, 2/6, 1/6: Pe = 14/36; (2/3 - 14/36) / (1 - 14/36) = 10/22
    assert totals["agreement (Fleiss' kappa), part 1"] == f"{10 / 22:.2f}"
    assert "agreement (Fleiss' kappa), part 2" not in totals
    http = app.client()
    http.post("/enter", data={"code": app.store.organiser(again=True)})
    page = http.get("/organiser").text
    assert "0.45" in page
    for secret in (*ids, *stimuli_studies.CLASSES, "adversarial", "label"):
        assert secret not in page
    for path in ("/answers", "/undo", "/consent"):
        csrf = fields(page, "/leave")
        assert http.post(path, data=csrf[0] if csrf else {"csrf": ""}).status_code == 403
    assert http.get(f"/images/{ids[0]}").status_code == 404
    assert http.get("/work").headers["location"] == "/organiser"


def test_the_images_are_those_of_the_study(study, inside):
    app = inside(study)
    participant = app.participant()
    form = fields(participant.page().text)[0]
    response = participant.http.get(f"/images/{form['image']}")
    assert response.headers["content-type"] == "image/png"
    stimuli = pd.read_parquet(bundle.locate(study).stimuli).set_index("id")
    assert response.content == stimuli["png"][form["image"]]
    assert np.all([participant.http.get(f"/static/{name}").status_code == 200 for name in ("style.css", "answers.js")])


def test_another_study_on_the_same_machine_ends_no_session(tmp_path, inside):
    """Cookies know no ports."""
    apps = [
        inside(stimuli_studies.folder(tmp_path / name, images=images)) for name, images in (("one", 3), ("other", 4))
    ]
    participant, other = (app.participant() for app in apps)
    assert set(participant.http.cookies).isdisjoint(other.http.cookies)
    participant.http.cookies.update(other.http.cookies)
    assert participant.page().status_code == 200
