"""Approach 1: power laws through the lower envelope of one dataset's training curves.

L* = c F^g, N* ~ F^a, D* ~ F^b, each a straight line in log10 through the points of the envelope. It has neither FID nor
an asymptote, and predicts no single run. A study without learning curves has for each model the curve through the ends
of its runs of growing D.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustlaws import seeds
from robustlaws.intervals import percentile_interval
from robustlaws.laws import bootstrap_table, determination
from robustlaws.laws.determination import Law
from robustlaws.laws.law_tables import allocation, budgets
from robustlaws.laws.observations import NO_CURVE, NO_LOSS, NOT_MEASURED, comparable
from robustlaws.runtime.progress import Progress
from robustlaws.settings import LawFit
from robustlaws.storage import tables

QUERIES = 1000
POINTS = ("curves", "runs")
_TITLES = {
    "curves": "Approach 1: envelope of training curves",
    "runs": "Approach 1: envelope of runs of growing D",
}
_ENDS = ("flops", "images", "adv_loss")  # as `Curve` has them
LINES = ("loss", "params", "images")
TERMS = ("intercept", "slope")


@dataclass(frozen=True)
class Curve:
    """Observations of a run, or of a model's runs: `params` N; `flops` (k,) rising, `images`, `loss` in nats (k,)."""

    params: float
    flops: np.ndarray
    images: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Sampled:
    """R curves at Q budgets: `flops` (Q,); `loss`, `images`, `running` (R, Q); `params`, `first` (R,).

    `loss` is inf before a curve's first observation, at `first` FLOPs, and stays at the curve's lowest after
    its last; `running` holds in between.
    """

    flops: np.ndarray
    params: np.ndarray
    first: np.ndarray
    loss: np.ndarray
    images: np.ndarray
    running: np.ndarray


@dataclass(frozen=True)
class Envelope:
    """Points of the envelope, by rising FLOPs: `flops`, `loss`, `params`, `images` (m,); `winner` (m,): which run."""

    flops: np.ndarray
    loss: np.ndarray
    params: np.ndarray
    images: np.ndarray
    winner: np.ndarray


def sample(curves: Any, flops: np.ndarray) -> Any:
    """Return `curves` (a list of `Curve`) interpolated linearly at `flops` (Q,)."""
    loss = np.array(
        [np.interp(flops, curve.flops, curve.loss, left=np.inf, right=curve.loss.min()) for curve in curves]
    )
    return Sampled(
        flops=flops,
        params=np.array([curve.params for curve in curves]),
        first=np.array([curve.flops[0] for curve in curves]),
        loss=loss,
        images=np.array([np.interp(flops, curve.flops, curve.images) for curve in curves]),
        running=np.array([(flops >= curve.flops[0]) & (flops <= curve.flops[-1]) for curve in curves]),
    )


def _contest_starts(params, first):
    """Return the FLOPs from which two model sizes have been observed: before, the only one wins by default."""
    begins = sorted(first[params == size].min() for size in np.unique(params))
    return begins[min(1, len(begins) - 1)]


def follow(sampled: Any, chosen: np.ndarray | None = None) -> Envelope:
    """Return the lower envelope of the curves `chosen` (indices, repeats allowed; default all).

    At each budget the lowest curve wins. A budget counts if its winner is still training there, and if no smaller
    budget has a lower loss. A curve that has ended keeps its best loss and may win, but then the budget says nothing
    about N* and D*. Budgets start where two model sizes have been observed.

    Source: `spec/laws.md`, approach 1; the published fit starts at 1.9e17 FLOPs instead, which is where its second
    smallest model begins.
    """
    chosen = np.arange(len(sampled.params)) if chosen is None else np.unique(chosen)
    begin = _contest_starts(sampled.params[chosen], sampled.first[chosen])
    winner = chosen[sampled.loss[chosen].argmin(axis=0)]
    at = np.arange(len(sampled.flops))
    loss = np.where(sampled.flops >= begin, sampled.loss[winner, at], np.inf)
    before = np.concatenate([[np.inf], np.minimum.accumulate(loss)[:-1]])
    kept = np.flatnonzero(np.isfinite(loss) & sampled.running[winner, at] & (loss <= before))
    winner = winner[kept]
    images = sampled.images[winner, kept]
    return Envelope(sampled.flops[kept], loss[kept], sampled.params[winner], images, winner)


def lines(envelope: Envelope) -> np.ndarray:
    """Return intercept and slope (3, 2) in log10 of L*, N* and D* against FLOPs; nan where there is no line."""
    if len(envelope.flops) < 3 or envelope.flops[-1] < 1.001 * envelope.flops[0]:
        return np.full((3, 2), np.nan)
    x = np.log10(envelope.flops)
    y = np.log10([getattr(envelope, name) for name in LINES])
    away = x - x.mean()
    slope = (y - y.mean(axis=1, keepdims=True)) @ away / (away @ away)
    slope[np.abs(slope) < 1e-12] = 0.0  # one winner throughout: rounding, not a power
    return np.column_stack([y.mean(axis=1) - slope * x.mean(), slope])


def _curves(runs, curves, min_train_fraction):
    """Return {run: Curve}, without the rows from early training, and runs without a row."""
    params = dict(zip(runs["run"], runs["params"], strict=True))
    late = (curves["train_fraction"] >= min_train_fraction - 1e-9) & (curves["flops"] > 0) & (curves["images"] > 0)
    kept = curves[late & (curves["adv_loss"] > 0) & curves["run"].isin(params)]
    kept = kept.sort_values("flops").drop_duplicates(["run", "flops"])
    return {
        run: Curve(float(params[run]), *(rows[name].to_numpy(dtype=float) for name in _ENDS))
        for run, rows in kept.groupby("run", sort=True)
    }


def _through_ends(runs, counts=None):
    """Return {model: Curve} through the ends of the runs of one dataset, each drawn `counts` (n,) times, default once.

    Runs of one model that end at the same FLOPs (seeds) make one point, with the mean of their losses.
    """
    counts = np.ones(len(runs)) if counts is None else counts
    ends = [runs[name].to_numpy(dtype=float) for name in ("params", *_ENDS)]
    models, place = np.unique(runs["model"].to_numpy(dtype=str), return_inverse=True)
    made = {}
    for index, model in enumerate(models):
        mine = np.flatnonzero((place == index) & (counts > 0))
        if not len(mine):
            continue
        params, flops, images, loss = (column[mine] for column in ends)
        at, point = np.unique(flops, return_inverse=True)
        total = np.bincount(point, counts[mine])
        means = (np.bincount(point, counts[mine] * column) / total for column in (images, loss))
        made[str(model)] = Curve(float(params[0]), at, *means)
    return made


def _check(points):
    if points not in POINTS:
        raise ValueError(f"laws points: unknown {points!r}; known: {', '.join(POINTS)}")


def followed(runs: pd.DataFrame, curves: Any, points: str, min_train_fraction: float) -> Any:
    """Return the curves that the envelope of one dataset follows.

    Parameters
    ----------
    runs, curves : data frames
        As `tables.RUNS`, of one dataset, and `tables.CURVES`.
    points : str
        "curves": each run while it trains; "runs": each model through the ends of its runs of growing D.
    min_train_fraction : float
        Rows of the curves from there on are used.

    Returns
    -------
    dict of str to Curve
        By run, or by model.

    Raises
    ------
    ValueError
        If `points` is neither.
    """
    _check(points)
    if points == "curves":
        return _curves(runs, curves, min_train_fraction)
    return _through_ends(_ended(runs))


def _ended(runs):
    return runs[(runs["adv_loss"] > 0) & (runs["images"] > 0) & (runs["flops"] > 0)]


@dataclass(frozen=True)
class _Fitted:
    """One dataset's envelope; `lines` (3, 2), `refits` (refits, 3, 2); `points` as in `followed`."""

    dataset: str
    fid: float
    points: str
    envelope: Envelope
    lines: np.ndarray
    refits: np.ndarray

    @property
    def reason(self):
        """Why N* and D* are not determined whatever their intervals, or ""."""
        sizes = determination.levels(self.envelope.params)
        if not np.isfinite(self.lines).all():
            still = "run still training" if self.points == "curves" else "model still given more data"
            return f"the curves have no envelope: at no budget is the best {still}"
        if sizes < determination.FEWEST_LEVELS:
            return f"only {sizes} model size{'s' if sizes != 1 else ''} on the envelope"
        return ""


def _fit_dataset(dataset, runs, curves, settings):
    """Return the envelope of one dataset; `curves`: the {name: Curve} that is followed."""
    every = list(curves.values())
    low = _contest_starts(np.array([curve.params for curve in every]), np.array([curve.flops[0] for curve in every]))
    flops = np.geomspace(low, max(curve.flops[-1] for curve in every), QUERIES)
    sampled = sample(every, flops)
    rng = np.random.default_rng(seeds.derive(settings.seed, "bootstrap", "envelope", dataset))
    count = len(every) if settings.points == "curves" else len(runs)
    picks = rng.integers(0, count, size=(settings.refits, count))
    refits = np.full((settings.refits, 3, 2), np.nan)
    progress = Progress(f"envelope of {dataset}", settings.refits, unit="refits", every=15.0)
    for refit, pick in zip(refits, picks, strict=True):
        if settings.points == "curves":
            refit[:] = lines(follow(sampled, pick))
        else:
            drawn = _through_ends(runs, np.bincount(pick, minlength=count))
            refit[:] = lines(follow(sample(list(drawn.values()), flops)))
        progress.advance(1)
    envelope = follow(sampled)
    fid = float(runs["fid"].iloc[0])
    return _Fitted(dataset, fid, settings.points, envelope, lines(envelope), refits)


def _summary_of(fitted, level):
    of_loss, of_params, of_images = range(3)

    def entry(line, power, judge, reason):
        value, samples = fitted.lines[line, power], fitted.refits[:, line, power]
        if power == 0:
            with np.errstate(over="ignore", under="ignore"):
                value, samples = 10**value, 10**samples
        return determination.entry(value, samples, level, judge, reason)

    reason = fitted.reason
    winners = len(set(fitted.envelope.winner))
    followed_are = "runs" if fitted.points == "curves" else "models"
    few = f"only {winners} {followed_are} on the envelope" if winners < determination.FEWEST_LEVELS else ""
    # L* needs several runs, not several model sizes
    of_curve = reason if not np.isfinite(fitted.lines).all() else few
    return {
        "dataset": fitted.dataset,
        "fid": fitted.fid,
        "parameters": {
            "coefficient": entry(of_loss, 0, determination.positive, of_curve),
            "exponent": entry(of_loss, 1, determination.decline, of_curve),
        },
        "exponents": {
            "N_star": entry(of_params, 1, determination.allocation, reason),
            "D_star": entry(of_images, 1, determination.allocation, reason),
        },
        "asymptote": None,
    }


def _allocations(fitted, flops, measured, level):
    """Return the allocation rows of one dataset; N* and D* are nan where its envelope cannot tell them."""
    if not np.isfinite(fitted.lines).all():
        return []
    x = np.log10(flops)
    columns = {"flops": flops, "measured": measured}
    kept = fitted.refits[np.isfinite(fitted.refits).all(axis=(1, 2))]
    for index, name in enumerate(("loss", "params", "images")):
        if name != "loss" and fitted.reason:
            continue
        columns[name] = 10 ** (fitted.lines[index, 0] + fitted.lines[index, 1] * x)
        if len(kept):
            low, high = percentile_interval(10 ** (kept[:, index, :1] + kept[:, index, 1:] * x), level)
            columns[f"{name}_low"] = np.minimum(low, columns[name])
            columns[f"{name}_high"] = np.maximum(high, columns[name])
    return allocation("envelope", fitted.dataset, fitted.fid, columns)


def _refits(fitted):
    """Return the rows of `tables.REFITS` of one dataset: intercept and slope in log10 of each line."""
    every = np.concatenate([fitted.lines[None], fitted.refits])
    named = {f"{line} {what}": every[:, i, j] for i, line in enumerate(LINES) for j, what in enumerate(TERMS)}
    return bootstrap_table.rows("envelope", named, fitted.dataset)


def _r_squared(fitted):
    if not np.isfinite(fitted.lines).all():
        return None
    measured = np.log10(fitted.envelope.loss)
    return determination.r_squared(measured, fitted.lines[0, 0] + fitted.lines[0, 1] * np.log10(fitted.envelope.flops))


def _warnings(fits, settings, curves):
    warnings = []
    if settings.points == "curves" and not len(curves):
        warnings.append("the study has no learning curves to follow; points: runs follows the ends of its runs instead")
    for fitted in fits:
        flops = fitted.envelope.flops
        if len(flops) and flops[-1] < 10 * flops[0]:
            warnings.append(f"{fitted.dataset}: the envelope spans only {flops[-1] / flops[0]:.2g}x in FLOPs")
        if fitted.reason:
            warnings.append(f"{fitted.dataset}: {fitted.reason}")
    return warnings


def _usable(runs, curves, settings):
    """Return the runs that have what is followed, and {reason: number} of the others."""
    chosen, left_out = comparable(runs)
    if settings.points == "curves":
        traced = _curves(chosen, curves, settings.min_train_fraction)
        used = chosen[chosen["run"].isin(traced)]
        reasons = {NO_CURVE: len(chosen) - len(used)}
    else:
        used = _ended(chosen)
        unknown = int(chosen["adv_loss"].isna().sum())
        reasons = {NOT_MEASURED: unknown, NO_LOSS: len(chosen) - len(used) - unknown}
    return used, left_out | {reason: count for reason, count in reasons.items() if count}


def fit(runs: pd.DataFrame, curves: Any, settings: LawFit) -> Law:
    """Return approach 1 fitted to each dataset by itself, as a `Law`.

    With `points` "curves", rows of the curves from `min_train_fraction` of training on are used; with "runs", each
    model's runs as they ended. `observations` and `small_on_large` are for approaches 2 and 3. `parameters` of a
    dataset are c and g of L* = c F^g, F in FLOPs; its R2 is that line's, in logs.

    Parameters
    ----------
    runs, curves : data frames
        As `tables.RUNS` and `tables.CURVES`.
    settings : settings.LawFit

    Raises
    ------
    ValueError
        If there are no runs at all, or `points` is unknown.
    """
    _check(settings.points)
    used, left_out = _usable(runs, curves, settings)
    fits, ends = [], []
    for name, mine in sorted(used.groupby("dataset"), key=lambda entry: (float(entry[1]["fid"].iloc[0]), entry[0])):
        traced = followed(mine, curves, settings.points, settings.min_train_fraction)
        fits.append(_fit_dataset(name, mine, traced, settings))
        ends += [entry.flops if settings.points == "runs" else entry.flops[-1:] for entry in traced.values()]
    rows = []
    if fits:
        flops, measured = budgets(np.concatenate(ends), settings)
        rows = [row for entry in fits for row in _allocations(entry, flops, measured, settings.level)]
    summary = {
        "law": "envelope",
        "title": _TITLES[settings.points],
        "form": "L* = c F^g, N* ~ F^a, D* ~ F^b",
        "points": settings.points,
        "min_train_fraction": settings.min_train_fraction,
        "n_runs": len(used),
        "n_runs_left_out": left_out,
        "parameters": {},
        "datasets": [_summary_of(entry, settings.level) for entry in fits],
        "interval": {"level": settings.level, "method": "bootstrap over runs", "refits": settings.refits},
        "fit": {},
        "r2": None,
        "r2_by_dataset": {entry.dataset: _r_squared(entry) for entry in fits},
        "warnings": _warnings(fits, settings, curves),
    }
    refits = [_refits(entry) for entry in fits]
    return determination.Law(
        summary,
        tables.table(rows, tables.ALLOCATIONS),
        tables.table([], tables.PREDICTIONS),
        tables.table(pd.concat(refits, ignore_index=True) if refits else [], tables.REFITS),
        tables.table([], tables.PREDICTIONS),
    )
