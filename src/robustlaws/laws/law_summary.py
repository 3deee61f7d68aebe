"""The summary of approaches 2 and 3: results of the fit, its certainty, and gaps of the design."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from robustlaws.laws import determination
from robustlaws.laws.determination import Law
from robustlaws.laws.fit import multistart
from robustlaws.laws.fitted_form import Fitted
from robustlaws.laws.observations import Observations
from robustlaws.settings import LawFit
from robustlaws.storage import tables

# Where the budgets of a study, or the range of one of its axes, count as narrow.
_NARROW = 10.0


def of_stage(problem: Any, best: Any, names: Sequence[str], recipe: str) -> dict[str, Any]:
    """Return what the summary's "fit" says of one minimisation.

    Parameters
    ----------
    problem : descent.Problem
    best : multistart.Fit
    names : list of str
        Of the coordinates.
    recipe : str

    Returns
    -------
    dict
        "objective": the sum of the Huber losses; "mean_objective": their mean, which the published recipe minimises.
    """
    edges = multistart.at_edge(problem, best.theta) if recipe == "converged" else np.zeros(len(names), dtype=bool)
    return {
        "recipe": recipe,
        "objective": determination.finite(best.objective),
        "mean_objective": determination.finite(best.objective / len(problem.log_loss)),
        "gradient_norm": determination.finite(best.gradient_norm),
        "starts": best.starts,
        "starts_agreeing": best.starts_agreeing,
        "hessian_condition": determination.finite(best.hessian_condition),
        "converged": best.converged,
        "unresolved": [names[int(index)] for index in np.flatnonzero(multistart.unresolved(problem, best.theta))],
        "at_bounds": [names[int(index)] for index in np.flatnonzero(edges)],
    }


def _parameters(fitted):
    def take(name):
        return lambda logs: fitted.form.named(logs)[name]

    return {name: fitted.entry(take(name), judge, name) for name, judge in fitted.form.judges.items()}


def _dataset(fitted, dataset, fid, log_budget):
    """Return the summary's entry of one dataset; `log_budget` is log(N D) where exponents are taken."""
    form = fitted.form

    def term(name):
        return lambda logs: form.at_fid(logs, fid)[name]

    def share(logs):
        return form.share(logs, log_budget, fid)

    poor = fitted.poor(dataset)
    judged = {
        name: determination.loss_above_zero if name == "E'" else determination.positive
        for name in form.at_fid(fitted.logs, fid)
    }
    return {
        "dataset": dataset,
        "fid": fid,
        "parameters": {name: fitted.entry(term(name), judge, name, dataset, poor) for name, judge in judged.items()},
        "exponents": {
            "N_star": fitted.entry(share, determination.allocation, "exponents", why=poor),
            "D_star": fitted.entry(lambda logs: 1 - share(logs), determination.allocation, "exponents", why=poor),
        },
        "asymptote": fitted.entry(
            lambda logs: form.asymptote(logs, fid), determination.loss_above_zero, "asymptote", dataset, poor
        ),
    }


def warnings(seen: Observations, levels: Mapping[str, int]) -> list[str]:
    """Return the questions that the design of the study leaves open, one sentence each."""
    warnings_ = []
    for axis, values in (("N", seen.params), ("D", seen.images), ("FLOPs", seen.flops)):
        if len(values) and values.max() < _NARROW * values.min():
            warnings_.append(f"{axis} spans only {values.max() / values.min():.2g}x")
    if levels["FID"] < determination.FEWEST_LEVELS:
        warnings_.append(
            f"only {levels['FID']} distinct FID{'s' if levels['FID'] != 1 else ''}: nothing holds for another FID"
        )
    return warnings_


def _stages(report):
    return report.get("stages", [report])


def _fit_warnings(fitted):
    warnings_, stages = [], _stages(fitted.report)
    for place, stage in enumerate(stages):
        where = "" if len(stages) == 1 else f" of stage {place + 1}"
        if not stage["converged"]:
            warnings_.append(f"the fit{where} has not converged: gradient norm {stage['gradient_norm'] or np.nan:.1e}")
        if stage["starts_agreeing"] == 1 < stage["starts"]:
            warnings_.append(f"only 1 of {stage['starts']} starts{where} reached the best fit")
    if fitted.no_refits:
        warnings_.append(f"no intervals: {fitted.no_refits}")
    if not fitted.refits_converged.all():
        unfinished = int((~fitted.refits_converged).sum())
        warnings_.append(f"{unfinished} of {len(fitted.refits_converged)} refits have not converged")
    if any(fitted.levels[axis] < determination.FEWEST_LEVELS for axis in ("N", "D")):
        warnings_.append("no allocation: the study holds too few distinct N or D")
    if fitted.levels["FID"] < 2:
        warnings_.append(f"one FID only: {', '.join(fitted.form.of_quality)} held, not fitted")
    return warnings_


def _head(form, seen, settings, refits, no_refits=""):
    return {
        "law": form.name,
        "title": form.title,
        "form": form.text,
        "n_runs": len(seen),
        "n_runs_left_out": seen.left_out,
        "flops_per_parameter_image": determination.finite(seen.flops_per_parameter_image) if len(seen) else None,
        "interval": {
            "level": settings.level,
            "method": f"none ({no_refits})" if no_refits else "bootstrap over runs",
            "refits": refits,
        },
    }


def unfitted(form: Any, seen: Observations, settings: LawFit, levels: Mapping[str, int], reason: str) -> Law:
    """Return a `Law` that says why nothing was fitted."""

    def unknown():
        return determination.unknown(reason)

    summary = _head(form, seen, settings, 0) | {
        "parameters": {name: unknown() for name in form.judges},
        "datasets": [
            {
                "dataset": dataset,
                "fid": fid,
                "parameters": {},
                "exponents": {"N_star": unknown(), "D_star": unknown()},
                "asymptote": unknown(),
            }
            for dataset, fid in seen.datasets()
        ],
        "fit": {},
        "r2": None,
        "r2_by_dataset": {},
        "held_out": {},
        "warnings": [f"nothing fitted: {reason}", *warnings(seen, levels)],
    }
    columns = tables.ALLOCATIONS, tables.PREDICTIONS, tables.REFITS, tables.PREDICTIONS
    return determination.Law(summary, *(tables.table([], column) for column in columns))


def _held_out(fitted):
    """Return {dataset: {"r2", "n", "median_error"}} of the predictions that never saw the dataset."""
    errors = {}
    for dataset, logs in fitted.held_out.items():
        mine = fitted.everyone.of(fitted.everyone.dataset == dataset)
        predicted = fitted.predict(mine, logs)
        errors[dataset] = {
            "r2": determination.r_squared(mine.loss, predicted),
            "n": len(mine),
            "median_error": determination.finite(np.median(np.abs(predicted / mine.loss - 1))),
        }
    return errors


def summary(fitted: Fitted, settings: LawFit) -> dict[str, Any]:
    """Return the summary of a fit, a dict that JSON can hold."""
    seen, everyone = fitted.seen, fitted.everyone
    by_dataset = {}
    for name, _ in everyone.datasets():
        mine = everyone.of(everyone.dataset == name)
        by_dataset[name] = determination.r_squared(mine.loss, fitted.predict(mine))
    poor = [
        f"the form {'fits' if name in set(seen.dataset) else 'predicts'} {name} poorly: R2 {value:.2f}"
        for name, value in by_dataset.items()
        if value is not None and value < determination.POOR
    ]
    # exponents that vary with the budget are taken at the middle of the study's own
    middle = np.sqrt(everyone.flops.min() * everyone.flops.max()) / everyone.flops_per_parameter_image
    return _head(fitted.form, seen, settings, len(fitted.refits_converged), fitted.no_refits) | {
        "parameters": _parameters(fitted),
        "datasets": [_dataset(fitted, name, fid, np.log(middle)) for name, fid in everyone.datasets()],
        "fit": fitted.report | {"huber_delta": settings.huber_delta},
        "r2": determination.r_squared(seen.loss, fitted.predict(seen)),
        "r2_by_dataset": by_dataset,
        "held_out": _held_out(fitted),
        "warnings": [*warnings(fitted.core, fitted.levels), *_fit_warnings(fitted), *poor],
    }
