"""Locks on state folders, GPUs and the working directory."""

import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from robustlaws.runtime import file_lock, folder_lock, gpu_lock, workflow_lock


def elsewhere(**more):
    """Return the signature of a process on another machine."""
    return folder_lock.signature() | {"boot": "another", "host": "node7", "process": 12, "job": None} | more


def write(path, about):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about))


def run(program, *arguments):
    """Start `program`; return it once it has said something."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline()
    return process


HOLDS = """
import sys, time
from robustlaws.runtime import folder_lock
from robustlaws.runtime.folder_lock import locked
with locked(sys.argv[1]):
    print("has it", flush=True)
    time.sleep(60)
"""


def test_a_killed_holder_of_this_machine_is_followed_at_once(tmp_path):
    process = run(HOLDS, tmp_path)
    with pytest.raises(
        ValueError, match=rf"at work on this run \(process {process.pid} on .*, since .*\); wait for it"
    ):
        with folder_lock.locked(tmp_path, seconds=0.2):
            pass
    process.kill()
    process.wait()
    assert (tmp_path / "holder.json").exists()
    with folder_lock.locked(tmp_path, seconds=5):
        assert json.loads((tmp_path / "holder.json").read_text())["process"] == os.getpid()
    assert os.listdir(tmp_path) == ["lock"]


def test_folder_lock_respects_a_remote_holders_heartbeat(tmp_path):
    """On a file system that does not pass locks on: the lock is free and the other machine's process at work."""
    holder, stop = tmp_path / "holder.json", threading.Event()
    write(holder, elsewhere(id="x", job="41"))

    def live():
        while not stop.wait(0.05):
            os.utime(holder)

    alive = threading.Thread(target=live)
    alive.start()
    with pytest.raises(ValueError, match="process 12 on node7, SLURM job 41, since"):
        with folder_lock.locked(tmp_path, seconds=0.5, silence=1.0):
            pass
    stop.set()
    alive.join()
    with folder_lock.locked(tmp_path, seconds=0.5, silence=0.3):
        assert json.loads(holder.read_text())["id"] != "x"


def test_a_holder_that_was_given_up_ends(tmp_path):
    process = run(HOLDS.replace("with locked", "folder_lock._BEAT = 0.1\nwith locked"), tmp_path)
    write(tmp_path / "holder.json", elsewhere(id="y"))
    assert process.wait(30) == 1


def test_folder_lock_checks_process_ids_without_kernel_locks(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock.fcntl, "flock", none)
    process = subprocess.Popen(["sleep", "60"])
    write(tmp_path / "holder.json", folder_lock.signature() | {"id": "x", "process": process.pid})
    try:
        with pytest.raises(ValueError, match=f"process {process.pid}"):
            with folder_lock.locked(tmp_path, seconds=0.3):
                pass
    finally:
        process.kill()
        process.wait()
    with folder_lock.locked(tmp_path, seconds=0.3):
        pass


TAKES = """
import sys, time
from robustlaws.runtime import gpu_lock
print(gpu_lock.take(int(sys.argv[1]), ["a", "b", "c"], 0.3, sys.argv[2]), flush=True)
time.sleep(60)
"""


def test_jobs_of_one_machine_take_different_gpus(tmp_path, monkeypatch):
    """Names stand for GPUs: there are none here."""
    monkeypatch.setattr(gpu_lock, "_held", {})
    first = run(TAKES, 2, tmp_path)
    assert gpu_lock.take(1, ["a", "b", "c"], 0.3, tmp_path) == [2]
    assert gpu_lock.take(1, ["a", "b", "c"], 0.3, tmp_path) == [2]  # what the process has is not waited for
    with pytest.raises(ValueError, match="2 of 3 GPUs wanted, 1 free for 0.3 s: other jobs have them"):
        gpu_lock.take(2, ["a", "b", "c"], 0.3, tmp_path)
    # a scheduler's choice for another job may show the same ones in another order
    monkeypatch.setattr(gpu_lock, "_held", {})
    with pytest.raises(ValueError, match="1 of 1 GPUs wanted, 0 free"):
        gpu_lock.take(1, ["b"], 0.3, tmp_path)
    first.kill()
    first.wait()
    assert gpu_lock.take(1, ["b", "a"], 5, tmp_path) == [0]


def test_gpu_locks_serve_all_users_and_skip_closed_files(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(gpu_lock, "_held", {})
    before = os.umask(0o077)
    try:
        assert gpu_lock.take(1, ["a"], 0.3, tmp_path) == [0]
    finally:
        os.umask(before)
    assert (tmp_path / "robustlaws-gpu-a.lock").stat().st_mode & 0o777 == 0o644
    opened = os.open

    def refused(path, *arguments):
        if str(path).endswith("-b.lock"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(gpu_lock.os, "open", refused)
    assert gpu_lock.take(2, ["b", "a", "c"], 0.3, tmp_path) == [1, 2]  # those that can be locked first
    assert gpu_lock.take(3, ["b", "a", "c"], 0.3, tmp_path) == [1, 2, 0]
    assert "b.lock'" in caplog.text


def test_workflow_lock_refuses_a_live_snakemake_of_the_study(tmp_path):
    sleeping = subprocess.Popen(["sleep", "60"])
    record = tmp_path / ".snakemake/robustlaws/other.json"
    about = folder_lock.signature() | {"study": "digits", "log": "x", "process": sleeping.pid}
    about["started"] = workflow_lock.psutil.Process(sleeping.pid).create_time()
    write(record, about)
    (tmp_path / ".snakemake/locks").mkdir()
    (tmp_path / ".snakemake/locks/0.input.lock").write_text("x")
    try:
        with pytest.raises(ValueError, match=rf"on the study digits \(process {sleeping.pid} .*stop it$"):
            workflow_lock.register("digits", "log", tmp_path)
        assert os.listdir(record.parent) == ["other.json"]
        with pytest.raises(ValueError, match="is at work here on the study digits"):
            workflow_lock.clear(tmp_path)
        workflow_lock.register("another", "log", tmp_path)
    finally:
        sleeping.kill()
        sleeping.wait()
    (mine,) = set(record.parent.glob("*.json")) - {record}
    mine.unlink()
    assert workflow_lock.clear(tmp_path) == 1
    assert os.listdir(record.parent) == []


def test_the_record_goes_with_its_process(tmp_path):
    program = (
        "import sys; from robustlaws.runtime import workflow_lock;"
        " workflow_lock.register('digits', 'log', sys.argv[1]); print(1)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
    assert os.listdir(tmp_path / ".snakemake/robustlaws") == []


HERE = folder_lock.signature()["host"]


@pytest.mark.parametrize(
    ("host", "started", "refused"),
    [("node7", 0, True), (HERE, 0, False), (HERE, time.time(), True)],
    ids=["elsewhere", "here before the start", "here"],  # of the time, names would differ between processes
)
def test_workflow_lock_keeps_remote_and_drops_prereboot_records(tmp_path, host, started, refused):
    """Two machines may go by one name."""
    write(tmp_path / ".snakemake/robustlaws/r.json", elsewhere(host=host, study="digits", log="x", started=started))
    (tmp_path / ".snakemake/locks").mkdir()
    (tmp_path / ".snakemake/locks/0.input.lock").write_text("x")
    if refused:
        with pytest.raises(ValueError, match=rf"on {host}, since .*; if it is gone, delete .*r.json and run again$"):
            workflow_lock.clear(tmp_path)
        assert (tmp_path / ".snakemake/locks/0.input.lock").exists()
    else:
        assert workflow_lock.clear(tmp_path) == 1


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Return a function that says what `squeue` answers: a program of that name stands for it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "squeue"
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def answer(*lines):
        (folder / "answer").write_text("".join(f"{line}\n" for line in lines))
        program.write_text(f'#!/bin/sh\ncase "$*" in *--me*) cat {folder}/answer;; *--jobs=77*) echo 77;; esac\n')
        program.chmod(0o755)

    return answer


def test_jobs_that_a_killed_snakemake_left_in_slurm_are_named(tmp_path, squeue):
    squeue(
        f"1|run-a|{tmp_path}|rule_train_run_wildcards_m_d_1_1",
        f"2|run-a|{tmp_path}|rule_attack_run_wildcards_a|b",
        f"3|run-a|{tmp_path}/other|rule_attack_run_wildcards_b",
        f"4|make-study|{tmp_path}|(null)",
        f"5|run-b|{tmp_path}|rule_attack_run_wildcards_c",
    )
    (tmp_path / "log").write_text("SLURM run ID: run-b\n")
    alive = folder_lock.signature() | {"study": "b", "log": str(tmp_path / "log")}
    write(tmp_path / ".snakemake/robustlaws/b.json", alive | {"started": workflow_lock.psutil.Process().create_time()})
    assert workflow_lock.left_jobs(tmp_path) == {"run-a": 2}
    expected = r"SLURM jobs of a Snakemake that is gone still run or wait \(2\); .* cancel them: scancel --name run-a$"
    for call in (lambda: workflow_lock.clear(tmp_path), lambda: workflow_lock.register("a", "log", tmp_path)):
        with pytest.raises(ValueError, match=expected):
            call()
    squeue()
    assert workflow_lock.clear(tmp_path) == 0


@pytest.mark.parametrize(("job", "there"), [("77", True), ("78", False)])
def test_workflow_lock_asks_slurm_about_a_snakemake_job(tmp_path, squeue, job, there):
    squeue()
    write(tmp_path / ".snakemake/robustlaws/r.json", elsewhere(job=job, study="digits", log="x", started=0))
    assert bool(workflow_lock.at_work(tmp_path)) == there


def test_a_slurm_that_does_not_answer_takes_no_lock_away(tmp_path, squeue, monkeypatch):
    squeue()
    write(tmp_path / ".snakemake/robustlaws/r.json", elsewhere(job="78", study="digits", log="x", started=0))

    def silent(command, **_):
        raise subprocess.TimeoutExpired(command, 30)

    monkeypatch.setattr(workflow_lock.subprocess, "run", silent)
    assert workflow_lock.at_work(tmp_path)
