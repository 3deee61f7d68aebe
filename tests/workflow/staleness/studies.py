"""The studies that changes are tried on: the tiny one, finished for real, and two that only say they are.

Those two have what no test can wait for, such as official checkpoints and other sources: their files are empty, and
Snakemake is told by `--touch` that it made them.
"""

from pathlib import Path

import yaml

from tests.workflow.conftest import CONFIGURED, TINY, fresh_checkout, listed
from tests.workflow.staleness.dryruns import dry_runs

CONFIGS = {"tiny": TINY, **{name: Path(__file__).with_name(f"{name}.yaml") for name in ("wide", "folders")}}
TARGETS = {"tiny": (), "wide": ("all", "export"), "folders": ()}

# What somebody else made. Weights are larger than Snakemake's limit for checksums.
GIVEN = (
    "train.parquet", "test.parquet", "edm.pkl", "pfgmpp.pt", "extractor.pt", "discriminator.pt", "ddpm/model_index.json",
    "ddpm/unet/weights.bin", "samples.npz", "samples/0/0.png", "train/0/0.png", "train/1/0.png", "inception.pth",
    "reference.npz", "zoo.pt", "other.pt", "second.pkl", "another/model_index.json",
)  # fmt: skip


def config(name):
    """Return the config of study `name`."""
    return yaml.safe_load(CONFIGS[name].read_text())


def finished_by_touch(name, folder):
    """Return a checkout at `folder` in which Snakemake takes study `name` for finished."""
    checkout = fresh_checkout(folder)
    (folder / "study.yaml").write_text(CONFIGS[name].read_text())
    for given in GIVEN:
        _write(folder / "files" / given)
    [(status, said)] = dry_runs([{"folder": str(folder), "arguments": [*TARGETS[name], *CONFIGURED]}])
    assert status == 0, said
    for _, outputs in listed(said):
        for output in outputs:
            _write(folder / "results" / name / output)
    done = checkout.snakemake(*TARGETS[name], "--touch", "--forceall")
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def _write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch() if path.suffix else path.mkdir()  # a folder is the output of rule published
