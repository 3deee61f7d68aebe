"""Fit from many starts, and bootstrap refits."""

from dataclasses import dataclass

import numpy as np

from robustlaws.laws.fit.newton import Minima, Problem, derivatives, minimise, polish

# Of the projected gradient, relative to delta times the number of runs: what "converged" means.
CONVERGED = 1e-6
_REFIT_CONVERGED = 1e-4  # far below the width of any interval
_SCREENING = 200  # iterations after which only the lowest of a refit's minimisations goes on
_APART = 0.05  # in any scaled coordinate: another minimum


@dataclass(frozen=True)
class Fit:
    """The best of many starts.

    `theta` (p,); `objective`, `gradient_norm` as in `descent.Minima`; `converged`: the norm is at most
    `CONVERGED`; `starts_agreeing`: how many of `starts` ended at the best objective; `distinct`
    (m, p): the best few different minima, best first; `hessian_condition`: largest over smallest
    absolute eigenvalue of the exact Hessian in the free coordinates within their bounds (inf where singular).
    """

    theta: np.ndarray
    objective: float
    gradient_norm: float
    converged: bool
    starts: int
    starts_agreeing: int
    distinct: np.ndarray
    hessian_condition: float


def agreeing(values: np.ndarray, runs: int) -> int:
    """Return the number of `values` (S,) that equal the lowest up to rounding, of an objective of `runs` runs."""
    # 1e-15 per run: residuals of some 1e-8, which is what an exact law leaves
    return int((values <= values.min() * (1 + 1e-6) + 1e-15 * runs).sum())


def hessian_condition(problem: Problem, theta: np.ndarray, delta: float) -> float:
    """Return `Fit.hessian_condition` at `theta` (p,)."""
    _, _, hessian, _ = derivatives(problem, theta[None], np.ones((1, len(problem.log_loss))), delta)
    inside = ((theta > problem.lower) & (theta < problem.upper))[problem.free]
    if not inside.any() or not np.isfinite(hessian).all():
        return 1.0 if not inside.any() else np.inf
    spread = np.abs(np.linalg.eigvalsh(hessian[0][np.ix_(inside, inside)]))
    return float(spread.max() / spread.min()) if spread.min() > 0 else np.inf


def _levelled(problem, starts):
    """Return `starts` (S, p) with all terms of the law scaled together until half of the losses lie above it.

    The lowest point of each start along that line, but for delta. As they are where that line is not free.
    """
    starts = np.clip(starts, problem.lower, problem.upper)
    predicted = problem.predict(starts)
    usable = ((predicted > 0) & np.isfinite(predicted)).all(axis=1)
    above = np.median(problem.log_loss - np.log(np.where(usable[:, None], predicted, 1.0)), axis=1)
    scaled = np.clip(problem.scaled(starts, np.where(usable, np.exp(above), 1.0)), problem.lower, problem.upper)
    return starts if (scaled != starts)[:, ~problem.free].any() else scaled


def multistart(problem: Problem, starts: np.ndarray, delta: float, keep: int = 4) -> Fit:
    """Return the best minimum that `starts` (S, p) lead to, and how many led there.

    Raises
    ------
    ValueError
        If no start predicts positive losses.
    """
    runs = len(problem.log_loss)
    minima = minimise(problem, _levelled(problem, starts), np.ones(runs), delta)
    order = np.argsort(minima.objective, kind="stable")
    if not np.isfinite(minima.objective[order[0]]):
        raise ValueError(f"starts: none of {len(starts)} predicts positive losses; widen the grid of starts")
    distinct = [order[0]]
    for index in order[1:]:
        if len(distinct) == keep or not np.isfinite(minima.objective[index]):
            break
        if (np.abs(minima.theta[index] - minima.theta[distinct]).max(axis=1) > _APART).all():
            distinct.append(index)
    theta, value, norm = polish(problem, minima.theta[order[0]], np.ones(runs), delta)
    return Fit(
        theta=theta,
        objective=value,
        gradient_norm=norm,
        converged=norm <= CONVERGED,
        starts=len(starts),
        starts_agreeing=agreeing(minima.objective, runs),
        distinct=np.concatenate([theta[None], minima.theta[distinct[1:]]]),
        hessian_condition=hessian_condition(problem, theta, delta),
    )


def lowest(problem: Problem, starts: np.ndarray, weights: np.ndarray, delta: float) -> Minima:
    """Return the lowest minimum that some starts lead to, for each of R weightings of the runs.

    Parameters
    ----------
    problem : descent.Problem
    starts : float array (m, p), or (R, m, p) where each weighting has its own
    weights : float array (R, n)
        How often each run counts.
    delta : float

    Returns
    -------
    descent.Minima
        Of length R.
    """
    groups, (count, order) = len(weights), starts.shape[-2:]
    starts = np.broadcast_to(starts, (groups, count, order)).reshape(-1, order)
    screened = minimise(problem, starts, np.repeat(weights, count, axis=0), delta, _SCREENING)
    best = screened.objective.reshape(groups, count).argmin(axis=1)
    return minimise(problem, screened.theta[np.arange(groups) * count + best], weights, delta)


def draws(runs: int, refits: int, rng: np.random.Generator) -> np.ndarray:
    """Return the counts of each of `runs` runs drawn with replacement for each refit: float array (refits, runs)."""
    return rng.multinomial(runs, np.full(runs, 1.0 / runs), size=refits).astype(float)


def bootstrap(
    problem: Problem, fit: Fit, refits: int, delta: float, rng: np.random.Generator, fixed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fit's coordinates after resampling the runs with replacement.

    Each refit starts from the best few minima of `fit` and keeps the lowest that it reaches.

    Parameters
    ----------
    problem : descent.Problem
    fit : Fit
    refits : int
    delta : float
    rng : numpy.random.Generator
    fixed : float array (refits, p), optional
        Coordinates that are not free, for each refit its own; default: those of `fit`.

    Returns
    -------
    theta (refits, p) and converged (refits,), bool
        Refits count as converged from a gradient norm of 1e-4 on.
    """
    starts = fit.distinct
    if fixed is not None:
        starts = np.where(problem.free, fit.distinct[None], fixed[:, None, :])
    minima = lowest(problem, starts, draws(len(problem.log_loss), refits, rng), delta)
    return minima.theta, minima.gradient_norm <= _REFIT_CONVERGED


def unresolved(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return which coordinates the runs cannot tell apart at `theta` (p,): bool (p,).

    They take part in a change of the coordinates that changes no prediction. Along it the predictions' derivatives,
    each column scaled to length 1, vanish to 1e-7. All runs count here, also those beyond delta, which the Hessian of
    the Huber loss does not see. Coordinates that are not free are never named.
    """
    free = np.flatnonzero(problem.free)
    predicted, slopes = problem.slopes(theta[None])
    slopes = (slopes[0] / predicted).T
    length = np.sqrt((slopes**2).sum(axis=0))
    named = np.zeros(len(theta), dtype=bool)
    named[free[length == 0]] = True
    usable = free[length > 0]
    if len(usable):
        scaled = slopes[:, length > 0] / length[length > 0]
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        null = vectors[:, values < 1e-14 * len(usable)]
        named[usable] = (np.abs(null) > 0.05).any(axis=1)
    return named


def at_edge(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return which free coordinates of `theta` (..., p) lie on their bounds: bool (..., p)."""
    return problem.free & ((theta <= problem.lower) | (theta >= problem.upper))
