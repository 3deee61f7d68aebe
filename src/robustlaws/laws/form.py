"""Fit a form L(N, D, FID) to observations: the shared part of approaches 2 and 3."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustlaws import seeds
from robustlaws.laws import bootstrap_table, determination, law_summary, law_tables
from robustlaws.laws.arrays import Numbers
from robustlaws.laws.determination import Law
from robustlaws.laws.fit import multistart, published_recipe
from robustlaws.laws.fitted_form import Fitted
from robustlaws.laws.observations import Observations
from robustlaws.settings import LawFit
from robustlaws.storage import tables

STARTS = ("grid", "small")


@dataclass(frozen=True)
class Form:
    """One form of the loss; `logs` below are dicts of its parameters with coefficients as logs.

    Logs, because a coefficient such as A = t N0^alpha overflows in refits that the data hardly hold.

    `judges`: {parameter: how its interval is judged}; `determination.loss_above_zero` is given the lowest loss first.
    `rests_on`: {parameter: axes of which it needs `determination.FEWEST_LEVELS`}; `tied`: {name: coordinates that
    it is computed from}, for parameters and for the names that `at_fid` returns.
    `problem(params, images, fid, loss, quality)`: the `fitting.Problem`, with `logs(theta)` for theta (S, p);
    without `quality` the parameters in `of_quality` are held. `grid(kind)`: the starts, as `logs` with arrays (S,).
    `logged`: which parameters are coefficients. `printed`: the form as the published search sees it.
    `loss(logs, log_params, log_images, fid)`;
    `optimum(logs, log_budget, fid)`: log N*, log D* where N D = the budget; `share(logs, log_budget, fid)`:
    d log N* / d log F; `at_fid(logs, fid)`: {name: loss term at this FID}; `asymptote(logs, fid)`.
    """

    name: str
    title: str
    text: str
    judges: dict
    rests_on: dict
    tied: dict
    of_quality: tuple[str, ...]
    logged: tuple[str, ...]
    problem: Callable
    grid: Callable
    printed: published_recipe.Printed
    loss: Callable
    optimum: Callable
    share: Callable
    at_fid: Callable
    asymptote: Callable

    def starts(self, problem: Any, kind: str) -> np.ndarray:
        """Return the starts of a grid in the problem's coordinates, (S, p)."""
        return problem.theta(self.grid(kind))

    def logs_of(self, parameters: Mapping[str, Numbers]) -> dict[str, np.ndarray]:
        """Return the parameters with coefficients as logs; a coefficient of 0 is -inf."""
        values = {name: np.asarray(parameters[name], dtype=float) for name in self.judges}
        with np.errstate(divide="ignore"):
            return {name: np.log(value) if name in self.logged else value for name, value in values.items()}

    def named(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters themselves: inverse of :meth:`logs_of`."""
        return {name: np.exp(logs[name]) if name in self.logged else logs[name] for name in self.judges}

    def loss_of(self, parameters: Mapping[str, Numbers], params: Numbers, images: Numbers, fid: Numbers) -> Numbers:
        """Return the loss in nats for N = `params`, D = `images` and `fid`; all broadcast."""
        return self.loss(self.logs_of(parameters), np.log(params), np.log(images), fid)

    def asymptote_of(self, parameters: Mapping[str, Numbers], fid: Numbers) -> Numbers:
        """Return the loss in nats at `fid` with N and D unlimited."""
        return self.asymptote(self.logs_of(parameters), fid)

    def optimum_of(
        self, parameters: Mapping[str, Numbers], flops: Numbers, fid: Numbers, flops_per_parameter_image: float
    ) -> tuple[Numbers, Numbers]:
        """Return the compute-optimal N* and D* for training budgets.

        Parameters
        ----------
        parameters : dict
        flops : float or array
            Training FLOPs, k N D.
        fid : float or array
        flops_per_parameter_image : float
            k; 7822 for the paper's networks.

        Returns
        -------
        params, images

        Source: `spec/laws.md`: closed forms of approach 2; of approach 3 by Newton's method, to 1e-12.
        """
        log_budget = np.log(np.asarray(flops) / flops_per_parameter_image)
        params, images = self.optimum(self.logs_of(parameters), log_budget, fid)
        return np.exp(params), np.exp(images)

    def exponents_of(
        self,
        parameters: Mapping[str, Numbers],
        flops: Numbers = 1.0,
        fid: Numbers = 0.0,
        flops_per_parameter_image: float = 1.0,
    ) -> tuple[Numbers, Numbers]:
        """Return a and b of N* ~ FLOPs^a, D* ~ FLOPs^b at a budget, which approach 2 does not depend on."""
        share = self.share(self.logs_of(parameters), np.log(np.asarray(flops) / flops_per_parameter_image), fid)
        return share, 1 - share


def samples(form: Form, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the fit and its refits from a table of `tables.REFITS`, as `logs`: a dict of arrays (1 + refits,).

    Empty where the law was not fitted. A parameter that the fit held without end (Q at one FID) is -inf.
    """
    values = bootstrap_table.samples(table, form.name)
    endless = {name: np.where(np.isnan(value), -np.inf, value) for name, value in values.items()}
    return {name.removeprefix("log "): value for name, value in endless.items()}


def floats(logs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return parameters of arrays (1,) as floats."""
    return {name: float(value[0]) for name, value in logs.items()}


def check(settings: LawFit) -> None:
    """Raise ValueError if `settings` names an unknown recipe or grid of starts."""
    published_recipe.check(settings)
    if settings.starts not in STARTS:
        raise ValueError(f"laws starts: unknown {settings.starts!r}; known: {', '.join(STARTS)}")


def too_little(runs: int, unknowns: int, levels: Mapping[str, int]) -> str:
    """Return why `runs` runs with these levels of N and D cannot be fitted, or ""."""
    if runs < unknowns + 1:
        return f"{runs} run{'s' if runs != 1 else ''} for {unknowns} parameters"
    few = [axis for axis in ("N", "D") if levels[axis] < 2]
    return f"only 1 distinct {few[0]}" if few else ""


def as_law(fitted: Fitted, settings: LawFit) -> Law:
    """Return a fit as a `Law`."""
    return determination.Law(
        law_summary.summary(fitted, settings),
        tables.table(law_tables.allocations(fitted, settings), tables.ALLOCATIONS),
        tables.table(law_tables.predictions(fitted), tables.PREDICTIONS),
        tables.table(law_tables.refits(fitted), tables.REFITS),
        tables.table(law_tables.held_out(fitted), tables.PREDICTIONS),
    )


def _without_each(problem, seen, best, starts, delta):
    """Return {dataset: theta (p,)} of the fits that leave one dataset out, where enough remains."""
    names = [name for name, _ in seen.datasets()]
    if len(names) < 3:
        return {}
    # a dozen fresh starts: without the dataset the best fit may lie elsewhere
    starts = np.concatenate([best.distinct, starts[:: max(1, len(starts) // 12)]])
    kept = {name: seen.dataset != name for name in names}
    enough = [name for name, mask in kept.items() if _enough(seen, mask, len(best.theta))]
    if not enough:
        return {}
    minima = multistart.lowest(problem, starts, np.array([kept[name] for name in enough], dtype=float), delta)
    return dict(zip(enough, minima.theta, strict=True))


def _enough(seen, kept, unknowns):
    """Whether the runs `kept` (n,), bool, can be fitted by themselves."""
    axes = (seen.params, determination.FEWEST_LEVELS), (seen.images, determination.FEWEST_LEVELS), (seen.fid, 2)
    return kept.sum() > unknowns and all(determination.levels(values[kept]) >= fewest for values, fewest in axes)


def fit(form: Form, seen: Observations, settings: LawFit) -> Law:
    """Return `form` fitted to the observations `seen`, as a `Law`.

    With too few runs for any fit, the law gives the reason and its tables are empty.

    Raises
    ------
    ValueError
        If `settings.starts` or `settings.recipe` is unknown.
    """
    check(settings)
    axes = {"N": seen.params, "D": seen.images, "FID": seen.fid}
    levels = {axis: determination.levels(values) for axis, values in axes.items()}
    quality = levels["FID"] > 1
    reason = too_little(len(seen), len(form.judges) - (0 if quality else len(form.of_quality)), levels)
    if reason:
        return law_summary.unfitted(form, seen, settings, levels, reason)
    problem = form.problem(seen.params, seen.images, seen.fid, seen.loss, quality=quality)
    best = published_recipe.best(form, problem, form.grid(settings.starts), seen, settings, form.name)
    thetas, converged, without = np.empty((0, len(best.theta))), np.empty(0, dtype=bool), {}
    if settings.recipe == "converged":
        rng = np.random.default_rng(seeds.derive(settings.seed, "bootstrap", form.name))
        thetas, converged = multistart.bootstrap(problem, best, settings.refits, settings.huber_delta, rng)
        starts = form.starts(problem, settings.starts)
        refits = _without_each(problem, seen, best, starts, settings.huber_delta)
        without = {name: floats(problem.logs(theta[None])) for name, theta in refits.items()}
    names = list(form.judges)
    stage = law_summary.of_stage(problem, best, names, settings.recipe)
    fitted = Fitted(
        form=form,
        seen=seen,
        core=seen,
        everyone=seen,
        levels=levels,
        logs=floats(problem.logs(best.theta[None])),
        refits=problem.logs(thetas),
        without=without,
        held_out=without,
        report=stage,
        unresolved=tuple(stage["unresolved"]),
        at_bounds=tuple(stage["at_bounds"]),
        ended=dict(zip(names, multistart.at_edge(problem, thetas).T, strict=True)),
        refits_converged=converged,
        level=settings.level,
        no_refits=published_recipe.NO_INTERVALS if settings.recipe == "published" else "",
    )
    return as_law(fitted, settings)
