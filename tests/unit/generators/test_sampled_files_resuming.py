"""Images that somebody else sampled: staged and read in constant memory, resumed after a stop or a kill."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from robustlaws.generators.sampled_files import sampler as files
from robustlaws.generators.sampled_files.permutation import Order
from robustlaws.settings import Compute
from tests.support.sampled_files import SIZE, deflated, each_kind, sampler, sampling, some, staged, staging


def interrupted(monkeypatch, after):
    """Let the job be asked to stop at the `after`-th time it looks."""
    looks = iter(range(1 << 30))
    monkeypatch.setattr(files.Stop, "reason", lambda self: "SIGTERM" if next(looks) >= after else "")


@each_kind
def test_a_stopped_job_goes_on_and_ends_with_the_same_file(monkeypatch, tmp_path, write):
    path, kind = write(tmp_path, *some(200))
    whole = staged(tmp_path, [path], kind).read_bytes()
    (tmp_path / "samples.h5").unlink()
    monkeypatch.setattr(files.image_files, "_BYTES", 30 * SIZE * SIZE * 3)  # blocks of 30 images
    stops = 0
    for after in (1, 3, 4, 203, 206, 210):
        interrupted(monkeypatch, after)
        if (tmp_path / "samples.h5").exists():
            break
        try:
            staged(tmp_path, [path], kind, compute=Compute(state_minutes=0))
        except files.Stopped:
            assert not (tmp_path / "samples.h5").exists()
            stops += 1
    interrupted(monkeypatch, 10_000)
    if stops == 6:
        staged(tmp_path, [path], kind)
    print(f"{kind}: stopped {stops} times")
    assert stops
    assert (tmp_path / "samples.h5").read_bytes() == whole
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("fails", ["write", "stamp"])
def test_a_disk_that_fails_at_the_end_costs_no_unpacked_image(monkeypatch, tmp_path, caplog, fails):
    path, _ = deflated(tmp_path, *some(200))
    stamp = {"format": files.embedded.FORMAT, "config": "x" * 100_000}
    monkeypatch.setattr(files.provenance, "current", lambda _: stamp)
    whole = staged(tmp_path, [path], "npz").read_bytes()
    assert files.embedded.read(tmp_path / "samples.h5") == stamp
    assert len(whole) < 200 * (SIZE * SIZE * 3 + 1) + 200_000  # no room is left over
    (tmp_path / "samples.h5").unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    where = {"write": (files, "bytes"), "stamp": (files.embedded, "stamp_hdf5")}[fails]
    with monkeypatch.context() as patch:
        patch.setattr(*where, full, raising=False)
        with pytest.raises(OSError, match="No space left"):
            staged(tmp_path, [path], "npz")
    assert not (tmp_path / "samples.h5").exists()
    caplog.set_level("INFO", "robustlaws")
    assert staged(tmp_path, [path], "npz").read_bytes() == whole
    assert "200 images unpacked" in caplog.text


def test_a_state_of_other_files_is_not_taken_up(monkeypatch, tmp_path):
    images, labels = some(200)
    path, _ = deflated(tmp_path, images, labels)
    monkeypatch.setattr(files.image_files, "_BYTES", 30 * SIZE * SIZE * 3)
    with monkeypatch.context() as patch:
        interrupted(patch, 8)
        with pytest.raises(files.Stopped):
            staged(tmp_path, [path], "npz", compute=Compute(state_minutes=0))
    deflated(tmp_path, 255 - images, labels)
    result, _ = sampler(staged(tmp_path, [path], "npz"), 200).batch(range(200))
    assert np.array_equal(result, 255 - images[Order(200, 1).at(np.arange(200))])


# size: a file that does not fit the memory it may take

# grown: how far the peak of the memory rises above what the imports take (VmHWM, reset)
_CHILD = """
import json, sys
from pathlib import Path
from robustlaws.generators.sampled_files import sampler as files
from robustlaws.settings import Compute, Sampling, Staging

def memory(name):  # MB
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[name].split()[0]) / 1000

told = json.loads(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
files.stage(
    sample_paths=[told["source"]],
    samples_path=told["index"],
    state_path=told["state"],
    settings=Staging(**told["staging"]),
    compute=Compute(state_minutes=told["minutes"]),
)
settings = Sampling(**told["sampling"])
made = files.Sampler({"samples": told["index"]}, settings, None)
for first in range(0, settings.count, settings.batch):
    made.batch(range(first, first + settings.batch))
print(memory("VmHWM") - before)
"""
BIG = 20_000  # images of 32x32x3: 61 MB
BIG_STAGING = {"image_size": 32, "classes": 10}
needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc to measure memory by")


def child(source, index, minutes=10.0):
    settings = {
        "source": str(source),
        "index": str(index),
        "state": f"{index}.partial",
        "minutes": minutes,
        "staging": asdict(staging("npz", **BIG_STAGING)),
        "sampling": asdict(sampling(BIG, batch=250, **BIG_STAGING)),
    }
    return subprocess.Popen([sys.executable, "-c", _CHILD, json.dumps(settings)], stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """Return a folder with 61 MB of images sorted by class, stored as they are and deflated."""
    folder = tmp_path_factory.mktemp("big")
    images = np.random.default_rng(1).integers(0, 2, (BIG, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(BIG) * 10 // BIG
    np.savez(folder / "plain.npz", image=images, label=labels)
    with zipfile.ZipFile(folder / "deflated.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in (("image", images), ("label", labels)):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, array)
    return folder


@needs_proc
@pytest.mark.parametrize("name", ["plain", "deflated"])
def test_memory_stays_well_under_the_size_of_the_file(big, name):
    done = child(big / f"{name}.npz", big / f"{name}.h5")
    output, _ = done.communicate(timeout=100)
    assert done.returncode == 0
    print(f"{name}: {BIG * 3072 / 1e6:.0f} MB staged and read with {float(output):.1f} MB beyond the imports")
    assert 0 < float(output) < 35


@needs_proc
def test_sampled_files_resume_a_killed_unpacking_to_equal_bytes(big):
    killed, state = child(big / "deflated.npz", big / "again.h5", minutes=0.0), big / "again.h5.partial"
    for _ in range(4000):
        try:
            if (json.loads((state / "journal.json").read_text())["unpacked"] or 0) > 0:
                break
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(timeout=20) == -signal.SIGKILL
    unpacked = json.loads((state / "journal.json").read_text())["unpacked"]
    print(f"killed at image {unpacked} of {BIG}")
    assert 0 < unpacked < BIG
    assert not (big / "again.h5").exists()
    for name in ("again", "whole"):
        files.stage(
            sample_paths=[big / "deflated.npz"],
            samples_path=big / f"{name}.h5",
            state_path=big / f"{name}.h5.partial",
            settings=staging("npz", **BIG_STAGING),
            compute=Compute(),
        )
    assert (big / "again.h5").read_bytes() == (big / "whole.h5").read_bytes()
    assert not state.exists()
