"""Explorer pages over laws with known coefficients."""

import json

from robustlaws.report import explorer
from robustlaws.storage import tables
from tests.support.law_predictions import predictions, run

HOSTILE = "</script><img src=x onerror=\"window.evil=1\"><b>bold</b> & 'quoted' <!-- {{ 7 * 7 }} %{x}"


KNOWN = {"value": 0.5, "low": 0.4, "high": 0.6, "determined": True, "why": ""}


UNKNOWN = KNOWN | {"determined": False, "why": "only 2 model sizes"}


DATASETS = {"edm-18": 2.0, "edm-5": 8.8}


def rows():
    """Return eight runs on two datasets, and one of a mixture without a FID by another recipe."""
    results = [
        run(model, dataset, size, fid=fid, params=params, flops=8000.0 * params * size,
            adv_loss=3 * params**-0.1 + size**-0.05 + fid / 20, adv_acc=0.3 + size / 1e5, depth=10, width=width)
        for model, params, width in (("wrn-10-1", 80_000, 1), ("wrn-10-2", 300_000, 2))
        for dataset, fid in DATASETS.items()
        for size in (2000, 20_000)
    ]  # fmt: skip
    results.append(run(dataset="half-real", recipe="fast", fid=None, real_fraction=0.5, adv_acc=None, test_images=None))
    return results


def law(name="additive", cell=KNOWN, **parameters):
    """Return the content of a law file whose exponents are all `cell`."""
    entries = [
        {"dataset": dataset, "fid": fid, "exponents": {"N_star": cell, "D_star": cell}, "parameters": parameters}
        for dataset, fid in DATASETS.items()
    ]
    return {"law": name, "title": f"Approach of {name}", "datasets": entries}


def allocations(name="additive"):
    """Return rows of tables.ALLOCATIONS over four budgets, the last of them beyond the study's, and for FID 0."""
    return [
        {"law": name, "dataset": dataset, "fid": fid, "flops": budget, "params": budget**0.4, "params_low": 1e3,
         "params_high": 1e7, "images": budget**0.5 / 10, "images_low": 1e2, "images_high": None,
         "loss": 60 * budget**-0.1, "loss_low": 0.5, "loss_high": 2.0, "measured": budget < 1e14}
        for dataset, fid in (*DATASETS.items(), (None, 0.0))
        for budget in (1e12, 1e13, 3e13, 1e14)
    ]  # fmt: skip


def write(folder, *, runs=None, laws=None, budgets=None, title="tiny", description="A tiny study.", line=KNOWN):
    """Write the explorer of a study and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = rows() if runs is None else runs
    laws = [law()] if laws is None else laws
    tables.write(folder / "runs.parquet", runs, tables.RUNS)
    files = []
    for content in laws:
        files.append(folder / f"{content['law']}.json")
        files[-1].write_text(json.dumps(content))
    mine = [row for row in runs if row["fid"] is not None and row["adv_loss"]]
    tables.write(folder / "predictions.parquet", predictions(mine, factor=lambda row: 1.02), tables.PREDICTIONS)
    tables.write(folder / "budgets.parquet", allocations() if budgets is None else budgets, tables.ALLOCATIONS)
    (folder / "accuracy.json").write_text(json.dumps({"intercept": line | {"value": 1.2}, "slope": line}))
    explorer.write(
        folder / "explorer.html", runs=folder / "runs.parquet", predictions=[folder / "predictions.parquet"],
        allocations=[folder / "budgets.parquet"], laws=files, accuracy=folder / "accuracy.json", title=title,
        description=description,
    )  # fmt: skip
    return folder / "explorer.html"


def hostile(folder):
    runs = [run(HOSTILE, HOSTILE, recipe=recipe, fid=fid) for recipe, fid in ((None, 2.0), (HOSTILE, 3.0))]
    return write(folder, runs=runs, laws=[law() | {"title": HOSTILE}], title=HOSTILE, description=HOSTILE)
