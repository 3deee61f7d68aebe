"""When the batch system ends a job, as a stand-in for squeue tells it, and when the job stops before."""

import logging
import os
from datetime import datetime

import pytest

from robustlaws.runtime import resumable_state, slurm
from robustlaws.settings import Compute
from robustlaws.training import distributed


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Return a function that makes this a SLURM job whose squeue is a shell script of the given body."""

    def made(body):
        path = tmp_path / "squeue"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)

    return made


def test_outside_a_batch_system_nothing_ends(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert slurm.end() is None


def test_the_end_is_the_time_that_squeue_prints(squeue, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")  # what a user likes to read
    squeue(f'echo "$@ $SLURM_TIME_FORMAT" > {tmp_path}/asked; echo 2026-11-26T12:30:00')
    assert slurm.end() == datetime(2026, 11, 26, 12, 30).timestamp()
    assert (tmp_path / "asked").read_text().split() == ["--noheader", "--jobs", "17", "--format", "%e", "standard"]


def test_the_end_that_slurm_gives_with_the_job_is_not_asked_for(squeue, monkeypatch):
    squeue("exit 1")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1795687800")
    assert slurm.end() == 1795687800.0


@pytest.mark.parametrize(("word", "ends"), [("RUNNING", False), ("COMPLETING", True), ("CANCELLED", True)])
def test_states_stay_in_a_job_that_is_being_ended(squeue, tmp_path, word, ends):
    squeue(f"echo {word}")
    (tmp_path / "kept").mkdir()
    resumable_state.forget(tmp_path / "kept")
    assert slurm.ending() == ends == (tmp_path / "kept").exists()


def test_a_batch_system_that_does_not_answer_ends_nothing(squeue):
    squeue("exit 1")
    assert not slurm.ending()


@pytest.mark.parametrize("word", ["N/A", "NONE", "Unknown"])
def test_a_job_without_a_limit_has_no_end(squeue, word, caplog):
    squeue(f"echo {word}")
    assert slurm.end() is None
    assert not caplog.records


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1", "Unable to contact slurm"),
        ("echo soon", "soon"),
        ("true", "squeue says nothing"),
    ],
)
def test_an_end_that_cannot_be_told_is_one_warning(squeue, caplog, body, says):
    squeue(body)
    with caplog.at_level(logging.WARNING):
        assert slurm.end() is None
    (record,) = caplog.records
    assert "the end of SLURM job 17 is not known" in record.message
    assert says in record.message


@pytest.mark.parametrize(
    ("budget", "ends", "deadline"),
    [
        (None, None, None),
        (30.0, None, 1000 + 1800),
        (None, 1000 + 600, 1000 + 540),  # a tenth of ten minutes before
        (None, 1000 + 36_000, 1000 + 35_700),  # five minutes before, at most
        (5.0, 1000 + 600, 1000 + 300),
        (15.0, 1000 + 600, 1000 + 540),
    ],
)
def test_a_job_stops_at_its_budget_or_before_its_end(budget, ends, deadline):
    assert Compute(budget_minutes=budget, ends=ends).deadline(1000.0) == deadline


def test_a_job_of_one_process_takes_one_gpu_of_one_node():
    config = {"gpus": 4, "nodes": 2, "state_minutes": 5.0, "budget_minutes": 60.0}
    alone = Compute.of_one(config, 3, 1, 99.0)
    assert (alone.gpus, alone.ranks, alone.threads, alone.ends, alone.budget_minutes) == (1, 1, 3, 99.0, 60.0)


def test_slurm_step_sees_the_whole_job(monkeypatch):
    for name, value in {"SLURM_JOB_ID": "17", "SLURM_NNODES": "1", "SRUN_CPUS_PER_TASK": "1", "OTHER": "x"}.items():
        monkeypatch.setenv(name, value)
    result = slurm.of_job()
    assert (result["SLURM_JOB_ID"], result["OTHER"]) == ("17", "x")
    assert not {"SLURM_NNODES", "SRUN_CPUS_PER_TASK"} & set(result)
    assert slurm.on_each_node(3, 2)[:3] == ["srun", "--overlap", "--nodes=3"]


def test_nodes_that_nothing_starts_a_process_on_are_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ValueError, match=r"compute\.nodes: 2 asked for, .*give compute\.node_command"):
        distributed.launch("module:function", {}, Compute(nodes=2), tmp_path)
