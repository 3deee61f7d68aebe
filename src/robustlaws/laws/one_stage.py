"""Fit a form L(N, D, FID) to observations in one stage: approaches 2 and 3."""

from collections.abc import Mapping

import numpy as np

from robustlaws import seeds
from robustlaws.laws import determination, law_summary, law_tables
from robustlaws.laws.determination import Law
from robustlaws.laws.fit import multistart, published_recipe
from robustlaws.laws.fitted_form import Fitted
from robustlaws.laws.form import Form, floats
from robustlaws.laws.observations import Observations
from robustlaws.settings import LawFit
from robustlaws.storage import tables

STARTS = ("grid", "small")


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
