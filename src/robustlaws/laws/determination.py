"""The result of a fit, and the rules for which of its numbers are determined.

An entry of a summary is {"value", "low", "high", "determined", "why"}. `low` and `high` bound the
interval between the bootstrap's percentiles, widened where need be to hold the value itself. The
rules for `determined` are deliberately blunt, and all of them are here:

- structure first: a fit that has not converged, too few runs, fewer than 3 distinct N, D or FIDs where
  the number rests on them, or a change of the parameters that changes no prediction;
- bounds: the value, or one tail of the refits, ends at the edge of what the fit may try;
- then the interval: an allocation exponent must stay within (0, 1) and a width of 0.5; a positive
  parameter must not span more than a factor 10; an exponent of the law both; a signed exponent (FID)
  a width of 0.5; a loss (E, the asymptote) must stay above 1% of the lowest loss measured and span
  neither a factor 10 nor half that loss;
- last, no single dataset may decide: refitted without it, the number must not leave the interval by more than the
  interval's width (a change under 5% never counts). A bootstrap over runs cannot see a form that one dataset bends.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustlaws.intervals import percentile_interval

WIDEST_EXPONENT = 0.5
WIDEST_FACTOR = 10.0
POOR = 0.5  # R2 of one dataset: below, the form does not hold for it
FEWEST_LEVELS = 3  # a power law plus a constant has as many unknowns


@dataclass(frozen=True)
class Law:
    """A fitted law.

    `summary`: a dict that JSON can hold, None for what is unknown; `allocations`, `predictions`, `refits`: data
    frames as `tables.ALLOCATIONS`, `tables.PREDICTIONS` and `tables.REFITS`; `held_out`: as
    `tables.PREDICTIONS`, each dataset's runs as predicted by a fit that has not seen that dataset.
    """

    summary: dict
    allocations: pd.DataFrame
    predictions: pd.DataFrame
    refits: pd.DataFrame
    held_out: pd.DataFrame


def finite(number: Any) -> float | None:
    """Return `number` as a float, or None where JSON has no word for it."""
    return float(number) if number is not None and math.isfinite(number) else None


def unknown(why: str) -> dict[str, Any]:
    """Return the entry of a number that could not be computed."""
    return {"value": None, "low": None, "high": None, "determined": False, "why": why}


def entry(
    value: Any, samples: np.ndarray, level: float, judge: Callable[..., str], reason: str = "", without: Any = None
) -> dict[str, Any]:
    """Return the summary's entry of one number.

    Parameters
    ----------
    value : float
    samples : float array (refits,)
        The same number in the refits; nan where a refit has none.
    level : float
        Share of the refits within the interval.
    judge : callable
        `judge(low, high)` returns "" or why an interval says too little, as the functions below.
    reason : str
        Why the number is not determined whatever its interval; empty if nothing speaks against it.
    without : dict of str to float, optional
        The number from fits that leave out the dataset named.
    """
    value = finite(value)
    if value is None:
        return unknown(reason or "the fit gives no number")
    samples = np.asarray(samples, dtype=float)
    if not len(samples):
        return unknown(reason or "no refits") | {"value": value}
    missing = int(np.isnan(samples).sum())
    kept = samples[~np.isnan(samples)]
    low, high = (value, value) if not len(kept) else percentile_interval(kept, level)
    low, high = min(low, value), max(high, value)
    if not reason and missing > (1 - level) / 2 * len(samples):
        reason = f"{missing} of {len(samples)} refits give no number"
    if not reason:
        verdict = judge(low, high)
        reason = f"{100 * level:.3g}% interval {low:.3g} to {high:.3g}: {verdict}" if verdict else ""
    for dataset, other in (without or {}).items():
        far = other < low - (high - low) or other > high + (high - low) or math.isnan(other)
        if not reason and far and not abs(other - value) <= 0.05 * abs(value):
            reason = f"without {dataset} it is {other:.3g}"
    return {"value": value, "low": finite(low), "high": finite(high), "determined": not reason, "why": reason}


def _factor(low, high):
    if low <= 0:
        return "includes 0"
    return f"spans a factor {high / low:.3g}" if high / low > WIDEST_FACTOR else ""


def _width(low, high):
    return f"{high - low:.2g} wide" if high - low > WIDEST_EXPONENT else ""


def positive(low: Any, high: Any) -> str:
    """Judge a positive parameter."""
    return _factor(low, high)


def exponent(low: Any, high: Any) -> str:
    """Judge a positive exponent of a law."""
    return _factor(low, high) or _width(low, high)


def signed(low: Any, high: Any) -> str:
    """Judge an exponent that may have either sign."""
    return _width(low, high)


def decline(low: Any, high: Any) -> str:
    """Judge an exponent that must be negative for the law to say anything."""
    return _factor(-high, -low)


def allocation(low: Any, high: Any) -> str:
    """Judge an exponent of N*(FLOPs) or D*(FLOPs)."""
    if low <= 0 or high >= 1:
        return "not within (0, 1)"
    return _width(low, high)


def loss_above_zero(lowest: float) -> Callable[..., str]:
    """Return the judge of a loss, in nats, that lies below `lowest`, the lowest measured."""

    def judge(low, high):
        if low < 0.01 * lowest:
            return "includes 0"
        if high - low > 0.5 * lowest:
            return f"{high - low:.2g} wide where the lowest loss is {lowest:.3g}"
        return _factor(low, high)

    return judge


def levels(values: np.ndarray | Sequence[float]) -> int:
    """Return the number of distinct levels of `values`; within 5% counts as one."""
    values = np.sort(np.asarray(values, dtype=float))
    if not len(values):
        return 0
    # 0 is a possible FID
    return 1 + int((values[1:] > 1.05 * values[:-1] + 1e-9).sum())


def r_squared(measured: np.ndarray, predicted: np.ndarray) -> float | None:
    """Return 1 - residual / total sum of squares, or None where the measured values do not vary."""
    total = float(((measured - np.mean(measured)) ** 2).sum()) if len(measured) > 1 else 0.0
    if total == 0:
        return None
    return finite(1 - float(((measured - predicted) ** 2).sum()) / total)


def values(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return {name: value} of a summary's entries, for the laws' `loss` and `optimum`."""
    return {name: item["value"] for name, item in entries.items()}
