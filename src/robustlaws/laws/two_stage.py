"""Approach 2 as published: five parameters on one dataset, then eps and zeta on others with the rest held.

The second stage is written so that the first dataset keeps its fitted losses: FIDs enter as (1+FID)/(1+FID of the
base). Source: appendix F.2.1 of the paper. Parameters are handed on as `additive` has them, at FID 0.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from robustlaws import seeds
from robustlaws.laws import additive, determination, form, law_summary, one_stage
from robustlaws.laws.determination import Law
from robustlaws.laws.fit import multistart, published_recipe
from robustlaws.laws.fitted_form import Fitted
from robustlaws.laws.observations import Observations, observe
from robustlaws.settings import LawFit

FORM = replace(additive.FORM, name="additive_two_stage", title="Approach 2 in two stages")
NEITHER = "in neither stage: predicted, not fitted"
_BASE = FORM.judges.keys() - set(FORM.of_quality)
# Runs that a dataset needs to be the base where the study names none.
_FEWEST_RUNS = len(_BASE) + 1


@dataclass(frozen=True)
class _Stages:
    """The observations of each stage, their FIDs f as (1+f) / (1+`base_fid`) - 1: 0 for the base."""

    base: Observations
    later: Observations
    base_fid: float


def fit(runs: pd.DataFrame, curves: pd.DataFrame, settings: LawFit) -> Law:
    """Return approach 2 fitted in two stages, as a `Law`.

    Parameters
    ----------
    runs, curves : data frames
        As `tables.RUNS` and `tables.CURVES`.
    settings : settings.LawFit
        `two_stage`: {"base": dataset, "quality": [datasets]}. None: the base is the dataset of the lowest FID with 6 or
        more runs and 3 levels of N and of D, the quality is told by all the others.

    Raises
    ------
    ValueError
        If there are no runs at all, or a setting is unknown or names a dataset without comparable runs.
    """
    return fit_observations(observe(runs, curves, settings), settings)


def fit_observations(everyone: Observations, settings: LawFit) -> Law:
    """Return approach 2 fitted in two stages to observations, as a `Law`; see `fit`."""
    one_stage.check(settings)
    base, quality = _chosen(everyone, settings.two_stage)
    levels = {"N": 0, "D": 0, "FID": determination.levels(everyone.fid)}
    if base is None:
        fewest = f"{_FEWEST_RUNS} runs with {determination.FEWEST_LEVELS} distinct N and D"
        why = f"no dataset has {fewest}, as the first stage needs"
        return law_summary.unfitted(FORM, everyone, settings, levels, why)
    of_base, of_quality = everyone.dataset == base, np.isin(everyone.dataset, quality)
    left_out = int((~(of_base | of_quality)).sum())
    seen = replace(
        everyone.of(of_base | of_quality), left_out=everyone.left_out | ({NEITHER: left_out} if left_out else {})
    )
    core = everyone.of(of_base)
    levels = {
        "N": determination.levels(core.params),
        "D": determination.levels(core.images),
        "FID": determination.levels(seen.fid),
    }
    reason = one_stage.too_little(len(core), len(_BASE), levels)
    if reason:
        return law_summary.unfitted(FORM, everyone, settings, levels, f"{base}, the base: {reason}")
    stages = _Stages(_relative(core, core.fid[0]), _relative(everyone.of(of_quality), core.fid[0]), float(core.fid[0]))
    choice = {"base": base, "quality": list(quality), "chosen": settings.two_stage is None}
    return one_stage.as_law(_fitted(seen, core, everyone, stages, levels, choice, settings), settings)


def _chosen(everyone, given):
    """Return the base (None where no dataset can be it) and the quality datasets."""
    known = [name for name, _ in everyone.datasets()]
    if given is None:
        able = [name for name in known if _can_be_base(everyone.of(everyone.dataset == name))]
        return (able[0] if able else None), [name for name in known if name not in able[:1]]
    for key, names in (("base", [given["base"]]), ("quality", given["quality"])):
        unknown = [name for name in names if name not in known]
        if unknown:
            usable = ", ".join(known) or "none"
            raise ValueError(f"laws two_stage.{key}: unknown {unknown[0]!r}; known, with comparable runs: {usable}")
    if given["base"] in given["quality"]:
        raise ValueError(f"laws two_stage.quality: {given['base']!r} is the base; name other datasets")
    return given["base"], list(given["quality"])


def _can_be_base(seen):
    few = min(determination.levels(seen.params), determination.levels(seen.images)) < determination.FEWEST_LEVELS
    return len(seen) >= _FEWEST_RUNS and not few


def _relative(seen, base_fid):
    return replace(seen, fid=(1 + seen.fid) / (1 + base_fid) - 1)


def _problem(seen, first=None):
    """Return the problem of a stage; the second has the coordinates of the `first`, those of its five held."""
    columns = seen.params, seen.images, seen.fid, seen.loss
    if first is None:
        return additive.Problem(*columns, quality=False)
    problem = additive.Problem(*columns, centre=first.centre, unit=first.unit)
    problem.free = ~first.free
    return problem


def _at_zero(logs, base_fid):
    """Return parameters whose B and E are those at the base's FID with B and E at FID 0."""
    quality = np.log1p(base_fid)
    return logs | {"B": logs["B"] - logs["zeta"] * quality, "E": logs["E"] - logs["eps"] * quality}


def _second_starts(problem, theta):
    """Return the 12 starts of the second stage as parameters, the first stage's held at `theta` (7,)."""
    grid = additive.quality_starts()
    return problem.logs(np.column_stack([np.tile(theta[:5], (len(grid), 1)), grid]))


def _fitted(seen, core, everyone, stages, levels, choice, settings):
    """Fit both stages and return what came out, `report` with what the summary says of each."""
    names, delta, recipe = list(FORM.judges), settings.huber_delta, settings.recipe
    first = _problem(stages.base)
    first_fit = published_recipe.best(
        FORM, first, additive.grid(settings.starts), stages.base, settings, f"{FORM.name}, stage 1"
    )
    fits = [law_summary.of_stage(first, first_fit, names, recipe) | {"datasets": [choice["base"]], "n_runs": len(core)}]
    rng = np.random.default_rng(seeds.derive(settings.seed, "bootstrap", FORM.name))
    refits = settings.refits if recipe == "converged" else 0
    thetas, converged = multistart.bootstrap(first, first_fit, refits, delta, rng)
    ended = multistart.at_edge(first, thetas)
    theta, without = first_fit.theta, {}
    if levels["FID"] > 1:
        second = _problem(stages.later, first)
        starts = _second_starts(second, first_fit.theta)
        two = published_recipe.best(FORM, second, starts, stages.later, settings, f"{FORM.name}, stage 2")
        fits.append(
            law_summary.of_stage(second, two, names, recipe)
            | {"datasets": choice["quality"], "n_runs": len(stages.later)}
        )  # fmt: skip
        theta = two.theta
        thetas, also = multistart.bootstrap(second, two, refits, delta, rng, fixed=thetas)
        converged, ended = converged & also, ended | multistart.at_edge(second, thetas)
        if recipe == "converged":
            without = _without_each(second, two, stages.later, seen, delta)

    def named(one_theta):
        return _at_zero(form.floats(first.logs(one_theta[None])), stages.base_fid)

    logs = named(theta)
    neither = [name for name, _ in everyone.datasets() if name not in set(seen.dataset)]
    return Fitted(
        form=FORM,
        seen=seen,
        core=core,
        everyone=everyone,
        levels=levels,
        logs=logs,
        refits=_at_zero(first.logs(thetas), stages.base_fid),
        without={name: named(left) for name, left in without.items()},
        held_out=dict.fromkeys(neither, logs),
        report=_report(choice, fits, recipe),
        unresolved=tuple(name for stage in fits for name in stage["unresolved"]),
        at_bounds=tuple(name for stage in fits for name in stage["at_bounds"]),
        ended=dict(zip(names, ended.T, strict=True)),
        refits_converged=converged,
        level=settings.level,
        no_refits=published_recipe.NO_INTERVALS if recipe == "published" else "",
    )


def _without_each(problem, two, later, seen, delta):
    """Return {dataset: theta (7,)} of second stages that leave one of several quality datasets out."""
    names = sorted(set(later.dataset))
    kept = {name: later.dataset != name for name in names}
    enough = [
        name
        for name, mask in kept.items()
        if mask.sum() > len(FORM.of_quality) and determination.levels(seen.fid[seen.dataset != name]) > 1
    ]
    if not enough:
        return {}
    weights = np.array([kept[name] for name in enough], dtype=float)
    return dict(zip(enough, multistart.lowest(problem, two.distinct, weights, delta).theta, strict=True))


def _report(choice, stages, recipe):
    return {
        "recipe": recipe,
        "base": choice["base"],
        "quality": choice["quality"],
        "chosen": "as no two_stage is set: the best dataset that can hold five parameters, then all the others"
        if choice["chosen"]
        else "by two_stage",
        "converged": all(stage["converged"] for stage in stages),
        "stages": stages,
    }
