"""A run of the digits study killed again and again, at seeded random moments, ends with the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from robustlaws.data import shards
from robustlaws.settings import as_params
from robustlaws.study import Study
from tests.support.checkouts import without_humans

ROOT = Path(__file__).parents[3]
KILLS = 20
PROGRAM = """
import json, sys
from pathlib import Path
from robustlaws.runtime import job_log
from robustlaws.settings import Compute, Training
from robustlaws.training import loop
from tests.support.checkouts import without_humans
folder, name, settings, minutes = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4])
with job_log.to(folder / f"{name}.log"):
    loop.train(
        real_path=folder / "real.h5", test_path=folder / "test.h5", shard_paths=[folder / "shard.h5"],
        weights_path=folder / f"{name}.safetensors", best_path=folder / f"{name}-best.safetensors",
        curve_path=folder / f"{name}.parquet", state_path=folder / f"{name}.partial",
        settings=Training(**settings), revision="train-r1", compute=Compute(state_minutes=minutes),
    )
"""


@pytest.fixture
def digits(tmp_path):
    """Return a folder with real digits, and the settings of the digits study for a run on twice its largest size."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    # everything that a state holds: real images mixed in, and the best weights on held-out ones
    config["grid"] = [{"models": ["wrn-10-1"], "datasets": ["mixed"], "sizes": [4096]}]
    config["generators"] = {"edm": config["generators"]["edm"]}
    config["mixtures"] = {"mixed": {"dataset": "edm-3", "real_fraction": 0.125}}
    config["training"]["validation_images"] = 64
    config["datasets"] = {"edm-3": config["datasets"]["edm-3"] | {"images": 4096}}
    without_humans(config)
    config["attacks"]["autoattack"]["runs"] = []
    config["figures"] = []
    del config["laws"]["two_stage"]  # of datasets that are not here
    study = Study(config, ROOT / "workflow/schemas/config.yaml")
    real = load_digits()
    chosen = np.arange(4096) % len(real.target)
    images, labels = np.round(real.images[chosen, :, :, None] * (255 / 16)).astype(np.uint8), real.target[chosen]
    shards.write(tmp_path / "shard.h5", images, labels, {})
    for name in ("test", "real"):
        shards.write(tmp_path / f"{name}.h5", images[:300], labels[:300], {})
    (run,) = study.runs.values()
    return tmp_path, as_params(study.training(run))


def start(folder, name, settings, minutes=1e-6):
    """Start a run in a process of its own; return it once it is at work (or over)."""
    (folder / f"{name}.log").unlink(missing_ok=True)
    command = [sys.executable, "-c", PROGRAM, str(folder), name, json.dumps(settings), str(minutes)]
    job = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    log, deadline = folder / f"{name}.log", time.monotonic() + 60
    while job.poll() is None and not (log.exists() and "training wrn" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def test_twenty_kills_change_no_byte(digits):
    folder, settings = digits
    assert start(folder, "left-alone", settings).wait(120) == 0
    moments, killed = random.Random(1), 0
    for _ in range(KILLS):
        job = start(folder, "killed", settings)
        time.sleep(moments.uniform(0, 0.3))
        job.kill()
        killed += job.wait() == -signal.SIGKILL
    assert killed == KILLS, "the run ended before all kills"
    assert not (folder / "killed.safetensors").exists()
    assert start(folder, "killed", settings).wait(120) == 0
    assert "going on at step" in (folder / "killed.log").read_text()
    for kind in (".safetensors", "-best.safetensors", ".parquet"):
        assert (folder / f"killed{kind}").read_bytes() == (folder / f"left-alone{kind}").read_bytes(), kind
    assert not (folder / "killed.partial").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_is_answered_by_a_state_within_five_seconds(digits, name):
    folder, settings = digits
    job = start(folder, "run", settings, minutes=60)
    time.sleep(0.5)
    assert not list((folder / "run.partial").glob("state-*"))
    asked = time.monotonic()
    os.kill(job.pid, getattr(signal, name))
    _, output = job.communicate(timeout=60)
    took = time.monotonic() - asked
    print(f"\n{name}: state saved and process gone after {took:.2f} s")
    assert job.returncode == 1
    assert output.count("\n") == 1
    assert f"stopped ({name}) at step" in output
    assert list((folder / "run.partial").glob("state-*.pt"))
    assert took < 5
