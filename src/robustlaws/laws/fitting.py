"""The engine under the parametric laws: Huber loss of log residuals, minimised from many starts at once.

A law gives a `Problem` in scaled coordinates; everything here is batched over S independent
minimisations (starts or bootstrap refits) of the same n observations and p coordinates.

The objective is the SUM over runs of Huber(log predicted - log measured) with delta 0.001. Residuals
are usually larger than delta, so it is nearly a sum of absolute values: Newton's matrix then sees only
the few runs within delta, and the reweighted least-squares matrix, which bounds the objective from
above, is safe but slow. Each iteration tries a damped step of both and keeps the lower
(`spec/laws.md`, last section: the published recipe stops early on this objective).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Of the projected gradient, relative to delta times the number of runs: what "converged" means.
CONVERGED = 1e-6
_GOAL = 1e-11
_ITERATIONS = 1000
_SCREENING = 200  # iterations after which only the lowest of a refit's minimisations goes on
_APART = 0.05  # in any scaled coordinate: another minimum
_FALL, _RISE = 0.2, 5.0  # of the damping, after a step that lowers the objective and one that does not
_REFUSALS = 24  # in a row, so with 1e17 times the damping: no step lowers the objective any more
_BLOCK_ELEMENTS = 60_000  # observations times problems handled at once: stays in the cache


class Problem(Protocol):
    """What a law tells the engine; n observations, p coordinates, S coordinate vectors at once."""

    log_loss: np.ndarray  # (n,) log of the measured losses, in the unit of `predict`
    lower: np.ndarray  # (p,) bounds; equal bounds hold a coordinate fixed
    upper: np.ndarray

    def predict(self, theta):
        """Return the predicted losses (S, n) at `theta` (S, p)."""

    def slopes(self, theta):
        """Return the predicted losses (S, n) and their derivatives (S, n, p)."""

    def curvature(self, theta, weights):
        """Return sum over runs of `weights` (S, n) times the second derivatives: (S, p, p)."""


@dataclass(frozen=True)
class Minima:
    """Where S minimisations ended.

    `theta` (S, p); `objective` (S,); `gradient_norm` (S,): largest component of the gradient that the
    bounds leave free, over delta times the sum of the weights, so 1 = every run pulls one way.
    """

    theta: np.ndarray
    objective: np.ndarray
    gradient_norm: np.ndarray


@dataclass(frozen=True)
class Fit:
    """The best of many starts.

    `theta` (p,); `objective`, `gradient_norm` as in `Minima`; `converged`: the norm is at most
    `CONVERGED`; `starts_agreeing`: how many of `starts` ended at the best objective; `distinct`
    (m, p): the best few different minima, best first; `hessian_condition`: largest over smallest
    absolute eigenvalue of the exact Hessian in the free coordinates (inf where it is singular).
    """

    theta: np.ndarray
    objective: float
    gradient_norm: float
    converged: bool
    starts: int
    starts_agreeing: int
    distinct: np.ndarray
    hessian_condition: float


def huber(residuals, delta):
    """Return r^2/2 within `delta` and delta (|r| - delta/2) beyond it, elementwise."""
    size = np.abs(residuals)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def objective(problem, theta, weights, delta):
    """Return the summed Huber loss (S,) at `theta` (S, p); inf where a prediction is not positive."""
    predicted = problem.predict(theta)
    usable = (predicted > 0) & np.isfinite(predicted)
    residuals = np.log(np.where(usable, predicted, 1.0)) - problem.log_loss
    total = (weights * huber(residuals, delta)).sum(axis=-1)
    return np.where(usable.all(axis=-1), total, np.inf)


def derivatives(problem, theta, weights, delta):
    """Return the objective, its exact gradient and Hessian, and a majorising matrix.

    Parameters
    ----------
    theta : float array (S, p)
        Where every prediction is positive.
    weights : float array, broadcast to (S, n)
        How often each run counts.
    delta : float
        Of the Huber loss, in log loss.

    Returns
    -------
    objective (S,), gradient (S, p), hessian (S, p, p), majoriser (S, p, p)
        The Hessian is exact wherever no residual is exactly delta; the majoriser is that of iteratively
        reweighted least squares, always positive semidefinite.
    """
    predicted, slopes = problem.slopes(theta)
    slopes = slopes / predicted[..., None]  # of log predicted
    residuals = np.log(predicted) - problem.log_loss
    pull = weights * np.clip(residuals, -delta, delta)
    within = weights * (np.abs(residuals) <= delta)
    reweighted = weights * np.minimum(1.0, delta / np.maximum(np.abs(residuals), 1e-300))
    gradient = np.matmul(pull[:, None, :], slopes)[:, 0, :]
    flipped = slopes.transpose(0, 2, 1)
    hessian = np.matmul(flipped * (within - pull)[:, None, :], slopes) + problem.curvature(theta, pull / predicted)
    majoriser = np.matmul(flipped * reweighted[:, None, :], slopes)
    return (weights * huber(residuals, delta)).sum(axis=-1), gradient, hessian, majoriser


def _projected(problem, theta, gradient):
    """Return the gradient with zeros where a bound blocks the way down, and where that is."""
    blocked = ((theta <= problem.lower) & (gradient >= 0)) | ((theta >= problem.upper) & (gradient <= 0))
    return np.where(blocked, 0.0, gradient), blocked


def _damped(matrix, scale, damping, definite):
    """Return |matrix| + damping scale^2 (S, p, p), positive definite, in units of `scale` (S, p) on both sides.

    |matrix| has the eigenvalues' absolute values: along negative curvature a step still goes downhill. A `definite`
    matrix is its own.
    """
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    if not definite:
        values, vectors = np.linalg.eigh(scaled)
        scaled = np.matmul(vectors * np.abs(values)[:, None, :], vectors.transpose(0, 2, 1))
    index = np.arange(scaled.shape[1])
    scaled[:, index, index] += 1e-13 + damping[:, None]
    return scaled


def _bounded_step(matrix, gradient, held, low, high):
    """Return the step (S, p) that lowers gradient step + step matrix step / 2, within [low, high].

    Coordinates that run into a bound stay there and the rest is solved again, without ever being let
    go: close to the bounded minimum, and no step is trusted before its objective is known.
    """
    step = np.zeros_like(gradient)
    held, free = held.copy(), np.arange(len(gradient))
    diagonal = np.arange(gradient.shape[1])
    for _ in diagonal:
        fixed = held[free]
        force = -(gradient[free] + np.matmul(matrix[free], np.where(fixed, step[free], 0.0)[..., None])[..., 0])
        system = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, matrix[free])
        system[:, diagonal, diagonal] += fixed
        solved = np.linalg.solve(system, np.where(fixed, 0.0, force)[..., None])[..., 0]
        solved = np.where(fixed, step[free], solved)
        step[free] = np.clip(solved, low[free], high[free])
        over = ~fixed & (step[free] != solved)
        held[free] |= over
        free = free[over.any(axis=1)]
        if not len(free):
            break
    return step


def _candidate(problem, here, matrix, scale, gradient, blocked, damping, definite=False):
    """Return the coordinates (S, p) that a damped step from `here` leads to."""
    low, high = (problem.lower - here) * scale, (problem.upper - here) * scale
    step = _bounded_step(_damped(matrix, scale, damping, definite), gradient / scale, blocked, low, high)
    return np.clip(here + step / scale, problem.lower, problem.upper)


def _minimise_block(problem, theta, weights, delta, iterations):
    """Return theta (S, p) and objective (S,) where as many minimisations as fit the cache end."""
    theta = theta.copy()
    count = len(theta)
    best = np.full(count, np.inf)
    damping = np.full((count, 2), 1e-3)  # of Newton's step and of the reweighted one
    refusals = np.zeros(count, dtype=int)
    active = np.flatnonzero(np.isfinite(objective(problem, theta, weights, delta)))
    for _ in range(iterations):
        if not len(active):
            break
        here, counts = theta[active], weights[active]
        value, gradient, hessian, majoriser = derivatives(problem, here, counts, delta)
        gradient, blocked = _projected(problem, here, gradient)
        best[active] = value
        goal = _GOAL * delta * counts.sum(axis=1)
        going = (np.abs(gradient).max(axis=1) > goal) & (refusals[active] <= _REFUSALS)
        active, here, counts, value = active[going], here[going], counts[going], value[going]
        gradient, blocked = gradient[going], blocked[going]
        diagonal = np.einsum("spp->sp", majoriser[going])
        scale = np.sqrt(np.maximum(diagonal, 1e-12 * diagonal.max(axis=1, initial=1e-300, keepdims=True)))
        lowest, lowest_at = value.copy(), here.copy()
        for kind, matrix in enumerate((hessian[going], majoriser[going])):
            reached = _candidate(problem, here, matrix, scale, gradient, blocked, damping[active, kind], kind == 1)
            there = objective(problem, reached, counts, delta)
            factor = np.where(there < value, _FALL, _RISE)
            damping[active, kind] = np.clip(damping[active, kind] * factor, 1e-12, 1e9)
            lower = there < lowest
            lowest, lowest_at[lower] = np.where(lower, there, lowest), reached[lower]
        refusals[active] = np.where(lowest < value, 0, refusals[active] + 1)
        theta[active], best[active] = lowest_at, lowest
    return theta, best


def _polish(problem, theta, weights, delta):
    """Take undamped Newton steps while they shrink the gradient; return theta and the gradient's norm.

    Near the minimum the objective no longer changes in double precision, but its gradient does.
    """
    weights = np.broadcast_to(weights, (1, len(problem.log_loss)))
    theta = theta[None]
    unit = delta * weights.sum()
    norm = np.inf
    candidate = theta
    ceiling = None
    for _ in range(20):
        value, gradient, hessian, majoriser = derivatives(problem, candidate, weights, delta)
        ceiling = value * (1 + 1e-12) + 1e-24 if ceiling is None else ceiling
        gradient, blocked = _projected(problem, candidate, gradient)
        new_norm = np.abs(gradient).max() / unit
        if not (new_norm < norm and value <= ceiling):
            break
        theta, norm = candidate, new_norm
        diagonal = np.einsum("spp->sp", majoriser)
        scale = np.sqrt(np.maximum(diagonal, 1e-12 * diagonal.max() + 1e-300))
        candidate = _candidate(problem, theta, hessian, scale, gradient, blocked, np.zeros(1))
        if not np.isfinite(objective(problem, candidate, weights, delta)).all():
            break
    return theta[0], float(norm)


def minimise(problem, starts, weights, delta, iterations=_ITERATIONS):
    """Return where the minimisation ends from each of `starts`.

    Parameters
    ----------
    problem : Problem
    starts : float array (S, p)
        Brought within the bounds first.
    weights : float array, broadcast to (S, n)
        How often each run counts.
    delta : float
        Of the Huber loss, in log loss.
    iterations : int
        At most so many; most end after some tens.

    Returns
    -------
    Minima
        Objective inf where a start predicts a loss that is not positive.
    """
    starts = np.clip(np.asarray(starts, dtype=float), problem.lower, problem.upper)
    weights = np.broadcast_to(np.asarray(weights, dtype=float), (len(starts), len(problem.log_loss)))
    theta, value = np.empty_like(starts), np.empty(len(starts))
    norm = np.full(len(starts), np.inf)
    block = max(1, _BLOCK_ELEMENTS // len(problem.log_loss))
    for first in range(0, len(starts), block):
        part = slice(first, first + block)
        theta[part], value[part] = _minimise_block(problem, starts[part], weights[part], delta, iterations)
        usable = np.arange(first, min(first + block, len(starts)))[np.isfinite(value[part])]
        _, gradient, _, _ = derivatives(problem, theta[usable], weights[usable], delta)
        gradient, _ = _projected(problem, theta[usable], gradient)
        norm[usable] = np.abs(gradient).max(axis=1) / (delta * weights[usable].sum(axis=1))
    return Minima(theta, value, norm)


def _agreeing(values, best, runs):
    # 1e-15 per run: residuals of some 1e-8, which is what an exact law leaves
    return values <= best * (1 + 1e-6) + 1e-15 * runs


def multistart(problem, starts, delta, keep=4):
    """Return the best minimum that `starts` (S, p) lead to, and how many led there.

    Raises
    ------
    ValueError
        If no start predicts positive losses.
    """
    runs = len(problem.log_loss)
    found = minimise(problem, starts, np.ones(runs), delta)
    order = np.argsort(found.objective, kind="stable")
    if not np.isfinite(found.objective[order[0]]):
        raise ValueError(f"starts: none of {len(starts)} predicts positive losses; widen the grid of starts")
    distinct = [order[0]]
    for index in order[1:]:
        if len(distinct) == keep or not np.isfinite(found.objective[index]):
            break
        if (np.abs(found.theta[index] - found.theta[distinct]).max(axis=1) > _APART).all():
            distinct.append(index)
    theta, norm = _polish(problem, found.theta[order[0]], np.ones(runs), delta)
    value, _, hessian, _ = derivatives(problem, theta[None], np.ones((1, runs)), delta)
    free = (theta > problem.lower) & (theta < problem.upper)
    spread = np.abs(np.linalg.eigvalsh(hessian[0][np.ix_(free, free)])) if free.any() else np.ones(1)
    return Fit(
        theta=theta,
        objective=float(value[0]),
        gradient_norm=norm,
        converged=norm <= CONVERGED,
        starts=len(starts),
        starts_agreeing=int(_agreeing(found.objective, found.objective[order[0]], runs).sum()),
        distinct=np.concatenate([theta[None], found.theta[distinct[1:]]]),
        hessian_condition=float(spread.max() / spread.min()) if spread.min() > 0 else np.inf,
    )


def lowest(problem, starts, weights, delta):
    """Return the lowest minimum that `starts` (m, p) lead to, for each of R weightings of the runs.

    Parameters
    ----------
    problem : Problem
    starts : float array (m, p)
    weights : float array (R, n)
        How often each run counts.
    delta : float

    Returns
    -------
    Minima
        Of length R.
    """
    groups, count = len(weights), len(starts)
    screened = minimise(problem, np.tile(starts, (groups, 1)), np.repeat(weights, count, axis=0), delta, _SCREENING)
    best = screened.objective.reshape(groups, count).argmin(axis=1)
    return minimise(problem, screened.theta[np.arange(groups) * count + best], weights, delta)


def bootstrap(problem, fit, refits, delta, rng):
    """Return the fit's coordinates after resampling the runs with replacement.

    Each refit starts from the best few minima of `fit` and keeps the lowest that it reaches.

    Parameters
    ----------
    problem : Problem
    fit : Fit
    refits : int
    delta : float
    rng : numpy.random.Generator

    Returns
    -------
    theta (refits, p) and converged (refits,), bool
        Refits count as converged from a gradient norm of 1e-4 on, far below the width of any interval.
    """
    runs = len(problem.log_loss)
    counts = rng.multinomial(runs, np.full(runs, 1.0 / runs), size=refits).astype(float)
    found = lowest(problem, fit.distinct, counts, delta)
    return found.theta, found.gradient_norm <= 1e-4


def unresolved(problem, theta):
    """Return which coordinates the runs cannot tell apart at `theta` (p,): bool (p,).

    They take part in a change of the coordinates that changes no prediction: a direction in which
    the predictions' derivatives, each column scaled to length 1, vanish to 1e-7. All runs count here,
    also those beyond delta, which the Hessian of the Huber loss does not see. Fixed coordinates
    (equal bounds) are never named.
    """
    free = np.flatnonzero(problem.lower < problem.upper)
    predicted, slopes = problem.slopes(theta[None])
    slopes = (slopes[0] / predicted[0][:, None])[:, free]
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
