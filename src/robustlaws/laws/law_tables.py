"""The tables of a fitted law: allocations, predictions, refits, and held-out predictions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from robustlaws.intervals import percentile_interval
from robustlaws.laws import bootstrap_table, determination
from robustlaws.laws.fitted_form import Fitted
from robustlaws.settings import LawFit


def budgets(flops: np.ndarray, settings: LawFit) -> tuple[np.ndarray, np.ndarray]:
    """Return the FLOPs of the allocation table, from the smallest run to `extrapolate` times the largest.

    Returns
    -------
    flops (budgets,), measured (budgets,) bool: within the runs' own range
    """
    low, high = float(np.min(flops)), float(np.max(flops))
    grid = np.geomspace(low, high * max(settings.extrapolate, 1.0), settings.budgets)
    return grid, (grid >= low * (1 - 1e-9)) & (grid <= high * (1 + 1e-9))


def allocation(name: str, dataset: str | None, fid: float, columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return rows of `tables.ALLOCATIONS` for columns (budgets,); nan for a number that does not exist."""
    blank = {f"{what}{end}": np.nan for what in ("params", "images", "loss") for end in ("", "_low", "_high")}
    columns = {
        what: values if what == "measured" else np.where(np.isfinite(values) & (values >= 0), values, np.nan)
        for what, values in columns.items()
    }
    head = {"law": name, "dataset": dataset, "fid": fid} | blank
    return [head | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _allocation_of(fitted, dataset, fid, settings):
    """Return N*, D*, L* and their intervals for one FID; nan where a number does not exist."""
    form = fitted.form
    flops, measured = budgets(fitted.everyone.flops, settings)
    log_budget = np.log(flops / fitted.everyone.flops_per_parameter_image)
    columns = {"flops": flops, "measured": measured}
    wide = {name: value[:, None] for name, value in fitted.refits.items()}
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for logs, suffixes in ((fitted.logs, ("",)), (wide, ("_low", "_high"))):
            params, images = form.optimum(logs, log_budget, fid)
            loss = form.loss(logs, params, images, fid)
            for name, values in (("params", np.exp(params)), ("images", np.exp(images)), ("loss", loss)):
                if suffixes == ("",):
                    columns[name] = values
                elif len(values):
                    low, high = percentile_interval(values, fitted.level)
                    columns[f"{name}_low"] = np.minimum(low, columns[name])
                    columns[f"{name}_high"] = np.maximum(high, columns[name])
    return allocation(form.name, dataset, fid, columns)


def allocations(fitted: Fitted, settings: LawFit) -> list[dict[str, Any]]:
    """Return the rows of `tables.ALLOCATIONS`: every dataset, and FID 0 where the study says what FID does."""
    if any(fitted.levels[axis] < determination.FEWEST_LEVELS for axis in ("N", "D")):
        return []
    wanted: list[tuple[str | None, float]] = [*fitted.everyone.datasets()]
    if fitted.levels["FID"] >= determination.FEWEST_LEVELS:
        wanted = [*wanted, (None, 0.0)]
    return [row for dataset, fid in wanted for row in _allocation_of(fitted, dataset, fid, settings)]


def _predicted(seen, predicted, name):
    """Return the rows of `tables.PREDICTIONS` for observations and the losses predicted for them (n,)."""
    columns = {
        "run": seen.run,
        "model": seen.model,
        "dataset": seen.dataset,
        "params": seen.params,
        "images": seen.images,
        "fid": seen.fid,
        "flops": seen.flops,
        "loss": seen.loss,
        "predicted": predicted,
    }
    return [{"law": name} | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def predictions(fitted: Fitted) -> list[dict[str, Any]]:
    """Return the rows of `tables.PREDICTIONS`: all observations, by the fit."""
    return _predicted(fitted.everyone, fitted.predict(fitted.everyone), fitted.form.name)


def held_out(fitted: Fitted) -> list[dict[str, Any]]:
    """Return the rows of the predictions that never saw the dataset they are for."""
    rows = []
    for dataset, logs in fitted.held_out.items():
        mine = fitted.everyone.of(fitted.everyone.dataset == dataset)
        rows += _predicted(mine, fitted.predict(mine, logs), fitted.form.name)
    return rows


def refits(fitted: Fitted) -> pd.DataFrame:
    """Return the rows of `tables.REFITS`: the fit and its refits."""
    logged = fitted.form.logged
    every = {
        f"log {name}" if name in logged else name: np.concatenate([[value], fitted.refits[name]])
        for name, value in fitted.logs.items()
    }
    return bootstrap_table.rows(fitted.form.name, every)
