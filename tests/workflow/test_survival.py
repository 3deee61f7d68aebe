"""Killed at any stage, a study goes on and ends with the numbers of one that was left alone."""

import os
import signal
import subprocess
import time

import pytest

from robustlaws.runtime.workflow_lock import clear
from robustlaws.storage import provenance, tables
from robustlaws.storage.provenance import content_digest
from tests.support.checkouts import SNAKEMAKE, fresh_checkout

# The job that is cut off, and what its log says once it computes.
KILLED_IN = {
    "logs/generate/sample/edm-4/00001.log": "64 of 128 images",
    "logs/train/wrn-10-1/edm-4/256/1.log": "32 of 256 images",
    "logs/attack/runs/wrn-10-1/edm-4/256/1/autoattack/00000.log": "1 of 4 attacks",
}
TABLE = "results/tiny/tables/runs.parquet"  # all that takes long lies before it
STATE = "runs/wrn-10-1/edm-4/256/1/autoattack/00000.h5.partial"


def kill_when_begun(checkout, log, sign):
    """Start Snakemake; SIGKILL it and all its jobs as soon as `sign` stands in `log`."""
    command = [*SNAKEMAKE, "--cores", "2", TABLE]
    driver = subprocess.Popen(
        command, cwd=checkout.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    path = checkout.folder / "results/tiny" / log
    deadline = time.monotonic() + 300
    while not (path.exists() and sign in path.read_text()):
        assert driver.poll() is None, f"the study ended before {log} said {sign!r}"
        assert time.monotonic() < deadline, f"{log} never said {sign!r}"
        time.sleep(0.01)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()


@pytest.fixture(scope="module")
def battered(tmp_path_factory):
    checkout = fresh_checkout(tmp_path_factory.mktemp("battered") / "checkout")
    for log, sign in KILLED_IN.items():
        kill_when_begun(checkout, log, sign)
        assert clear(checkout.folder) > 0  # what `make study` does first
    checkout.had_state = (checkout.folder / "results/tiny" / STATE).exists()
    done = checkout.snakemake(TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


@pytest.mark.parametrize("table", ["runs", "curves"])
def test_the_tables_are_those_of_an_undisturbed_study(battered, finished, table):
    paths = [checkout.folder / f"results/tiny/tables/{table}.parquet" for checkout in (battered, finished)]
    ours, theirs = (tables.read(path, getattr(tables, table.upper())) for path in paths)
    assert ours.equals(theirs), ours.compare(theirs)
    assert content_digest(paths[0]) == content_digest(paths[1])


def test_shards_weights_and_attacked_images_are_the_same(battered, finished):
    run = "runs/wrn-10-1/edm-4/256/1"
    attacked = [f"{run}/{name}.h5" for name in ("pgd_cw", "autoattack/00000", "autoattack/00001", "autoattack")]
    for name in ("datasets/edm-4/shard-00001.h5", f"{run}/weights.safetensors", *attacked):
        ours, theirs = (checkout.folder / "results/tiny" / name for checkout in (battered, finished))
        assert content_digest(ours) == content_digest(theirs), name


def test_an_attack_went_on_where_it_was(battered):
    assert battered.had_state
    log = battered.folder / "results/tiny/logs/attack/runs/wrn-10-1/edm-4/256/1/autoattack/00000.log"
    assert "going on after " in log.read_text()
    assert (
        len(provenance.read(battered.folder / "results/tiny" / STATE.removesuffix(".partial"))["earlier_starts"]) == 1
    )


def test_nothing_half_written_is_left(battered):
    assert list((battered.folder / "results").rglob("*.partial")) == []


def test_a_lock_is_kept_while_its_snakemake_lives(tmp_path):
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("x")
    program = tmp_path / "snakemake"
    program.write_text("import time; time.sleep(60)")
    alive = subprocess.Popen(["python3", str(program)], cwd=tmp_path)
    try:
        time.sleep(0.5)
        with pytest.raises(ValueError, match=f"process {alive.pid}"):
            clear(tmp_path)
    finally:
        alive.kill()
        alive.wait()
    assert clear(tmp_path) == 1
