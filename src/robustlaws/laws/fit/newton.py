"""Many minimisations of the summed Huber loss at once, with exact derivatives.

A law gives a `Problem` in scaled coordinates. All steps are batched over S independent minimisations (starts or
bootstrap refits) of the same n observations and p coordinates.

The objective is the SUM over runs of Huber(log predicted - log measured) with delta 0.001. Residuals are usually larger
than delta, so it is nearly a sum of absolute values: Newton's matrix then sees only the few runs within delta, and the
reweighted least-squares matrix, which bounds the objective from above, is safe but slow. Each iteration tries a damped
step of both along two paths, and keeps the lowest: a straight line, and a line straight in the logs of the law's
coefficients. A coefficient and its exponent trade along such a curve. (`spec/laws.md`, last section: the published
recipe stops early on this objective.)
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

_GOAL = 1e-8  # of the gradient, in the units of `Minima`
_ITERATIONS = 1000
_FALL, _RISE = 0.3, 8.0  # of the damping, after a step that lowers the objective and one that does not
_REFUSALS = 24  # in a row, so at the largest damping: no step lowers the objective any more
_FLATTEST = 0.1  # of the diagonal that a log loss of slope 1 would give: flatter coordinates are not let go further
_LONGEST = 4.0  # of a step in the log of a coefficient
_BENT = 0.01  # relative change of a coefficient below which straight and bent steps are one
_BLOCK_ELEMENTS = 60_000  # observations times problems handled at once: stays in the cache


class Problem(Protocol):
    """The interface of a law to the fit; n observations, p coordinates, S coordinate vectors at once."""

    log_loss: np.ndarray  # (n,) log of the measured losses, in the unit of `predict`
    lower: np.ndarray  # (p,) bounds
    upper: np.ndarray
    free: np.ndarray  # (p,) bool: coordinates that are searched; the others stay where a start has them
    coefficients: tuple[int, ...]  # coordinates above 0 that multiply a term with an exponent

    def scaled(self, theta: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Return the coordinates (S, p) at which all predictions are `factor` (S,) times those at `theta`."""

    def predict(self, theta: np.ndarray) -> np.ndarray:
        """Return the predicted losses (S, n) at `theta` (S, p)."""

    def slopes(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the predicted losses (S, n) and their derivatives by the f free coordinates (S, f, n)."""

    def curvature(self, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return sum over runs of `weights` (S, n) times the second derivatives: (S, f, f)."""


@dataclass(frozen=True)
class Minima:
    """The ends of S minimisations.

    `theta` (S, p); `objective` (S,); `gradient_norm` (S,): largest component of the gradient that the bounds leave
    free, over delta times the sum of the weights. So 1 means that every run pulls one way.
    """

    theta: np.ndarray
    objective: np.ndarray
    gradient_norm: np.ndarray


def huber(residuals: np.ndarray, delta: float) -> np.ndarray:
    """Return r^2/2 within `delta` and delta (|r| - delta/2) beyond it, elementwise."""
    size = np.abs(residuals)
    within = np.minimum(size, delta)
    return within * (size - 0.5 * within)


def objective(problem: Problem, theta: np.ndarray, weights: np.ndarray, delta: float) -> np.ndarray:
    """Return the summed Huber loss (S,) at `theta` (S, p); inf where a prediction is not positive."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residuals = np.log(problem.predict(theta)) - problem.log_loss
        total = (weights * huber(residuals, delta)).sum(axis=-1)
    return np.where(np.isfinite(total), total, np.inf)


def derivatives(
    problem: Problem, theta: np.ndarray, weights: np.ndarray, delta: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the objective, and in the free coordinates its exact gradient and Hessian, and a majorising matrix.

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
    objective (S,), gradient (S, f), hessian (S, f, f), majoriser (S, f, f)
        In the f free coordinates. The Hessian is exact wherever no residual is exactly delta; the
        majoriser is that of iteratively reweighted least squares, always positive semidefinite.
    """
    predicted, slopes = problem.slopes(theta)
    slopes = slopes / predicted[:, None, :]  # of log predicted
    residuals = np.log(predicted) - problem.log_loss
    size = np.abs(residuals)
    pull = weights * np.clip(residuals, -delta, delta)
    within = weights * (size <= delta)
    reweighted = weights * (delta / np.maximum(size, delta))
    gradient = np.matmul(slopes, pull[:, :, None])[:, :, 0]
    across = slopes.transpose(0, 2, 1)
    bend = problem.curvature(theta, pull / predicted)
    hessian = np.matmul(slopes * (within - pull)[:, None, :], across) + bend
    majoriser = np.matmul(slopes * reweighted[:, None, :], across)
    return (weights * huber(residuals, delta)).sum(axis=-1), gradient, hessian, majoriser


def projected(problem: Problem, theta: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient (S, f) with zeros where a bound blocks the way down, and where that is, bool (S, f)."""
    here, free = theta[:, problem.free], problem.free
    blocked = ((here <= problem.lower[free]) & (gradient >= 0)) | ((here >= problem.upper[free]) & (gradient <= 0))
    return np.where(blocked, 0.0, gradient), blocked


def _solve(matrices, forces):
    """Return x (S, p) of |matrix| x = force, |matrix| = L |D| L' of the symmetric matrices (S, p, p).

    Along negative curvature a step still goes downhill. Written out over the coordinates, all S at a time: many
    times faster than a call of LAPACK for each.
    """
    rows = np.ascontiguousarray(matrices.transpose(1, 2, 0))
    solved = np.ascontiguousarray(forces.T)
    order = len(rows)
    pivots = np.empty_like(solved)
    for j in range(order):
        pivots[j] = np.maximum(np.abs(rows[j, j]), 1e-10)
        for i in range(j + 1, order):
            factor = rows[i, j] / pivots[j]
            rows[i, j + 1 : i + 1] -= factor * rows[j + 1 : i + 1, j]
            solved[i] -= factor * solved[j]
    for j in range(order - 1, -1, -1):
        solved[j] -= (rows[j + 1 :, j] * solved[j + 1 :]).sum(axis=0)
        solved[j] /= pivots[j]
    return solved.T


def _bounded_step(matrix, gradient, fixed_now, low, high):
    """Return the step (S, p) that lowers gradient step + step |matrix| step / 2, within [low, high].

    Coordinates that run into a bound stay there, and the rest is solved again without releasing them. That is close to
    the bounded minimum, and each step's objective is checked before it is accepted.
    """
    step, fixed_now = np.zeros_like(gradient), fixed_now.copy()
    diagonal = np.arange(gradient.shape[1])
    rows = slice(None)
    for _ in diagonal:
        fixed, system, force = fixed_now[rows], matrix[rows], -gradient[rows]
        if fixed.any():
            force -= np.matmul(system, np.where(fixed, step[rows], 0.0)[..., None])[..., 0]
            force[fixed] = 0.0
            system = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, system)
            system[:, diagonal, diagonal] += fixed
        solved = np.where(fixed, step[rows], _solve(system, force))
        step[rows] = np.clip(solved, low[rows], high[rows])
        over = ~fixed & (step[rows] != solved)
        fixed_now[rows] |= over
        again = over.any(axis=1)
        if not again.any():
            break
        rows = np.flatnonzero(again) if isinstance(rows, slice) else rows[again]
    return step


def _scale(majoriser, pulls):
    """Return the units (S, f) of the coordinates in which a step is damped; `pulls` (S,): summed weights."""
    return np.sqrt(np.maximum(np.einsum("spp->sp", majoriser), _FLATTEST * pulls[:, None]))


def _reached(problem, here, matrix, scale, gradient, blocked, damping):
    """Return the coordinates (S, p) that a step from `here`, damped by `damping` (S,), leads to."""
    free = problem.free
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    index = np.arange(scaled.shape[1])
    scaled[:, index, index] += 1e-13 + damping[:, None]
    low, high = ((bound - here)[:, free] * scale for bound in (problem.lower, problem.upper))
    there = here.copy()
    there[:, free] += _bounded_step(scaled, gradient / scale, blocked, low, high) / scale
    return np.clip(there, problem.lower, problem.upper)


def _bent(problem, here, there):
    """Return `there` (S, p) with the coefficients moved in their logs instead, and where that differs, bool (S,)."""
    chosen = list(problem.coefficients)
    change = (there[:, chosen] - here[:, chosen]) / here[:, chosen]
    bent = there.copy()
    bent[:, chosen] = here[:, chosen] * np.exp(np.clip(change, -_LONGEST, _LONGEST))
    return np.clip(bent, problem.lower, problem.upper), (np.abs(change) > _BENT).any(axis=1)


def _trials(problem, here, weights, delta, matrices, scale, gradient, blocked, damping):
    """Return the points after a step by each of two matrices, (2, S, p), and the objective there, (2, S).

    `matrices`: two of (S, f, f); `damping` (S, 2).
    """
    here, weights, scale, gradient, blocked = (
        np.concatenate([array, array]) for array in (here, weights, scale, gradient, blocked)
    )
    there = _reached(problem, here, np.concatenate(matrices), scale, gradient, blocked, damping.T.ravel())
    value = objective(problem, there, weights, delta)
    bent, differs = _bent(problem, here, there)
    rows = np.flatnonzero(differs)
    if len(rows):
        other = objective(problem, bent[rows], weights[rows], delta)
        lower = other < value[rows]
        rows = rows[lower]
        value[rows], there[rows] = other[lower], bent[rows]
    return there.reshape(2, -1, there.shape[1]), value.reshape(2, -1)


def _descend(problem, starts, weights, delta, iterations):
    """Return theta (S, p) and objective (S,) where the minimisations end, as many at a time as fit the cache."""
    theta = starts.copy()
    best = objective(problem, theta, weights, delta)
    damping = np.full((len(theta), 2), 1e-3)  # of Newton's step and of the reweighted one
    refusals, spent = np.zeros(len(theta), dtype=int), np.zeros(len(theta), dtype=int)
    waiting = np.flatnonzero(np.isfinite(best))
    block = max(1, _BLOCK_ELEMENTS // len(problem.log_loss))
    active = waiting[:0]
    while len(active) or len(waiting):
        if len(active) <= block // 2:
            room = block - len(active)
            active, waiting = np.concatenate([active, waiting[:room]]), waiting[room:]
        here, counts = theta[active], weights[active]
        value, gradient, hessian, majoriser = derivatives(problem, here, counts, delta)
        gradient, blocked = projected(problem, here, gradient)
        goal = _GOAL * delta * counts.sum(axis=1)
        going = (np.abs(gradient).max(axis=1) > goal) & (refusals[active] <= _REFUSALS) & (spent[active] < iterations)
        active, here, counts, value = active[going], here[going], counts[going], value[going]
        if not len(active):
            continue
        matrices, scale = (hessian[going], majoriser[going]), _scale(majoriser[going], counts.sum(axis=1))
        there, reached = _trials(
            problem, here, counts, delta, matrices, scale, gradient[going], blocked[going], damping[active]
        )
        factor = np.where(reached < value, _FALL, _RISE).T
        damping[active] = np.clip(damping[active] * factor, 1e-12, 1e9)
        kind, row = reached.argmin(axis=0), np.arange(len(active))
        lowest = reached[kind, row]
        lower = lowest < value
        theta[active] = np.where(lower[:, None], there[kind, row], here)
        best[active] = np.where(lower, lowest, value)
        refusals[active] = np.where(lower, 0, refusals[active] + 1)
        spent[active] += 1
    return theta, best


def polish(problem: Problem, theta: np.ndarray, weights: np.ndarray, delta: float) -> tuple[np.ndarray, float, float]:
    """Take undamped Newton steps while they shrink the gradient.

    Near the minimum the objective no longer changes in double precision, but its gradient does.

    Parameters
    ----------
    theta : float array (p,)
        Close to a minimum.
    weights : float array, broadcast to (1, n)
    delta : float

    Returns
    -------
    theta (p,), the objective there, and the gradient's norm, as in `Minima`
    """
    weights = np.broadcast_to(weights, (1, len(problem.log_loss)))
    candidate = theta = theta[None]
    norm, lowest = np.inf, np.nan
    for _ in range(20):
        value, gradient, hessian, majoriser = derivatives(problem, candidate, weights, delta)
        gradient, blocked = projected(problem, candidate, gradient)
        new_norm = np.abs(gradient).max(initial=0.0) / (delta * weights.sum())
        if not new_norm < norm or value[0] > lowest * (1 + 1e-12) + 1e-24:
            break
        theta, norm, lowest = candidate, new_norm, value[0]
        scale = _scale(majoriser, weights.sum(axis=1))
        candidate = _reached(problem, theta, hessian, scale, gradient, blocked, np.zeros(1))
        if not np.isfinite(objective(problem, candidate, weights, delta)).all():
            break
    return theta[0], float(lowest), float(norm)


def minimise(
    problem: Problem, starts: np.ndarray, weights: np.ndarray, delta: float, iterations: int = _ITERATIONS
) -> Minima:
    """Return the ends of the minimisation from each of `starts`.

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
    theta, value = _descend(problem, starts, weights, delta, iterations)
    norm = np.full(len(starts), np.inf)
    usable = np.flatnonzero(np.isfinite(value))
    block = max(1, _BLOCK_ELEMENTS // len(problem.log_loss))
    for rows in np.split(usable, range(block, len(usable), block)):
        _, gradient, _, _ = derivatives(problem, theta[rows], weights[rows], delta)
        gradient, _ = projected(problem, theta[rows], gradient)
        norm[rows] = np.abs(gradient).max(axis=1, initial=0.0) / (delta * weights[rows].sum(axis=1))
    return Minima(theta, value, norm)
