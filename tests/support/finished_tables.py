"""Tables of finished runs for the tests of `robustlaws.fit_table`: as a user would bring them, and wrong ones."""

import csv

import numpy as np

from robustlaws.laws import additive, published
from robustlaws.networks import wrn_flops

SHAPES = ((28, 4), (40, 4), (82, 4), (28, 12), (58, 12), (82, 12))
SIZES = (5_000_000, 10_000_000, 30_000_000, 100_000_000)
FIDS = {"DG": 1.65, "EDM-10": 2.48, "EDM-7": 6.79}


def rows(noise=0.002, seed=0, fids=FIDS):
    """Runs of the published additive law with relative noise on the losses, as text would have them."""
    rng = np.random.default_rng(seed)
    made = []
    for dataset, fid in fids.items():
        for depth, width in SHAPES:
            params = wrn_flops.wrn_parameters(depth, width)
            for size in SIZES:
                loss = float(additive.loss(published.ADDITIVE, params, size, fid)) * np.exp(
                    noise * rng.standard_normal()
                )
                accuracy = 1.2575 - 0.7496 * loss + 0.001 * rng.standard_normal()
                made.append(
                    {
                        "params": params,
                        "images": size,
                        "loss": round(loss, 6),
                        "flops": float(f"{7822 * params * size:.7g}"),
                        "dataset": dataset,
                        "fid": fid,
                        "depth": depth,
                        "width": width,
                        "accuracy": round(accuracy, 4),
                    }
                )
    return made


def write_csv(path, table):
    """Write rows (dicts) as CSV; return the path."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def changed(row=None, drop=(), **cells):
    """Return the rows with columns dropped and cells changed: in row number `row` (from 0), or in all."""
    made = [{name: value for name, value in item.items() if name not in drop} for item in rows()]
    for index, item in enumerate(made):
        if row in (None, index):
            item.update({name: value(item) if callable(value) else value for name, value in cells.items()})
    return made
