"""Tables of runs drawn from a known law, and the settings of their fits."""

from types import SimpleNamespace

import numpy as np

from robustlaws.laws import additive, bottleneck, published
from robustlaws.storage import tables

FORMS = {"additive": additive, "bottleneck": bottleneck}


TRUTHS = {"additive": published.ADDITIVE, "bottleneck": published.BOTTLENECK}


PAPER_PARAMS = (5849050, 8949210, 19799770, 52517850, 122217690, 177977562, 266796506, 316356058)


PAPER_SIZES = tuple(int(millions * 1e6) for millions in (5, 10, 30, 50, 100))


PAPER_FIDS = (1.65, 2.48, 6.79, 14.26)


def settings(**given):
    defaults = {
        "law": "",
        "observations": "final",
        "min_train_fraction": 0.5,
        "huber_delta": 1e-3,
        "refits": 40,
        "level": 0.9,
        "budgets": 7,
        "extrapolate": 100.0,
        "seed": 1,
        "small_on_large": None,
        "starts": "small",
        "recipe": "converged",
        "points": "curves",
        "two_stage": None,
    }
    return SimpleNamespace(**(defaults | given))


def study(form, truth, params=PAPER_PARAMS, sizes=PAPER_SIZES, fids=PAPER_FIDS, noise=0.0, seed=0):
    """A runs table of `truth`, FLOPs = 8000 N D, with relative noise on the losses."""
    rng = np.random.default_rng(seed)
    rows = []
    for fid in fids:
        for model, count in enumerate(params):
            for size in sizes:
                loss = float(form.loss(truth, count, size, fid)) * np.exp(noise * rng.standard_normal())
                rows.append(
                    {
                        "run": f"m{model}/d{fid:g}/{size}/1",
                        "model": f"m{model}",
                        "dataset": f"d{fid:g}",
                        "size": size,
                        "seed": 1,
                        "fid": fid,
                        "real_fraction": 0.0,
                        "depth": 28,
                        "width": 4,
                        "params": count,
                        "forward_flops": 1000,
                        "images": size,
                        "flops": 8000.0 * count * size,
                        "clean_loss": 0.5,
                        "clean_acc": 0.8,
                        "adv_loss": loss,
                        "adv_acc": 0.6,
                        "test_images": 100,
                    }
                )
    return tables.table(rows, tables.RUNS)


def curves_of(runs, rows):
    """A curves table from (run, train_fraction, adv_loss) triples; images and FLOPs in proportion."""
    by_run = runs.set_index("run")
    made = []
    for run, fraction, loss in rows:
        own = by_run.loc[run]
        row = {name: own[name] for name in ("model", "dataset", "size", "seed", "clean_loss", "clean_acc", "adv_acc")}
        shares = {"images": int(own["images"] * fraction), "flops": own["flops"] * fraction}
        made.append({"run": run, "train_fraction": fraction, "adv_loss": loss, "test_images": 10} | row | shares)
    return tables.table(made, tables.CURVES)


NO_CURVES = tables.table([], tables.CURVES)


def entries(summary):
    """Every entry of a summary."""
    yield from summary["parameters"].items()
    for dataset in summary["datasets"]:
        for name, entry in (dataset["parameters"] | dataset["exponents"]).items():
            yield f"{dataset['dataset']} {name}", entry
        yield f"{dataset['dataset']} asymptote", dataset["asymptote"]


CHOSEN = {"base": "d1.65", "quality": ["d2.48", "d6.79"]}


def runs_on(line, noise=0.0, seed=0):
    runs = study(additive, published.ADDITIVE, fids=(1.65,))
    noise = noise * np.random.default_rng(seed).standard_normal(len(runs))
    return runs.assign(adv_acc=line["intercept"] + line["slope"] * runs["adv_loss"] + noise)
