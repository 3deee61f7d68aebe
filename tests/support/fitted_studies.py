"""Studies with a known law, fitted as the workflow fits them: what the figures of fits are tested on."""

import numpy as np

from robustlaws import settings
from robustlaws.laws import accuracy, additive, fit_jobs, published
from robustlaws.storage import tables

K = published.FLOPS_PER_PARAMETER_IMAGE
MODELS = {"wrn-28-4": 5_848_410, "wrn-82-4": 19_799_770, "wrn-28-12": 52_553_050, "wrn-70-16": 266_796_506}
SIZES = (5_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000)
DATASETS = {"dg-20": 1.65, "edm-10": 2.48, "edm-7": 6.79, "edm-6": 14.3}
NOUNS = ("allocations", "predictions", "held_out", "refits")


def run_row(model, dataset, size, *, params, fid, loss, acc=None, recipe=None, real=0.0, aa=None, flops=None):
    """Return a row of tables.RUNS."""
    name = model if recipe is None else f"{model}@{recipe}"
    return {
        "run": f"{name}/{dataset}/{size}/0", "model": model, "dataset": dataset, "size": size, "seed": 0,
        "recipe": recipe, "fid": fid, "real_fraction": real, "params": params, "images": size,
        "flops": K * params * size if flops is None else flops, "adv_loss": loss, "adv_acc": acc, "autoattack_acc": aa,
    }  # fmt: skip


def grid(models=None, sizes=SIZES, datasets=None, noise=0.002, loss=additive.loss, parameters=published.ADDITIVE):
    """Return rows of tables.RUNS whose losses follow a law, within `noise` (standard deviation of the log)."""
    rng = np.random.default_rng(5)
    rows = []
    for dataset, fid in (DATASETS if datasets is None else datasets).items():
        for model, params in (MODELS if models is None else models).items():
            for size in sizes:
                value = float(loss(parameters, params, size, fid) * np.exp(noise * rng.normal()))
                share = float(accuracy.of_loss(published.ACCURACY_LINE, value))
                rows.append(run_row(model, dataset, size, params=params, fid=fid, loss=value, acc=share))
    return rows


def outside():
    """Return rows of runs that no law may use, one of each kind."""
    params = MODELS["wrn-70-16"]
    given = {"params": params, "fid": None, "loss": 0.7, "acc": 0.73}
    return [
        run_row("wrn-70-16", "mixed", 150_000_000, **given | {"aa": 0.7141}, real=0.2),
        run_row("wrn-70-16", "dg-20", 60_000_000, **given | {"fid": 1.65}, recipe="long"),
        run_row("wrn-70-16", "three", 300_000_000, **given | {"acc": None}),
        run_row("wrn-82-16", "dg-20", 30_000_000, **given | {"fid": 1.65, "loss": None, "acc": None, "aa": 0.6912,
                                                             "params": 316_356_058}),
    ]  # fmt: skip


def fitted(folder, rows, laws=("additive", "bottleneck"), refits=20, small_on_large=None, two_stage=None):
    """Write runs and fitted laws to `folder`; return the figures' inputs by noun."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.parquet" for name in ("runs", "curves")}
    tables.write(paths["runs"], rows, tables.RUNS)
    tables.write(paths["curves"], [], tables.CURVES)
    paths |= {"laws": [folder / f"{law}.json" for law in laws]}
    paths |= {noun: [folder / f"{law}_{noun}.parquet" for law in laws] for noun in NOUNS}
    for index, law in enumerate(laws):
        options = settings.LawFit(
            law=law, observations="final", min_train_fraction=0.5, huber_delta=1e-3, refits=refits, level=0.9,
            budgets=12, extrapolate=100.0, seed=1, small_on_large=small_on_large, starts="small",
            two_stage=two_stage if law == "additive_two_stage" else None,
        )  # fmt: skip
        written = {f"{noun}_path": paths[noun][index] for noun in NOUNS}
        fit_jobs.fit_law(runs_path=paths["runs"], curves_path=paths["curves"], law_path=paths["laws"][index], **written,
                       settings=options)  # fmt: skip
    return paths
