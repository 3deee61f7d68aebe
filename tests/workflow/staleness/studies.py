"""The studies that changes are tried on: the tiny one, finished for real, and three that only say they are.

Those three have what no test can wait for, such as official checkpoints, other sources and environments of conda: their
files are empty, and Snakemake is told by `--touch` that it made them.
"""

import os
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.support.checkouts import CONFIGURED, TINY, fresh_checkout, listed
from tests.workflow.staleness.forks import DRY, snakemakes


class Study(NamedTuple):
    """A study that changes are tried on."""

    config: Path
    targets: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


HERE = Path(__file__).parent
CONDA = ("--software-deployment-method", "conda")
STUDIES = {
    "tiny": Study(TINY),
    "wide": Study(HERE / "wide.yaml", targets=("all", "export")),
    "folders": Study(HERE / "folders.yaml"),
    "conda": Study(HERE / "folders.yaml", arguments=CONDA),
}

# What somebody else made.
GIVEN = (
    "train-0.parquet", "train-1.parquet", "test.parquet", "edm.pkl", "pfgmpp.pt", "extractor.pt", "discriminator.pt",
    "second.pkl", "ddpm/model_index.json", "ddpm/weights.safetensors", "another/model_index.json", "samples-0.npz",
    "samples-1.npz", "samples/0/0.png", "train/0/0.png", "train/1/0.png", "inception.pth", "reference.npz", "zoo.pt",
    "other.pt", "consent.txt", "another.txt", "prompt.txt", "replies.jsonl", "theirs.csv",
)  # fmt: skip
# What Snakemake compares by time: its limit for checksums is a million bytes.
LARGE = ("files/edm.pkl", "runs/wrn-10-1/official-4/64/1/weights.safetensors")

# A conda that has every package at once.
STAND_IN = """#!/bin/sh
case "$*" in
  "info --json") echo '{"conda_prefix": "/opt/conda", "platform": "linux-64"}';;
  "--version") echo "conda 25.1.0";;
  "config --get channel_priority --json") echo '{"get": {"channel_priority": "strict"}}';;
esac
"""


def config(name):
    """Return the config of study `name`."""
    return yaml.safe_load(STUDIES[name].config.read_text())


def finished_by_touch(names, folder):
    """Return checkouts below `folder`, by the names of their studies, which Snakemake takes for finished."""
    checkouts = {name: fresh_checkout(folder / name) for name in names}
    for name, checkout in checkouts.items():
        (checkout.folder / "study.yaml").write_text(STUDIES[name].config.read_text())
        for given in GIVEN:
            write_empty(checkout.folder, f"files/{given}")
        stand_in = checkout.folder / "bin" / "conda"
        stand_in.parent.mkdir()
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
    for name, text in zip(names, _run_all(checkouts, *DRY), strict=True):
        for _, outputs in listed(text):
            for output in outputs:
                write_empty(checkouts[name].folder / "results" / config(name)["study"], output)
    _run_all(checkouts, "--touch", "--forceall")
    return checkouts


def _run_all(checkouts, *arguments):
    asked = []
    for name, checkout in checkouts.items():
        settings = [*STUDIES[name].targets, *CONFIGURED, "--cores", "2", *STUDIES[name].arguments, *arguments]
        variables = with_conda(checkout.folder)
        asked.append({"folder": str(checkout.folder), "arguments": settings, "environment": variables})
    answers = snakemakes(asked)
    for status, output in answers:
        assert status == 0, output[-2000:]
    return [output for _, output in answers]


def with_conda(folder):
    """Return the variables with which Snakemake finds the conda of a finished checkout and its environments."""
    return {"PATH": f"{folder}/bin:{os.environ['PATH']}", "SNAKEMAKE_CONDA_PREFIX": f"{folder}/environments"}


def write_empty(folder, name):
    """Write an empty file, or the folder that one output is; large where Snakemake shall compare by time."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "published":  # the one output that is a folder
        path.mkdir()
        return
    path.touch()
    if name in LARGE:
        os.truncate(path, 1_000_001)
