"""What a vision model costs, and that no reply is lost or asked for twice, whatever ends the job."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from robustlaws.humans.vision_models import participant
from robustlaws.humans.vision_models.participant import ask
from robustlaws.storage import human_tables, tables
from tests.support.openai_server import USAGE, completion, serving
from tests.support.vision_study import ASKING, CAT, SETTINGS, Stimuli, asked, changed, hasten, lines, one_line

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json, sys
from pathlib import Path
from robustlaws.humans.vision_models.participant import ask
from robustlaws.settings.humans import Asking, VisionModel
settings, asking = VisionModel(**json.loads(sys.argv[2])), Asking(**json.loads(sys.argv[3]))
ask(**json.loads(sys.argv[1]), settings=settings, asking=asking, key="sk-very-secret-0123456789")
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    hasten(monkeypatch)


@pytest.fixture
def stimuli(tmp_path):
    return Stimuli(tmp_path)


PRICE = {"input": 10.0, "output": 100.0}  # 0.01 + 0.01 US dollars for the usage of a reply here


def test_the_cost_stays_within_the_limit_and_nothing_is_lost(stimuli, caplog):
    with serving(lambda image, turn: CAT) as server:
        bounded = {"price": PRICE, "parameters": {"max_tokens": 100}}
        with pytest.raises(ValueError, match="the cost limit of 0.15 US dollars is reached") as failure:
            asked(stimuli, server, cost_limit=0.15, **bounded)
        assert "5 of 12 images have no reply" in one_line(failure)
        assert "0.1400 spent" in str(failure.value)
        assert len(server.requests) == 7  # 7 x 0.02
        with pytest.raises(ValueError, match="3 of 12 .*0.19 US dollars is reached"):
            asked(stimuli, server, cost_limit=0.19, **bounded)
        assert len(server.requests) == 9
        asked(stimuli, server, cost_limit=0.24, **bounded)
    assert set(server.asked.values()) == {1}
    assert sum(line["cost"] for line in lines(stimuli)) == pytest.approx(0.24)


def test_nothing_is_asked_where_one_request_may_cost_too_much(stimuli):
    with serving(lambda image, turn: CAT) as server:
        with pytest.raises(ValueError, match="cost limit of 0.001 .*12 of 12|12 of 12 .*cost limit of 0.001"):
            asked(stimuli, server, price=PRICE, cost_limit=0.001)
    assert not server.requests


def test_reply_without_cost_counts_its_maximum(stimuli, caplog):
    with (
        caplog.at_level("WARNING", logger="robustlaws"),
        serving(lambda image, turn: {"body": completion("cat, high", usage=None)}) as server,
    ):
        with pytest.raises(ValueError, match="cost limit"):
            asked(stimuli, server, price=PRICE, cost_limit=1.0, parameters={"max_tokens": 100})
    assert "an upper estimate is counted" in caplog.text
    assert 1 <= len(server.requests) < 12
    assert all(line["cost"] > 0.02 for line in lines(stimuli))


def test_attempts_that_may_be_charged_count(stimuli):
    broken = {"body": {"choices": [], "usage": USAGE}}
    with serving(lambda image, turn: CAT if turn else broken) as server:
        asked(stimuli, server, images=1, price=PRICE)
    assert [line["status"] for line in lines(stimuli)].count("failed") == 2
    assert sum(line["cost"] > 0 for line in lines(stimuli)) == 4


def test_a_replay_asks_nothing(stimuli, tmp_path, monkeypatch):
    texts = iter(["cat, high", "dog, low", "racing car, high", "no idea"] * 3)
    with serving(lambda image, turn: {"body": completion(next(texts))}) as server:
        answers = asked(stimuli, server, concurrency=1)
        settings = replace(SETTINGS, address=server.address, replay=True)
    kept = tmp_path / "kept.jsonl"
    stimuli.replies.rename(kept)
    kept.write_bytes(kept.read_bytes() + b'{"request": "tor')
    before = kept.read_bytes()

    def none(*_, **__):
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", none)
    elsewhere = tmp_path / "again.parquet"
    ask(**stimuli.paths(replay_paths=[kept], answers_path=elsewhere), settings=settings, asking=ASKING, key=None)
    assert tables.read(elsewhere, human_tables.ANSWERS).equals(answers)
    assert kept.read_bytes() == before
    assert {"answered", "unparsable"} == set(answers["status"])
    another = replace(settings, model="another")
    with pytest.raises(ValueError, match="no recorded reply for 12 of 12 images") as failure:
        ask(**stimuli.paths(replay_paths=[kept], answers_path=elsewhere), settings=another, asking=ASKING, key=None)
    one_line(failure)
    with pytest.raises(ValueError, match="for a model with replay only"):
        ask(**stimuli.paths(replay_paths=[kept]), settings=replace(settings, replay=False), asking=ASKING, key=None)


def test_a_torn_last_line_is_cut_and_a_damaged_one_is_named(stimuli):
    with serving(lambda image, turn: CAT) as server:
        asked(stimuli, server)
        whole = stimuli.replies.read_bytes()
        last = whole.rstrip(b"\n").rfind(b"\n") + 1
        for torn in (whole[:-1], whole[: last + 20], whole[:last] + b"\0" * 5000):
            stimuli.replies.write_bytes(torn)
            before = len(server.requests)
            assert len(asked(stimuli, server)) == 12
            assert len(server.requests) == before + 1
            assert len(lines(stimuli)) == 12
        stimuli.replies.write_bytes(b"{}\n" + whole)
        with pytest.raises(ValueError, match="replies.jsonl line 1: not a recorded reply"):
            asked(stimuli, server)


def test_a_disk_that_fills_up_ends_the_job_and_spoils_nothing(stimuli, monkeypatch):
    write, calls = os.pwrite, []

    def full(number, data, offset):
        calls.append(1)
        if len(calls) == 5:
            return write(number, data[:10], offset)
        if len(calls) == 6:
            raise OSError(28, "No space left on device")
        return write(number, data, offset)

    with serving(lambda image, turn: CAT) as server:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left") as failure:
            asked(stimuli, server, concurrency=1)
        assert str(stimuli.replies) in str(failure.value)
        assert len(lines(stimuli)) == 4
        monkeypatch.undo()
        assert len(asked(stimuli, server)) == 12


def test_two_jobs_do_not_ask_at_once(stimuli):
    with serving(lambda image, turn: CAT | {"delay": 0.6}) as server:
        job = start(stimuli, server, concurrency=1, images=2)
        wait_for(server, 1, job)
        with pytest.raises(ValueError, match="another process is at work"):
            asked(stimuli, server)
        assert job.wait(60) == 0
    assert set(server.asked.values()) == {1}
    assert len(server.asked) == 4


def test_killed_jobs_go_on_and_ask_only_for_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(participant, "_LOCK_SECONDS", 60.0)
    stimuli, moments, kills = Stimuli(tmp_path, count=20), random.Random(5), 2
    with serving(lambda image, turn: CAT | {"delay": 0.02}) as server:
        kept = set()
        for kill in range(kills):
            job = start(stimuli, server)
            wait_for(server, 8 * (kill + 1), job)
            time.sleep(moments.uniform(0, 0.03))
            os.kill(job.pid, signal.SIGKILL)
            job.wait()
            whole = stimuli.replies.read_bytes().rpartition(b"\n")[0]
            now = {json.loads(line)["request"] for line in whole.splitlines()}
            assert kept < now
            kept = now
        before = len(server.requests)
        assert before < 40
        assert len(asked(stimuli, server)) == 40
    assert len(server.requests) - before == 40 - len(kept)
    # asked twice at most those that were under way when a job was killed
    assert len(server.requests) - len(server.asked) <= kills * ASKING.concurrency
    assert len({line["request"] for line in lines(stimuli)}) == len(lines(stimuli)) == 40


def start(stimuli, server, **changes):
    """Ask in a process of its own."""
    paths = {
        name: [str(item) for item in path] if isinstance(path, list) else str(path)
        for name, path in stimuli.paths().items()
    }
    settings = map(asdict, changed(address=server.address, **changes))
    command = [sys.executable, "-c", PROGRAM, json.dumps(paths), *map(json.dumps, settings)]
    environment = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def wait_for(server, requests, job):
    deadline = time.monotonic() + 60
    while len(server.requests) < requests:
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_log_says_how_far_it_is_and_what_it_costs(stimuli, caplog):
    with caplog.at_level("INFO", logger="robustlaws"), serving(lambda image, turn: CAT) as server:
        asked(stimuli, server, price=PRICE)
    assert re.search(r"asking seer: 12 of 12 images \(100 %\), .*/s, 0 s left; 0.2400 US dollars", caplog.text)
    assert "seer: 12 of 12 images have a reply; 0.2400 US dollars" in caplog.text
    assert "seer: 12 answered" in caplog.text


def test_a_reply_that_other_json_readers_refuse_is_kept(stimuli):
    odd = json.dumps(completion("\u00e9\ud800\ncat, high") | {"logprob": float("-inf")})
    with serving(lambda image, turn: {"body": odd}) as server:
        for _ in range(2):
            answers = asked(stimuli, server, images=1)
    assert set(server.asked.values()) == {1}
    assert set(answers["chosen_category"]) == {"cat"}
    assert lines(stimuli)[0]["reply"]["choices"][0]["message"]["content"].startswith("\u00e9\ud800")
