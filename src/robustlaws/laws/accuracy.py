"""Robust accuracy from adversarial loss: accuracy = intercept + slope L.

Source: `spec/laws.md`, loss to accuracy; accuracy is that under the PGD attack on the CW loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustlaws import seeds
from robustlaws.laws import bootstrap_table, determination
from robustlaws.laws.arrays import Numbers
from robustlaws.laws.observations import REAL, RECIPE
from robustlaws.settings import LawFit
from robustlaws.storage import tables

NOT_MEASURED = "loss or accuracy not measured"


def _lines(losses, accuracies, weights):
    """Return intercepts and slopes (S,) of weighted least squares, weights (S, n); nan where the losses are all one."""
    total = weights.sum(axis=1)
    mean_loss, mean_accuracy = weights @ losses / total, weights @ accuracies / total
    away = losses - mean_loss[:, None]
    spread = (weights * away**2).sum(axis=1)
    together = (weights * away * (accuracies - mean_accuracy[:, None])).sum(axis=1)
    usable = spread > 1e-15 * mean_loss**2 * total
    slope = np.where(usable, together / np.where(usable, spread, 1.0), np.nan)
    return mean_accuracy - slope * mean_loss, slope


def fit_line(losses: np.ndarray, accuracies: np.ndarray) -> dict[str, Any]:
    """Return the least-squares line through losses in nats (n,) and accuracies in [0, 1] (n,).

    Returns
    -------
    dict
        {"intercept", "slope", "r2", "n"}; r2 is None where the accuracies do not vary.

    Raises
    ------
    ValueError
        If the two differ in length or the losses hold fewer than two values.
    """
    losses, accuracies = np.asarray(losses, dtype=float), np.asarray(accuracies, dtype=float)
    if losses.shape != accuracies.shape:
        raise ValueError(
            f"accuracy line: {losses.shape} losses for {accuracies.shape} accuracies; give one of each a run"
        )
    if len(np.unique(losses)) < 2:
        raise ValueError(f"accuracy line: {len(losses)} runs with one loss between them; a line needs two losses")
    intercept, slope = (float(values[0]) for values in _lines(losses, accuracies, np.ones((1, len(losses)))))
    r2 = determination.r_squared(accuracies, intercept + slope * losses)
    return {"intercept": intercept, "slope": slope, "r2": r2, "n": len(losses)}


def of_loss(line: Mapping[str, Any], loss: Numbers) -> Numbers:
    """Return the accuracy in [0, 1] that `line` gives for `loss` in nats.

    Parameters
    ----------
    line : dict
        From `fit_line`, or the summary from `fit`.
    loss : float or array

    Returns
    -------
    float or array
        Held within [0, 1], where a line knows no end.

    Raises
    ------
    ValueError
        If `line` is a summary without a line.
    """
    intercept, slope = (
        line[name]["value"] if isinstance(line[name], dict) else line[name] for name in ("intercept", "slope")
    )
    if intercept is None or slope is None:
        raise ValueError("accuracy line: the study's runs give none; its losses must differ")
    return np.clip(intercept + slope * np.asarray(loss, dtype=float), 0.0, 1.0)[()]


def loss_for(line: Mapping[str, Any], accuracy: Numbers) -> Numbers:
    """Return the loss in nats at which `line` reaches `accuracy`: inverse of :func:`of_loss` between 0 and 1.

    Parameters
    ----------
    line : dict
        Intercept and slope as numbers or arrays.
    accuracy : float or array

    Returns
    -------
    float or array
        nan where the accuracy does not fall with the loss.
    """
    slope = np.asarray(line["slope"], dtype=float)
    falling = slope < 0
    return np.where(falling, (accuracy - line["intercept"]) / np.where(falling, slope, -1.0), np.nan)[()]


def fit(runs: pd.DataFrame, settings: LawFit) -> tuple[dict[str, Any], Any]:
    """Return the line through the study's runs, with intervals from a bootstrap over runs.

    Runs that mix real images in or have another recipe are left out, as in the laws; mixtures of
    generators, without an FID, stay.

    Parameters
    ----------
    runs : data frame
        As `tables.RUNS`.
    settings : settings.LawFit
        `refits`, `level` and `seed` are used.

    Returns
    -------
    line : dict
        {"intercept", "slope"} as entries of a law's summary, "r2", "n_runs", "n_runs_left_out", "interval".
    refits : data frame
        As `tables.REFITS`; empty without a line.

    Raises
    ------
    ValueError
        If there are no runs at all.
    """
    if not len(runs):
        raise ValueError("runs: the table is empty; an accuracy line needs finished runs")
    real = runs["real_fraction"] > 0
    recipe = runs["recipe"].notna() & ~real
    unknown = runs["adv_loss"].isna() | runs["adv_acc"].isna()
    used = runs[~(real | recipe | unknown)]
    left_out = {REAL: int(real.sum()), RECIPE: int(recipe.sum()), NOT_MEASURED: int((unknown & ~real & ~recipe).sum())}
    losses, accuracies = used["adv_loss"].to_numpy(dtype=float), used["adv_acc"].to_numpy(dtype=float)
    distinct = len(np.unique(losses))
    summary = {
        "intercept": determination.unknown(f"only {distinct} distinct losses"),
        "slope": determination.unknown(f"only {distinct} distinct losses"),
        "r2": None,
        "n_runs": len(used),
        "n_runs_left_out": {reason: count for reason, count in left_out.items() if count},
        "interval": {"level": settings.level, "method": "bootstrap over runs", "refits": settings.refits},
    }
    if distinct < 2:
        return summary, tables.table([], tables.REFITS)
    rng = np.random.default_rng(seeds.derive(settings.seed, "bootstrap", "accuracy"))
    counts = rng.multinomial(len(used), np.full(len(used), 1 / len(used)), size=settings.refits).astype(float)
    samples = _lines(losses, accuracies, counts)
    line = fit_line(losses, accuracies)
    # any two points lie on a line
    reason = f"only {distinct} distinct losses" if distinct < determination.FEWEST_LEVELS else ""
    for name, sample, judge in zip(
        ("intercept", "slope"), samples, (determination.signed, determination.decline), strict=True
    ):
        summary[name] = determination.entry(line[name], sample, settings.level, judge, reason)
    every = {
        name: np.concatenate([[line[name]], sample])
        for name, sample in zip(("intercept", "slope"), samples, strict=True)
    }
    return summary | {"r2": line["r2"]}, tables.table(bootstrap_table.rows("accuracy", every), tables.REFITS)


@dataclass(frozen=True)
class Line:
    """The line from loss to accuracy: `samples`, {"intercept", "slope"} (1 + refits,) each; `why` it is not known."""

    samples: dict
    why: str = ""

    @classmethod
    def of(cls, line: Mapping[str, Any], refits: pd.DataFrame | None = None) -> "Line":
        """Return the line of a summary, or of two exact numbers, with its refits (`tables.REFITS`)."""
        entries = {name: line[name] for name in ("intercept", "slope")}
        values = {name: entry["value"] if isinstance(entry, dict) else entry for name, entry in entries.items()}
        why = next(
            (entry["why"] for entry in entries.values() if isinstance(entry, dict) and not entry["determined"]), ""
        )
        refit_values = {} if refits is None else bootstrap_table.samples(refits, "accuracy")
        samples = {
            name: refit_values.get(name, np.array([np.nan if value is None else float(value)]))
            for name, value in values.items()
        }
        return cls(samples, f"the line from loss to accuracy is not determined: {why}" if why else "")

    def beside(self, count: int) -> dict[str, np.ndarray]:
        """Return the line for `count` samples of a law: {"intercept", "slope"} (count, 1), the refits in turn."""
        refits = len(self.samples["slope"]) - 1
        turn = np.concatenate([[0], 1 + np.arange(count - 1) % refits]) if refits > 0 else np.zeros(count, dtype=int)
        return {name: values[turn, None] for name, values in self.samples.items()}
