"""A constant and a power of the compute: L = E + c / F^g, through the runs of all datasets."""

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from robustlaws import seeds
from robustlaws.laws import bootstrap_table, determination
from robustlaws.laws.observations import observe
from robustlaws.storage import tables

NAME = "saturating"


def _predicted(theta, flops):
    return np.exp(theta[0]) + np.exp(theta[1] - np.exp(theta[2]) * np.log(flops))


def _fitted(flops, loss):
    """Return log E, log c and log g; F in units of its median."""
    start = np.log([0.9 * loss.min(), 0.1 * loss.max(), 0.3])
    bounds = np.log([[1e-6, 1e-6, 1e-3], [1e3, 1e3, 10.0]])
    return least_squares(lambda theta: np.log(_predicted(theta, flops) / loss), start, bounds=bounds).x


def fit(runs, curves, settings):
    """Return the law fitted to all comparable runs, with a bootstrap over runs."""
    seen = observe(runs, curves, settings)
    flops = seen.flops / np.median(seen.flops)
    rng = np.random.default_rng(seeds.derive(settings.seed, "bootstrap", NAME))
    draws = [np.arange(len(flops)), *rng.integers(0, len(flops), size=(settings.refits, len(flops)))]
    theta = np.array([_fitted(flops[draw], seen.loss[draw]) for draw in draws])
    samples = dict(zip(("E", "c", "g"), np.exp(theta).T, strict=True))
    judges = {
        "E": determination.loss_above_zero(seen.loss.min()),
        "c": determination.positive,
        "g": determination.exponent,
    }
    entries = {
        name: determination.entry(values[0], values[1:], settings.level, judges[name])
        for name, values in samples.items()
    }
    predicted = _predicted(theta[0], flops)
    unknown = determination.unknown("this law knows no N and D")
    summary = {
        "law": NAME,
        "title": "A constant and a power of the compute",
        "form": "L = E + c / F^g",
        "n_runs": len(seen),
        "n_runs_left_out": seen.left_out,
        "parameters": entries,
        "datasets": [
            {
                "dataset": dataset,
                "fid": fid,
                "parameters": {},
                "exponents": {"N_star": unknown, "D_star": unknown},
                "asymptote": entries["E"],
            }
            for dataset, fid in seen.datasets()
        ],
        "interval": {"level": settings.level, "method": "bootstrap over runs", "refits": settings.refits},
        "fit": {},
        "r2": determination.r_squared(seen.loss, predicted),
        "r2_by_dataset": {},
        "warnings": [],
    }
    names = ("run", "model", "dataset", "params", "images", "fid", "flops", "loss")
    predictions = pd.DataFrame({name: getattr(seen, name) for name in names}).assign(law=NAME, predicted=predicted)
    return determination.Law(
        summary,
        tables.table([], tables.ALLOCATIONS),
        tables.table(predictions, tables.PREDICTIONS),
        tables.table(bootstrap_table.rows(NAME, samples), tables.REFITS),
        tables.table([], tables.PREDICTIONS),
    )
