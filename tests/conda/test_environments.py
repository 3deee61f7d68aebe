"""Jobs run in the environments of their rules, which hold what the files say and no more."""

import json
import shutil
import subprocess

from tests.conda.conftest import FIGURES, LAWS, RULES, RUN, login

ONLY = ("--allowed-rules", *RULES, "--")


def test_each_rule_runs_in_its_environment_started_by_a_python_without_torch(conda, driver, tmp_path):
    for package in ("torch", "robustlaws", "h5py"):
        assert subprocess.run([driver, "-I", "-c", f"import {package}"], capture_output=True, check=False).returncode == 1
    checkout = login(tmp_path / "checkout", conda, driver)
    done = checkout.snakemake(*ONLY, f"{RUN}/weights.safetensors", f"{FIGURES}/accuracy_from_loss.png")
    assert done.returncode == 0, done.stdout + done.stderr
    logs = ("data/import.log", f"train/{RUN.partition('runs/')[2]}.log", "laws/accuracy.log", "figures/accuracy_from_loss.log")
    assert [checkout.environment_of(log) for log in logs] == ["gpu", "gpu", "analysis", "analysis"]
