"""A machine that fails: what is said in one line, and that nothing half-written has a finished name."""

import errno
import os
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from robustlaws import errors
from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.networks import checkpoint, wrn
from robustlaws.runtime import device, job_log, resumable_state
from robustlaws.runtime.signals import Stopped
from robustlaws.settings import AutoAttack, Threat
from robustlaws.storage import atomic, tables
from robustlaws.training.run_state import Run
from tests.support.full_disks import disk
from tests.support.training_runs import ARCHITECTURE, train, training_settings

CUDA = "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported at some other call"


def behind(cause, error):
    """Return `error` as a library raises it that hides its cause."""
    try:
        try:
            raise cause
        except type(cause):
            raise error from None
    except type(error) as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x", "/tmp/a.h5"), r"^/tmp/a.h5: cannot be written, the disk is full \(.* of .*\); "),
        (OSError("IO error: No space left on device (os error 28)"), "cannot be written, the disk is full"),
        (OSError(errno.EDQUOT, "x", "a.h5"), "a.h5: cannot be written, your quota there is used up; delete or move"),
        (OSError(errno.EROFS, "x", "a.h5"), "a.h5: cannot be written, its file system is read-only here; have it"),
        (OSError(errno.ESTALE, "x", "a.h5"), r"a.h5: .* file system failed \(Stale file handle\); once `ls -l a.h5`"),
        (behind(OSError(errno.EIO, "x"), ValueError("a.h5: no shard")), "a.h5: no shard: its disk or .* once it works"),
        (FileNotFoundError(errno.ENOENT, "x", "a.h5"), "a.h5: not there .* or run again if a job makes it"),
        (PermissionError(errno.EACCES, "x", "a.h5"), "a.h5: not allowed to read or write it; change"),
        (MemoryError("Unable to allocate 8 GiB"), r"out of memory \(Unable to .*\); .* free: give the job more"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory .*mem_mb"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB."), "CUDA out of memory. .* or lower the batch"),
        (torch.AcceleratorError(CUDA), r"a GPU of \S+ failed \(CUDA error: unspecified launch failure\); .*--exclude="),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "a GPU of .* failed"),
        (ValueError("size: 3 wanted"), "^size: 3 wanted$"),
        (Stopped("stopped (SIGTERM)"), r"^stopped \(SIGTERM\)$"),
        (KeyError("name"), "^unexpected KeyError: 'name'; its traceback is in the log$"),
        (RuntimeError("first\nsecond"), "^unexpected RuntimeError: first; its"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)  # fmt: skip
def test_every_error_is_one_line_that_says_what_would_do(error, expected):
    output = errors.line(error)
    assert re.search(expected, output), output
    assert "\n" not in output


def test_an_address_that_does_not_answer_is_no_broken_disk():
    error = behind(OSError(errno.ETIMEDOUT, "Connection timed out"), ValueError("weights.pt: cannot be had from here"))
    assert errors.line(error) == "weights.pt: cannot be had from here"


IMAGES = np.random.default_rng(0).integers(0, 256, (3000, 32, 32, 1), np.uint8)
LABELS = np.arange(3000) % 10
NOISE = np.random.default_rng(1).random(200_000)


def write_record(path):
    columns = {"clean_prediction": LABELS, "adversarial": np.zeros((*IMAGES.shape,), np.float32)}
    settings = AutoAttack("m/d/1/1", ARCHITECTURE, Threat("Linf", 0.01), 11, "standard", 3, 512)
    record.write(path, LABELS, LABELS >= 0, columns, settings, {"attacks": ["x"]})


def write_table(path):
    rows = [{"x": i / 7, "label": f"{i * 7919}"} for i in range(100_000)]
    tables.write(path, rows, {"x": tables.Column("float64", "", "x"), "label": tables.Column("string", "", "label")})


WRITERS = {
    "shard.h5": lambda path: shards.write(path, IMAGES, LABELS, {}),
    "zstd.h5": lambda path: shards.write(path, IMAGES, LABELS, {}, layout="zstd"),
    "record.h5": write_record,
    "weights.safetensors": lambda path: checkpoint.save(path, wrn.build(ARCHITECTURE), training_settings()),
    "table.parquet": write_table,
    "table.json": lambda path: atomic.write_json(path, list(range(200_000))),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there_and_names_the_file(tmp_path, name):
    with disk(tmp_path / "disk", "16m") as small:
        path = small.folder / name
        path.write_bytes(b"from before")
        small.fill(100_000)
        with pytest.raises(OSError, match="No space left") as failed:
            WRITERS[name](path)
        assert (failed.value.errno, failed.value.filename) == (errno.ENOSPC, str(path))
        assert path.read_bytes() == b"from before"
        assert sorted(os.listdir(small.folder)) == ["ballast", name]
        small.make_room()
        WRITERS[name](path)
        assert path.read_bytes() != b"from before"


def test_hdf5_by_itself_does_not_survive_a_full_disk(tmp_path):
    """If this fails, HDF5 has learned it, and atomic.hdf5 can go."""
    program = """
import sys, h5py, numpy as np
try:
    with h5py.File(sys.argv[1], "w") as file:
        file.create_dataset("x", data=np.random.rand(200_000), chunks=(1000,), compression="gzip")
except OSError:
    pass
"""
    with disk(tmp_path / "disk", "1m") as small:
        command = [sys.executable, "-c", program, str(small.folder / "x.h5")]
        assert subprocess.run(command, capture_output=True, check=False).returncode < 0
        with pytest.raises(OSError, match="No space left"), atomic.hdf5(small.folder / "x.h5") as file:
            file.create_dataset("x", data=NOISE, chunks=(1000,), compression="gzip")
    with atomic.hdf5(tmp_path / "y.h5") as file:
        file["x"] = np.arange(5)
    with atomic.hdf5(tmp_path / "y.h5", "r+") as file:
        file["z"] = np.arange(3)
    with h5py.File(tmp_path / "y.h5") as file:
        assert {name: len(file[name]) for name in file} == {"x": 5, "z": 3}


def test_shard_writer_resumes_after_a_full_disk(tmp_path):
    def work(path):
        with shards.Writer(path, 3000, (32, 32, 1), {}, f"{path}.partial", seconds=0.0) as writer:
            begun = writer.done
            for start in range(begun, 3000, 500):
                writer.append(IMAGES[start : start + 500], LABELS[start : start + 500])
            writer.finish({})
        return begun

    work(tmp_path / "whole.h5")
    with disk(tmp_path / "disk", "8m") as small:
        path = small.folder / "s.h5"
        small.fill(1 << 20)
        with pytest.raises(OSError, match="No space left") as failed:
            work(path)
        assert failed.value.filename == f"{path}.partial"
        assert not path.exists()
        small.make_room()
        assert work(path) >= 500
        assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_run_goes_on_without_room_for_states_and_says_so(study, monkeypatch, capfd):
    undisturbed, advance = train(study, "undisturbed"), Run.advance
    with disk(study / "full.partial", "1m") as small:

        def full(run):
            if run.step == 0:
                small.fill()
            return advance(run)

        monkeypatch.setattr(Run, "advance", full)
        with job_log.to(study / "job.log"):
            assert train(study, "full", state_minutes=1e-9) == undisturbed
    log, output = (study / "job.log").read_text(), capfd.readouterr().err
    line = r"state at step 1 not saved: .*\.pt: cannot be written, the disk is full .*; going on and "
    assert re.search(line, log)
    assert re.search(line, output)


def test_the_older_state_makes_room_for_the_next(tmp_path):
    small, large = ({"x": torch.rand(count << 18)} for count in (1, 3))  # as many MiB
    with disk(tmp_path / "states", "4m") as full:
        for step in (1, 2):
            assert resumable_state.save(full.folder, small, {"a": 1}, step) == ""
        full.fill(100_000)
        assert resumable_state.save(full.folder, small, {"a": 1}, 3) == ""
        assert sorted(path.name for path in full.folder.glob("*.pt")) == ["state-000002.pt", "state-000003.pt"]
        output = resumable_state.outcome(resumable_state.save(full.folder, large, {"a": 1}, 4), full.folder)
        assert re.search(r"^state not saved \(.*the disk is full.*\), the state of step 3 is kept$", output)
        assert resumable_state.newest(full.folder, {"a": 1}).name == "state-000003.pt"


def test_a_run_without_room_for_its_weights_keeps_its_state(study, caplog):
    undisturbed = train(study, "undisturbed")
    with disk(study / "disk", "8m") as small:
        for name in ("real", "test", "shard"):
            shutil.copy(study / f"{name}.h5", small.folder)
        write = checkpoint.save

        def full(path, *given):
            small.fill()
            write(path, *given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "save", full)
            with pytest.raises(OSError, match=r"No space left .*run.safetensors"):
                train(small.folder, "run", state_minutes=1e-9)
        assert not (small.folder / "run.safetensors").exists()
        assert resumable_state.kept(small.folder / "run.partial") == "the state of step 7 is kept"
        small.make_room()
        caplog.set_level("INFO", "robustlaws")
        assert train(small.folder, "run") == undisturbed
        assert "going on at step 7 of 8" in caplog.text


@pytest.mark.parametrize("error", [torch.AcceleratorError(CUDA), RuntimeError("NCCL error: unhandled cuda error")])
def test_an_error_such_as_a_dead_gpu_raises_keeps_the_last_state(study, monkeypatch, error, caplog):
    """Raised by hand: no GPU is broken here."""
    undisturbed, advance = train(study, "undisturbed"), Run.advance

    def dead(run):
        if run.step == 5:
            raise error
        return advance(run)

    monkeypatch.setattr(Run, "advance", dead)
    with pytest.raises(
        errors.ReportedError, match=r"wrn-10-1/.*: a GPU of \S+ failed \(.*\); .*; the state of step 5 is kept$"
    ):
        train(study, "cut", state_minutes=1e-9)
    # the same while a state is written: the one before stays
    monkeypatch.setattr(Run, "advance", advance)
    monkeypatch.setattr(Run, "state", lambda run: (_ for _ in ()).throw(error))
    with pytest.raises(errors.ReportedError, match="the state of step 5 is kept$"):
        train(study, "cut", state_minutes=1e-9)
    monkeypatch.undo()
    caplog.set_level("INFO", "robustlaws")
    assert train(study, "cut") == undisturbed
    assert "going on at step 5 of 8" in caplog.text


def test_a_gpu_that_is_not_there_is_one_line():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match="compute.gpus: 1 asked for, torch .* sees none here; set it to 0, the CPU"):
        device.prepare(1, 1)


def run_job(log, body):
    """Run `body` as a job with its log at `log`; return its exit status and what it says on the terminal."""
    program = f"from robustlaws.runtime import job_log\nwith job_log.to({str(log)!r}):\n    {body}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_log_without_room_hides_no_error(tmp_path):
    with disk(tmp_path / "disk", "1m") as small:
        body = "print('x' * 5000000); raise ValueError('what is really wrong')"
        status, output = run_job(small.folder / "job.log", body)
        assert status == 1
        assert (
            output == f"what is really wrong (log: {small.folder}/job.log, which ends early: No space left on device)\n"
        )
        status, output = run_job(small.folder / "job.log", "print('x' * 5000000)")
        assert (status, output.count("\n")) == (0, 1)
        small.mounted("ro")
        status, output = run_job(small.folder / "other.log", "pass")
        assert status == 1
        assert output.startswith(f"{small.folder}/other.log: cannot be written, its file system is read-only here; ")
        assert output.count("\n") == 1


def test_shard_read_failure_of_the_disk_is_no_damage(study, monkeypatch):
    def stale(*_):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "preadv", stale)
    with pytest.raises(OSError, match="Stale file handle") as failed:
        train(study, "run")
    assert errors.line(failed.value).startswith(f"{study}/shard.h5: cannot be read or written: its disk or network")
    # opens, and every read of it is an I/O error
    with pytest.raises(OSError, match="Input/output error: '/proc/self/mem'"):
        shards.read("/proc/self/mem")
