"""A made-up study whose files say where they come from."""

import hashlib

import numpy as np

from robustlaws.data import shards
from robustlaws.storage import provenance, tables
from robustlaws.storage.atomic import write_json, write_text

FOLDER = "results/made"
CURVE = {
    "run": "wrn@fast/d/8/1", "model": "wrn@fast", "dataset": "d", "size": 8, "seed": 1, "train_fraction": 1.0,
    "images": 8, "flops": 1.0, "adv_loss": 1.5,
}  # fmt: skip


def job_facts(rule, outputs, inputs=(), wildcards=None, **changes):
    """Return what is known of a job, as `provenance.of` takes it."""
    about = {
        "study": "made",
        "rule": rule,
        "wildcards": wildcards or {},
        "outputs": [f"{FOLDER}/{path}" for path in outputs],
        "inputs": list(inputs),
        "revision": f"{rule}-r1",
        "settings": {"seed": 7, "rule": rule},
        "config": {"study": "made", "seed": 3},
        "commit": "a" * 40,
        "threads": 1,
        "gpus": 0,
        "scheduler": None,
        "earlier_starts": [],
        "start": "2026-01-02T03:04:05.000+00:00",
    }
    return about | changes


def build(folder, **changes):
    """Write the files of the study below `folder`, the working folder of its jobs, each job with `changes`.

    A shard sampled with a file from elsewhere; a run with two files that are read and one that is not; a table, a law
    and a figure; and a file of another run, that nothing was made from. Returns the folder of the study.
    """
    root, where = folder / FOLDER, "runs/wrn@fast/d/8/1"
    run = {"model": "wrn@fast", "dataset": "d", "size": "8", "seed": "1"}
    shard, table, law = "datasets/d/shard-00000.h5", "tables/curves.parquet", "laws/additive.json"
    weights, best, curve = (f"{where}/{name}" for name in ("weights.json", "best.json", "curve.parquet"))

    def job(rule, outputs, inputs, wildcards=None):
        return provenance.of(job_facts(rule, outputs, inputs, wildcards, **changes))

    with job("sample_shard", [shard], ["models/net.pkl"], {"dataset": "d", "shard": "00000"}):
        images = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8, 1)
        shards.write(root / shard, images, np.arange(4), {"dataset": "d"})
    with job("train_run", [weights, best, curve], [f"{FOLDER}/{shard}"], run):
        write_json(root / weights, {"w": 1})
        write_json(root / best, {"w": 2})
        tables.write(root / curve, [CURVE], tables.CURVES)
    with job("collect_runs", [table], [f"{FOLDER}/{weights}", f"{FOLDER}/{curve}"]):
        tables.write(root / table, [CURVE], tables.CURVES)
    with job("fit_law", [law], [f"{FOLDER}/{table}"], {"law": "additive"}):
        write_json(root / law, {"law": "additive"})
    with job("draw_figure", ["figures/envelope.parquet"], [f"{FOLDER}/{law}"], {"figure": "envelope"}):
        tables.write(root / "figures/envelope.parquet", [], tables.DRAWN)
    with job("train_run", [f"{where}/left.json"], [], run | {"seed": "2"}):
        write_json(root / where / "left.json", {"w": 3})
    for name in ("figures/envelope.png", "figures/envelope.svg", "plan.html"):
        write_text(root / name, name)
    write_text(folder / "Snakefile", "rule all:\n")
    return root


def concluded(root):
    """Return the files that the study comes to."""
    return [root / name for name in ("tables/curves.parquet", "laws/additive.json", "figures/envelope.parquet")]


def sha256(path):
    """Return the SHA-256 of a file, by another way than the library's."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
