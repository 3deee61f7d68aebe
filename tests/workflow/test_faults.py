"""A study whose machine fails: one line that says what would do, nothing half-written, and a plain rerun that heals."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from robustlaws.data import shards
from robustlaws.runtime.workflow_lock import clear
from tests.support.checkouts import SNAKEMAKE, Checkout
from tests.support.full_disks import disk

TEST_IMAGES, SHARD = "results/tiny/data/test.h5", "results/tiny/datasets/edm-4/shard-00001.h5"
RUN, RUNS = "results/tiny/runs/wrn-10-1/edm-4/256/1", "results/tiny/tables/runs.parquet"


@pytest.fixture
def copy(finished, tmp_path):
    """Return a copy of the finished checkout that a test may spoil."""
    shutil.copytree(finished.folder, tmp_path / "checkout", symlinks=True)
    return Checkout(tmp_path / "checkout")


def the_line(done, begin):
    """Return the one line of a failed Snakemake that begins so."""
    assert done.returncode == 1
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(begin)]
    print(f"\n{line}")
    return line


def test_a_full_disk_and_a_read_only_one(copy):
    results, aside = copy.folder / "results", copy.folder / "aside"
    results.rename(aside)
    before = shards.read(aside / "tiny/data/test.h5")
    with disk(results, "64m") as small:
        shutil.copytree(aside, results, dirs_exist_ok=True)
        shutil.rmtree(results / "tiny/data")
        small.fill()
        line = the_line(copy.snakemake(TEST_IMAGES), "results/")
        assert "cannot be written, the disk is full (" in line
        assert list(results.rglob(".*.partial")) == []
        assert not (copy.folder / TEST_IMAGES).exists()
        small.make_room()
        small.mounted("ro")
        assert "results: cannot be written, its file system is read-only" in the_line(
            copy.snakemake(TEST_IMAGES), str(copy.folder)
        )
        small.mounted("rw")
        assert copy.snakemake(TEST_IMAGES).returncode == 0
        assert all(np.array_equal(*pair) for pair in zip(shards.read(copy.folder / TEST_IMAGES), before, strict=True))


def test_a_working_folder_that_is_full_or_read_only(copy, tmp_path):
    with disk(tmp_path / "disk", "64m") as small:
        shutil.copytree(copy.folder, small.folder / "checkout", symlinks=True)
        here = Checkout(small.folder / "checkout")
        small.fill()
        line = the_line(here.snakemake(TEST_IMAGES, "--forcerun", "import_data"), str(here.folder))
        assert "cannot be written, the disk is full (" in line
        small.mounted("ro")
        line = the_line(here.snakemake(TEST_IMAGES), str(here.folder))
        assert line.endswith(
            "its file system is read-only here; have it mounted for writing and run the same command again"
        )
        done = subprocess.run(
            [sys.executable, "-m", "robustlaws.runtime.workflow_lock"], cwd=here.folder, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr.strip()) == (1, line)  # what `make study` says


def test_a_damaged_shard_is_made_again_and_finished_runs_stay(copy, finished):
    path = copy.folder / SHARD
    there = path.stat()
    content = bytearray(path.read_bytes())
    content[content.find(shards.read(path)[0][53].tobytes())] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))
    # the run that failed on it: nothing of it and after it is there
    for gone in (f"{RUN}/weights.safetensors", f"{RUN}/pgd_cw.h5", RUNS, "results/tiny/report.html"):
        (copy.folder / gone).unlink()
    line = the_line(copy.snakemake(f"{RUN}/weights.safetensors"), SHARD)
    assert f"damaged, image 53 does not match its digest; robustlaws remake {SHARD} makes it again" in line
    # Deleted and left to a plain rerun, every run that has read it would be trained again.
    moved = path.rename(path.with_suffix(".aside"))
    planned = copy.planned()
    assert planned["sample_shard"] == {SHARD.removeprefix("results/tiny/")}
    assert len(planned["train_run"]) == 2
    moved.rename(path)
    command = [sys.executable, "-m", "robustlaws", "remake", SHARD, *SNAKEMAKE[1:], "--cores", "2"]
    done = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-2] == f"{SHARD}: the same images as before; what was made from them stays"
    assert path.stat().st_mtime_ns <= there.st_mtime_ns
    assert copy.planned()["train_run"] == {f"{RUN}/weights.safetensors".removeprefix("results/tiny/")}
    assert copy.snakemake(f"{RUN}/weights.safetensors").returncode == 0
    ours, theirs = (load_file(checkout.folder / RUN / "weights.safetensors") for checkout in (copy, finished))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_second_snakemake_is_refused_and_stale_lock_removed(copy):
    command = [*SNAKEMAKE, "--cores", "1", TEST_IMAGES, "--forcerun", "import_data"]
    first = subprocess.Popen(
        command, cwd=copy.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    records = copy.folder / ".snakemake/robustlaws"
    deadline = time.monotonic() + 120
    while not list(records.glob("*.json")):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGSTOP)
    try:
        # other files, so that Snakemake's own lock does not see it
        line = the_line(copy.snakemake("published"), str(copy.folder))
        assert f"Snakemake is at work here on the study tiny (process {first.pid} on " in line
        # and took the lock of the first one with it
        (copy.folder / ".snakemake/locks").mkdir()
        (copy.folder / ".snakemake/locks/0.input.lock").write_text("x")
        with pytest.raises(ValueError, match=rf"process {first.pid}"):
            clear(copy.folder)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert clear(copy.folder) == 1
    assert copy.snakemake(TEST_IMAGES).returncode == 0
    assert list(records.iterdir()) == []
