"""The converged fit and the published recipe.

The published recipe minimises the MEAN Huber loss of log residuals in the paper's own coordinates, from every start of
a grid, and keeps the lowest value. It uses SciPy's L-BFGS-B at default tolerances, with gradients from finite
differences. It is here to reproduce printed numbers: it stops before it converges (`spec/laws.md`, last section).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from robustlaws.laws.fit import multistart, newton
from robustlaws.laws.observations import Observations
from robustlaws.runtime.progress import Progress
from robustlaws.settings import LawFit

RECIPES = ("converged", "published")
NO_INTERVALS = "the published recipe gives no intervals"
_LOG_SECONDS = 15.0


@dataclass(frozen=True)
class Printed:
    """A form in the coordinates of the published search, in the order of its parameters.

    `log_loss(point, log_params, log_images, fid)`: log of the losses (n,) at `point` (p,).
    `points(logs)`: coordinates (S, p) of parameters with coefficients as logs; `logs(points)`: its inverse.
    """

    log_loss: Callable
    points: Callable
    logs: Callable


def check(settings: LawFit) -> None:
    """Raise ValueError if `settings.recipe` is unknown."""
    if settings.recipe not in RECIPES:
        raise ValueError(f"laws recipe: unknown {settings.recipe!r}; known: {', '.join(RECIPES)}")


def best(form: Any, problem: Any, starts: Any, seen: Observations, settings: LawFit, what: str) -> Any:
    """Return the best fit of one stage by the recipe of `settings`.

    Parameters
    ----------
    form : form.Form
    problem : newton.Problem
        Of `seen`.
    starts : dict of str to array (S,)
        Parameters, coefficients as logs.
    seen : Observations
    settings : settings.LawFit
        `recipe` and `huber_delta` are used.
    what : str
        For the log.

    Returns
    -------
    multistart.Fit

    Raises
    ------
    ValueError
        If no start leads to a law.
    """
    if settings.recipe == "converged":
        return multistart.multistart(problem, problem.theta(starts), settings.huber_delta)
    return _published(form.printed, problem, starts, seen, settings.huber_delta, what)


def _published(printed, problem, starts, seen, delta, what):
    """Return the lowest end of all starts as a `multistart.Fit`: its objective is the sum, as a converged fit's is."""
    free = problem.free
    points = np.array(printed.points(starts))
    clipped = np.clip(problem.theta(starts), problem.lower, problem.upper)
    points[:, ~free] = printed.points(problem.logs(clipped))[:, ~free]
    ends, values = _search(printed.log_loss, points, free, seen, delta, what)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = printed.logs(ends)
    # a coefficient below 0 is no law: its log does not exist
    exist = np.isfinite(np.column_stack(list(logs.values())))
    usable = np.isfinite(values) & (exist | ~free).all(axis=1)
    if not usable.any():
        raise ValueError(f"starts: none of {len(points)} leads to a law by the published recipe; widen the grid")
    values = np.where(usable, values, np.inf)
    lowest = int(values.argmin())
    theta = problem.theta({name: value[lowest : lowest + 1] for name, value in logs.items()})[0]
    theta = np.where(free, theta, clipped[lowest])
    value, gradient, _, _ = newton.derivatives(problem, theta[None], np.ones((1, len(seen))), delta)
    # the published search has no bounds, so none excuses a gradient
    norm = float(np.abs(gradient).max() / (delta * len(seen)))
    return multistart.Fit(
        theta=theta,
        objective=float(value[0]),
        gradient_norm=norm,
        converged=norm <= multistart.CONVERGED,
        starts=len(points),
        starts_agreeing=multistart.agreeing(len(seen) * values, len(seen)),
        distinct=theta[None],
        hessian_condition=multistart.hessian_condition(problem, theta, delta),
    )


def _search(log_loss, points, free, seen, delta, what):
    """Return SciPy's end points from each of `points` (S, p), and the mean Huber loss (S,); nan where it fails."""
    log_params, log_images, measured = np.log(seen.params), np.log(seen.images), np.log(seen.loss)
    ends, values = points.copy(), np.full(len(points), np.nan)
    progress = Progress(f"published recipe of {what}", len(points), unit="starts", every=_LOG_SECONDS)
    for index, point in enumerate(ends):

        def mean_huber(moved, point=point):
            point[free] = moved
            residuals = log_loss(point, log_params, log_images, seen.fid) - measured
            return special.huber(delta, residuals).mean()

        with np.errstate(all="ignore"):
            minimum = optimize.minimize(mean_huber, points[index, free], method="L-BFGS-B")
        point[free], values[index] = minimum.x, minimum.fun
        progress.advance(1)
    return ends, values
