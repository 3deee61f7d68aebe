"""A vision model as a participant, against a local server of the same protocol that fails in every way."""

import socket
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from robustlaws.humans.vision_models import requests
from robustlaws.humans.vision_models.participant import ask
from robustlaws.runtime import job_log
from robustlaws.storage import human_tables, tables
from tests.support.openai_server import USAGE, completion, error, serving
from tests.support.vision_study import (
    ASKING,
    CAT,
    KEY,
    NAMES,
    SETTINGS,
    Stimuli,
    asked,
    changed,
    hasten,
    lines,
    one_line,
    pixels_sent,
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    hasten(monkeypatch)


@pytest.fixture
def stimuli(tmp_path):
    return Stimuli(tmp_path)


def test_each_image_is_asked_for_once_as_the_settings_say(stimuli):
    with serving(lambda image, turn: CAT) as server:
        answers = asked(stimuli, server, parameters={"temperature": 0, "seed": 7, "top_k": 1})
        again = asked(stimuli, server, parameters={"temperature": 0, "seed": 7, "top_k": 1})
    assert len(server.requests) == 12
    assert set(server.asked.values()) == {1}
    assert list(zip(answers["variant"], answers["cifar10_test_test_idx"], strict=True)) == stimuli.order
    assert again.equals(answers)
    assert list(answers["trial_index"]) == list(range(12))
    assert (answers["is_attn_check"] == 0).all()
    assert set(answers["kind"]) == {"model"}
    assert (answers["correct_guess"] == (answers["true_label"] == 0)).all()
    assert [NAMES[label] for label in answers["true_label"]] == list(answers["true_category"])
    assert set(zip(answers["chosen_category"], answers["confidence"], answers["status"], strict=True)) == {
        ("cat", "high", "answered")
    }
    sent = {pixels_sent(body).tobytes() for _, _, body, _ in server.requests}
    enlarged = {
        stimuli.pixels[variant][index].repeat(8, axis=0).repeat(8, axis=1).tobytes() for variant, index in stimuli.order
    }
    assert sent == enlarged  # 60 pixels: 8 for each of 8, nearest neighbour
    path, headers, body, _ = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert set(body) == {"model", "messages", "temperature", "seed", "top_k"}
    assert (body["model"], body["temperature"], body["seed"], body["top_k"]) == ("seer-1", 0, 7, 1)
    text = body["messages"][0]["content"][0]["text"]
    assert "cat, dog, racing car, car" in text
    assert "these 4 classes" in text
    assert "{" not in text


def test_smooth_enlarging_is_pillows(stimuli):
    with serving(lambda image, turn: CAT) as server:
        asked(stimuli, server, smooth=True, variants=("clean",), images=1, concurrency=1)
    (_, _, body, _), (_, index) = server.requests[0], next(o for o in stimuli.order if o[0] == "clean")
    expected = Image.fromarray(stimuli.clean[index]).resize((64, 64), Image.Resampling.BICUBIC)
    assert (pixels_sent(body) == np.asarray(expected)).all()


def test_variants_and_number_of_images_are_those_asked_for(stimuli):
    with serving(lambda image, turn: CAT) as server:
        answers = asked(stimuli, server, images=2)
        assert len(server.requests) == 4
        clean = asked(stimuli, server, variants=("clean",), images=3)
        assert len(server.requests) == 5  # two of them have a reply
    expected = [o for v in ("adversarial", "clean") for o in [item for item in stimuli.order if item[0] == v][:2]]
    assert list(zip(answers["variant"], answers["cifar10_test_test_idx"], strict=True)) == expected
    assert list(clean["variant"]) == ["clean"] * 3


def test_without_names_the_classes_are_their_numbers(tmp_path):
    stimuli = Stimuli(tmp_path, class_names=None)
    with serving(lambda image, turn: {"body": completion("3, low")}) as server:
        answers = asked(stimuli, server)
    assert set(answers["chosen_category"]) == {"3"}
    assert set(answers["chosen_label"]) == {3}
    assert "0, 1, 2, 3" in server.requests[0][2]["messages"][0]["content"][0]["text"]


def test_a_changed_prompt_asks_anew_and_an_old_one_does_not(stimuli, tmp_path):
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("\ufeffWhich of {classes}? Say {it}, {{so}}.\n", encoding="utf-8")
    with serving(lambda image, turn: CAT) as server:
        asked(stimuli, server)
        asked(stimuli, server, paths={"prompt_paths": [prompt]})
        assert len(server.requests) == 24
        text = server.requests[-1][2]["messages"][0]["content"][0]["text"]
        assert text == "Which of cat, dog, racing car, car? Say {it}, {{so}}."
        asked(stimuli, server)
        asked(stimuli, server, paths={"prompt_paths": [prompt]})
        assert len(server.requests) == 24
        asked(stimuli, server, model="seer-2", images=1)
        asked(stimuli, server, enlarged=16, images=1)
        asked(stimuli, server, parameters={"temperature": 0.5}, images=1)
        assert len(server.requests) == 30


def test_temperature_is_zero_unless_the_parameters_say_otherwise(stimuli):
    with serving(lambda image, turn: CAT) as server:
        asked(stimuli, server, parameters={}, images=1)
        asked(stimuli, server, parameters={"temperature": None, "max_completion_tokens": 50}, images=1)
    first, last = server.requests[0][2], server.requests[-1][2]
    assert first["temperature"] == 0
    assert "temperature" not in last
    assert last["max_completion_tokens"] == 50


FAULTS = {
    "too many requests": {"status": 429, "headers": {"Retry-After": "0.1"}, "body": error("slow down")},
    "server error": {"status": 500, "body": "oops"},
    "bad gateway": {"status": 502, "body": "<html>"},
    "overloaded": {"status": 503, "body": error("overloaded")},
    "time-out": {"delay": 0.6, "body": completion("dog, high")},
    "cut": {"cut": True, "body": completion("dog, high")},
    "garbage": {"body": '{"choices": [{"mess'},
    "not JSON": {"body": b"\xff\xfe\x00"},
    "no choices": {"body": {"choices": [], "usage": USAGE}},
    "null": {"body": "null"},
    "error with status 200": {"body": error("upstream failed")},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_trouble_that_may_pass_is_tried_again(stimuli, fault):
    with serving(lambda image, turn: fault if turn < 2 else CAT) as server:
        answers = asked(stimuli, server, images=1, attempts=3, timeout=0.3)
        assert set(server.asked.values()) == {3}
        asked(stimuli, server, images=1)
        assert set(server.asked.values()) == {3}
    assert list(answers["status"]) == ["answered"] * 2
    replied = [line for line in lines(stimuli) if line["reply"] is not None]
    assert [line["attempts"] for line in replied] == [3, 3]


@pytest.mark.parametrize("date", [False, True], ids=["seconds", "date"])
def test_retry_after_is_honoured(stimuli, date):
    # a date has whole seconds
    wait = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2)) if date else "0.7"
    limited = {"status": 429, "headers": {"Retry-After": wait}, "body": error("slow")}
    with serving(lambda image, turn: CAT if turn else limited) as server:
        asked(stimuli, server, variants=("clean",), images=1)
    first, second = (when for _, _, _, when in server.requests)
    assert second - first > 0.65


def test_waits_double_with_jitter_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(requests, "_FIRST_WAIT", 1.0)
    for attempt in range(1, 12):
        waits = [requests._wait(attempt, None) for _ in range(50)]
        longest = min(2.0 ** (attempt - 1), requests._LONGEST_WAIT)
        assert longest / 2 <= min(waits) < max(waits) <= longest
    assert requests._wait(1, 30.0) == 30.0
    assert requests._wait(1, 3600.0) is None


def test_an_image_without_a_reply_leaves_the_others(stimuli, caplog):
    lost = set()

    def script(image, turn):
        if not lost:
            lost.add(image)
        return {"status": 503, "body": error("overloaded")} if image in lost else CAT

    with serving(script) as server:
        with pytest.raises(ValueError, match="1 of 12 images have no reply") as failure:
            asked(stimuli, server)
        assert "HTTP status 503, overloaded" in one_line(failure)
        assert "asks only for the rest" in str(failure.value)
        assert sorted(server.asked.values()) == [1] * 11 + [3]
        assert not stimuli.answers.exists()
        lost.clear()
        lost.add("none")
        assert len(asked(stimuli, server)) == 12
    assert sorted(server.asked.values()) == [1] * 11 + [4]


def test_an_endpoint_that_is_down_is_not_asked_for_every_image(tmp_path):
    stimuli = Stimuli(tmp_path, count=30)
    with serving(lambda image, turn: {"status": 500, "body": ""}) as server:
        with pytest.raises(ValueError, match=r"60 of 60 .*given up after 2\d images in a row"):
            asked(stimuli, server, attempts=1)
    assert len(server.requests) < 30


def test_nobody_at_the_address(stimuli):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ValueError, match="12 of 12 images have no reply .no connection .*refused|attempts failed"):
        ask(
            **stimuli.paths(), settings=replace(SETTINGS, address=address), asking=replace(ASKING, attempts=1), key=None
        )


REFUSALS = {
    "refusal": {"body": completion(None, refusal="I cannot help with that.")},
    "content filter": {"body": completion("", finish="content_filter")},
    "policy": {"status": 400, "body": error("Your image may contain ...", "content_policy_violation")},
    "inner": {
        "status": 400,
        "body": {"error": {"code": "x", "message": "", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    },
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_recorded_and_not_asked_again(stimuli, refusal):
    with serving(lambda image, turn: refusal) as server:
        for _ in range(2):
            answers = asked(stimuli, server, images=2, price={"input": 1, "output": 1}, cost_limit=1.0)
    assert set(server.asked.values()) == {1}
    assert set(answers["status"]) == {"refused"}
    assert answers[["chosen_category", "chosen_label", "confidence"]].isna().all().all()
    assert (answers["correct_guess"] == 0).all()
    assert lines(stimuli)[0]["reply"] == refusal["body"]
    assert (lines(stimuli)[0]["cost"] == 0) == (refusal.get("status") == 400)


@pytest.mark.parametrize("text", ["It is hard to say.", "cat or dog, low", "", None, "tiger, high"])
def test_an_unparsable_reply_is_recorded_as_such(stimuli, text):
    with serving(lambda image, turn: {"body": completion(text, finish="length")}) as server:
        for _ in range(2):
            answers = asked(stimuli, server, images=2)
    assert set(server.asked.values()) == {1}
    assert set(answers["status"]) == {"unparsable"}
    assert answers[["chosen_category", "chosen_label", "confidence"]].isna().all().all()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"status": 401, "body": error(f"Incorrect API key provided: {KEY}")}, "environment variable SEER_KEY"),
        ({"status": 403, "body": error("no")}, "environment variable SEER_KEY"),
        ({"status": 404, "body": error("no model seer-1")}, "no model seer-1; check the model's name and the address"),
        ({"status": 400, "body": error(f"unknown parameter, by {KEY}")}, r"unknown parameter, by \[key\]"),
        ({"status": 429, "body": error("no money left", "insufficient_quota")}, "no money left"),
    ],
)
def test_what_no_other_request_would_pass_ends_at_once(stimuli, answer, complaint, tmp_path):
    with serving(lambda image, turn: answer) as server:
        with pytest.raises(ValueError, match=complaint) as failure:
            asked(stimuli, server, concurrency=1)
    one_line(failure)
    assert len(server.requests) == 1
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_key_is_in_no_file_and_no_log(stimuli, tmp_path):
    echo = {"body": completion(f"{KEY}\ncat, high")}
    faults = [{"status": 500, "body": KEY}, {"body": KEY}, echo]
    with job_log.to(tmp_path / "job.log"), serving(lambda image, turn: faults[turn]) as server:
        asked(stimuli, server, images=1)
    assert "seer" in (tmp_path / "job.log").read_text()
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(ValueError, match="SEER_KEY: holds characters") as failure:
        asked(stimuli, server, key=f"{KEY}\u20ac")
    one_line(failure)


def test_the_environment_of_another_account_is_not_used(stimuli, monkeypatch):
    with serving(lambda image, turn: CAT) as server, serving(lambda image, turn: CAT) as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.address)
        for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
            monkeypatch.setenv(name, "of-another")
        asked(stimuli, server, key=None, images=1)
        assert not other.requests
    for _, headers, _, _ in server.requests:
        assert "of-another" not in str(headers)
        assert "authorization" not in headers
    with pytest.raises(ValueError, match="SEER_KEY is not set"):
        ask(**stimuli.paths(), settings=replace(SETTINGS, address=None), asking=ASKING, key=None)


def test_no_more_requests_at_a_time_than_the_settings_say(stimuli):
    with serving(lambda image, turn: CAT | {"delay": 0.05}) as server:
        asked(stimuli, server, concurrency=4)
    assert server.most_at_work == 4


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"cost_limit": 1.0}, "cost_limit without price"),
        ({"price": {"input": 1.0}}, "give input and output"),
        ({"price": {"input": 1.0, "output": -1}}, "give input and output"),
        ({"parameters": {"stream": True}}, "parameters of seer: stream"),
        ({"variants": ("noisy",)}, "unknown 'noisy'; known: adversarial, clean"),
        ({"address": "localhost:8000"}, "begins with http"),
        ({"replay": True}, "replay without a file"),
    ],
)
def test_impossible_settings_are_refused(stimuli, changes, complaint):
    settings, asking = changed(**changes)
    with pytest.raises(ValueError, match=complaint) as failure:
        ask(**stimuli.paths(), settings=settings, asking=asking, key=KEY)
    one_line(failure)
    assert not stimuli.replies.exists()


@pytest.mark.parametrize(("text", "complaint"), [(b" \n", "empty"), (b"\xff\xfe", "not a text in UTF-8")])
def test_a_prompt_that_is_none_is_refused(stimuli, tmp_path, text, complaint):
    (tmp_path / "prompt.txt").write_bytes(text)
    with pytest.raises(ValueError, match=f"prompt.txt: {complaint}"):
        ask(**stimuli.paths(prompt_paths=[tmp_path / "prompt.txt"]), settings=SETTINGS, asking=ASKING, key=KEY)


def test_pictures_that_are_the_same_share_one_request(stimuli):
    table = tables.read(stimuli.folder / "stimuli.parquet", human_tables.STIMULI)
    table["png"] = [table["png"][0]] * len(table)
    tables.write(stimuli.folder / "stimuli.parquet", table, human_tables.STIMULI)
    with serving(lambda image, turn: CAT) as server:
        assert len(asked(stimuli, server)) == 12
    assert len(server.requests) == 1
