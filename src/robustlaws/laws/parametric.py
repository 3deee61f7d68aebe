"""From a form L(N, D, FID) and a study's observations to a `Law`: what approaches 2 and 3 share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from robustlaws import records, seeds
from robustlaws.laws import fitting, law
from robustlaws.laws import refits as tabled

# Where the budgets of a study, or the range of one of its axes, count as narrow.
_NARROW = 10.0
_POOR = 0.5  # R2 of one dataset
STARTS = ("grid", "small")


@dataclass(frozen=True)
class Form:
    """One form of the loss; `logs` below are dicts of its parameters with coefficients as logs.

    Logs, because a coefficient such as A = t N0^alpha overflows in refits that the data hardly hold.

    `judges`: {parameter: how its interval is judged}; `law.loss_above_zero` is given the lowest loss first.
    `rests_on`: {parameter: axes of which it needs `law.FEWEST_LEVELS`}; `tied`: {name: coordinates that
    it is computed from}, for parameters and for the names that `at_fid` returns.
    `problem(params, images, fid, loss, quality)`: the `fitting.Problem`, with `logs(theta)` for theta (S, p);
    without `quality` the parameters in `of_quality` are held. `starts(problem, kind)`: (S, p). `logged`: which
    parameters are coefficients.
    `named(logs)`: the public parameters. `loss(logs, log_params, log_images, fid)`;
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
    starts: Callable
    named: Callable
    loss: Callable
    optimum: Callable
    share: Callable
    at_fid: Callable
    asymptote: Callable


@dataclass(frozen=True)
class _Fitted:
    """A form, what it was fitted to, and the fit with its refits.

    `refits` (refits, p): the bootstrap's; `without`: {dataset: (p,)}, the fits that leave one dataset out.
    """

    form: Form
    seen: object  # Observations
    problem: object
    best: fitting.Fit
    refits: np.ndarray
    without: dict
    level: float
    levels: dict

    def logs(self):
        return {name: value[0] for name, value in self.problem.logs(self.best.theta[None]).items()}

    def at_edge(self, theta):
        """Whether free coordinates (..., p) lie on their bounds."""
        free = self.problem.lower < self.problem.upper
        return free & ((theta <= self.problem.lower) | (theta >= self.problem.upper))

    def reason(self, name):
        """Why `name` is not determined whatever its interval, or ""."""
        form, order = self.form, list(self.form.judges)
        if not self.best.converged:
            return "the fit has not converged"
        few = [axis for axis in form.rests_on[name] if self.levels[axis] < law.FEWEST_LEVELS]
        if few:
            return f"only {self.levels[few[0]]} distinct {few[0]}"
        tied = [order.index(coordinate) for coordinate in form.tied[name]]
        lost = fitting.unresolved(self.problem, self.best.theta)
        if lost[tied].any():
            return f"the runs do not tell {', '.join(np.array(order)[lost])} apart"
        if self.at_edge(self.best.theta)[tied].any():
            return "the fit ends at the edge of what it may try"
        ended = int(self.at_edge(self.refits)[:, tied].any(axis=1).sum())
        if ended > (1 - self.level) / 2 * len(self.refits):
            return f"{ended} of {len(self.refits)} refits end at the edge of what the fit may try"
        return ""

    def entry(self, compute, judge, name, dataset=None):
        """Return the summary's entry of `compute(logs)`, a number of `dataset` if one is named."""
        with np.errstate(over="ignore", under="ignore"):
            value, samples = compute(self.logs()), compute(self.problem.logs(self.refits))
            without = {
                left_out: compute(self.problem.logs(theta[None]))[0]
                for left_out, theta in self.without.items()
                if left_out != dataset and self._says(name, left_out)
            }
        if name in self.form.of_quality and self.levels["FID"] < 2:
            return law.unknown(self.reason(name)) | {"value": law.finite(value)}
        if judge is law.loss_above_zero:
            judge = judge(float(self.seen.loss.min()))
        return law.entry(value, samples, self.level, judge, self.reason(name), without)

    def _says(self, name, left_out):
        """Whether the fit without one dataset still has the levels of FID that `name` needs."""
        fids = self.seen.fid[self.seen.dataset != left_out]
        return "FID" not in self.form.rests_on[name] or law.levels(fids) >= law.FEWEST_LEVELS


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
    found = fitting.lowest(problem, starts, np.array([kept[name] for name in enough], dtype=float), delta)
    return dict(zip(enough, found.theta, strict=True))


def _enough(seen, kept, unknowns):
    """Whether the runs `kept` (n,), bool, can be fitted by themselves."""
    axes = (seen.params, law.FEWEST_LEVELS), (seen.images, law.FEWEST_LEVELS), (seen.fid, 2)
    return kept.sum() > unknowns and all(law.levels(values[kept]) >= fewest for values, fewest in axes)


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

    judged = {name: law.loss_above_zero if name == "E'" else law.positive for name in form.at_fid(fitted.logs(), fid)}
    return {
        "dataset": dataset,
        "fid": fid,
        "parameters": {name: fitted.entry(term(name), judge, name, dataset) for name, judge in judged.items()},
        "exponents": {
            "N_star": fitted.entry(share, law.allocation, "exponents"),
            "D_star": fitted.entry(lambda logs: 1 - share(logs), law.allocation, "exponents"),
        },
        "asymptote": fitted.entry(lambda logs: form.asymptote(logs, fid), law.loss_above_zero, "asymptote", dataset),
    }


def budgets(flops, settings):
    """Return the FLOPs of the allocation table, from the smallest run to `extrapolate` times the largest.

    Returns
    -------
    flops (budgets,), measured (budgets,) bool: within the runs' own range
    """
    low, high = float(np.min(flops)), float(np.max(flops))
    grid = np.geomspace(low, high * max(settings.extrapolate, 1.0), settings.budgets)
    return grid, (grid >= low * (1 - 1e-9)) & (grid <= high * (1 + 1e-9))


def rows_of(name, dataset, fid, columns):
    """Return the rows of `records.ALLOCATIONS` for columns (budgets,); nan for a number that does not exist."""
    blank = {f"{what}{end}": np.nan for what in ("params", "images", "loss") for end in ("", "_low", "_high")}
    columns = {
        what: found if what == "measured" else np.where(np.isfinite(found) & (found >= 0), found, np.nan)
        for what, found in columns.items()
    }
    head = {"law": name, "dataset": dataset, "fid": fid} | blank
    return [head | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _allocation_rows(fitted, dataset, fid, settings):
    """Return N*, D*, L* and their intervals for one FID; nan where a number does not exist."""
    form = fitted.form
    flops, measured = budgets(fitted.seen.flops, settings)
    log_budget = np.log(flops / fitted.seen.flops_per_parameter_image)
    columns = {"flops": flops, "measured": measured}
    wide = {name: value[:, None] for name, value in fitted.problem.logs(fitted.refits).items()}
    with np.errstate(over="ignore", under="ignore"):
        for logs, suffixes in ((fitted.logs(), ("",)), (wide, ("_low", "_high"))):
            params, images = form.optimum(logs, log_budget, fid)
            loss = form.loss(logs, params, images, fid)
            for name, found in (("params", np.exp(params)), ("images", np.exp(images)), ("loss", loss)):
                if suffixes == ("",):
                    columns[name] = found
                elif len(found):
                    low, high = law.interval(found, fitted.level)
                    columns[f"{name}_low"] = np.minimum(low, columns[name])
                    columns[f"{name}_high"] = np.maximum(high, columns[name])
    return rows_of(form.name, dataset, fid, columns)


def _allocations(fitted, settings):
    """Return the allocation table: every dataset, and FID 0 where the study says what FID does."""
    if any(fitted.levels[axis] < law.FEWEST_LEVELS for axis in ("N", "D")):
        return []
    wanted = fitted.seen.datasets()
    if fitted.levels["FID"] >= law.FEWEST_LEVELS:
        wanted = [*wanted, (None, 0.0)]
    return [row for dataset, fid in wanted for row in _allocation_rows(fitted, dataset, fid, settings)]


def predictions(seen, predicted, name):
    """Return the rows of `records.PREDICTIONS` for observations and the losses predicted for them (n,)."""
    columns = {
        "run": seen.run,
        "model": seen.model,
        "dataset": seen.dataset,
        "params": seen.params,
        "images": seen.images,
        "fid": seen.fid,
        "flops": seen.flops,
        "loss": seen.loss,
        "predicted": predicted,
    }
    return [{"law": name} | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _refits(fitted):
    """Return the rows of `records.REFITS`: the fit and its refits."""
    named = fitted.problem.logs(np.concatenate([fitted.best.theta[None], fitted.refits]))
    logged = fitted.form.logged
    return tabled.rows(
        fitted.form.name, {f"log {name}" if name in logged else name: value for name, value in named.items()}
    )


def samples(form, table):
    """Return the fit and its refits from a table of `records.REFITS`, as `logs`: a dict of arrays (1 + refits,).

    Empty where the law was not fitted. A parameter that the fit held without end (Q at one FID) is -inf.
    """
    found = tabled.samples(table, form.name)
    endless = {name: np.where(np.isnan(value), -np.inf, value) for name, value in found.items()}
    return {name.removeprefix("log "): value for name, value in endless.items()}


def _held_out(fitted):
    """Return the rows of the predictions that never saw the dataset they are for."""
    rows = []
    for dataset, theta in fitted.without.items():
        mine = fitted.seen.dataset == dataset
        predicted = fitted.problem.predict(theta[None])[0] * fitted.problem.unit
        rows += predictions(fitted.seen.of(mine), predicted[mine], fitted.form.name)
    return rows


def warnings(seen, levels):
    """Return what the design of the study cannot show, one sentence each."""
    told = []
    for axis, values in (("N", seen.params), ("D", seen.images), ("FLOPs", seen.flops)):
        if len(values) and values.max() < _NARROW * values.min():
            told.append(f"{axis} spans only {values.max() / values.min():.2g}x")
    if levels["FID"] < law.FEWEST_LEVELS:
        told.append(
            f"only {levels['FID']} distinct FID{'s' if levels['FID'] != 1 else ''}: nothing holds for another FID"
        )
    return told


def _fit_warnings(fitted, refits_converged):
    best, told = fitted.best, []
    if not best.converged:
        told.append(f"the fit has not converged: gradient norm {best.gradient_norm:.1e}")
    if best.starts_agreeing == 1 < best.starts:
        told.append(f"only 1 of {best.starts} starts reached the best fit")
    if not refits_converged.all():
        told.append(f"{int((~refits_converged).sum())} of {len(refits_converged)} refits have not converged")
    if any(fitted.levels[axis] < law.FEWEST_LEVELS for axis in ("N", "D")):
        told.append("no allocation: the study holds too few distinct N or D")
    if fitted.levels["FID"] < 2:
        told.append(f"one FID only: {', '.join(fitted.form.of_quality)} held, not fitted")
    return told


def _too_little(form, seen, levels):
    """Return why nothing can be fitted, or ""."""
    unknowns = len(form.judges) - (len(form.of_quality) if levels["FID"] < 2 else 0)
    if len(seen) < unknowns + 1:
        return f"{len(seen)} run{'s' if len(seen) != 1 else ''} for {unknowns} parameters"
    few = [axis for axis in ("N", "D") if levels[axis] < 2]
    return f"only 1 distinct {few[0]}" if few else ""


def _head(form, seen, settings, refits):
    return {
        "law": form.name,
        "title": form.title,
        "form": form.text,
        "n_runs": len(seen),
        "n_runs_left_out": seen.left_out,
        "flops_per_parameter_image": law.finite(seen.flops_per_parameter_image) if len(seen) else None,
        "interval": {"level": settings.level, "method": "bootstrap over runs", "refits": refits},
    }


def _unfitted(form, seen, settings, levels, reason):
    """Return a law that says why nothing was fitted."""

    def unknown():
        return law.unknown(reason)

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
        "warnings": [f"nothing fitted: {reason}", *warnings(seen, levels)],
    }
    return law.Law(
        summary,
        records.table([], records.ALLOCATIONS),
        records.table([], records.PREDICTIONS),
        records.table([], records.REFITS),
        records.table([], records.PREDICTIONS),
    )


def _held_out_summary(fitted):
    """Return {dataset: {"r2", "n", "median_error"}} of the predictions that never saw the dataset."""
    told = {}
    for dataset, theta in fitted.without.items():
        mine = fitted.seen.dataset == dataset
        measured = fitted.seen.loss[mine]
        predicted = (fitted.problem.predict(theta[None])[0] * fitted.problem.unit)[mine]
        told[dataset] = {
            "r2": law.r_squared(measured, predicted),
            "n": int(mine.sum()),
            "median_error": law.finite(np.median(np.abs(predicted / measured - 1))),
        }
    return told


def _summary(fitted, settings, predicted, refits_converged):
    form, seen, best = fitted.form, fitted.seen, fitted.best
    by_dataset = {
        name: law.r_squared(seen.loss[seen.dataset == name], predicted[seen.dataset == name])
        for name, _ in seen.datasets()
    }
    poor = [
        f"the form fits {name} poorly: R2 {value:.2f}"
        for name, value in by_dataset.items()
        if value is not None and value < _POOR
    ]
    # exponents that vary with the budget are taken at the middle of the study's own
    middle = np.sqrt(seen.flops.min() * seen.flops.max()) / seen.flops_per_parameter_image
    return _head(form, seen, settings, len(fitted.refits)) | {
        "parameters": _parameters(fitted),
        "datasets": [_dataset(fitted, name, fid, np.log(middle)) for name, fid in seen.datasets()],
        "fit": {
            "objective": best.objective,
            "gradient_norm": best.gradient_norm,
            "starts": best.starts,
            "starts_agreeing": best.starts_agreeing,
            "hessian_condition": law.finite(best.hessian_condition),
            "converged": best.converged,
        },
        "r2": law.r_squared(seen.loss, predicted),
        "r2_by_dataset": by_dataset,
        "held_out": _held_out_summary(fitted),
        "warnings": [*warnings(seen, fitted.levels), *_fit_warnings(fitted, refits_converged), *poor],
    }


def fit(form, seen, settings):
    """Return `form` fitted to the observations `seen`, as a `Law`.

    Where the study holds too little for any fit, the law says so and its tables are empty.

    Raises
    ------
    ValueError
        If `settings.starts` is unknown.
    """
    if settings.starts not in STARTS:
        raise ValueError(f"laws starts: unknown {settings.starts!r}; known: {', '.join(STARTS)}")
    axes = {"N": seen.params, "D": seen.images, "FID": seen.fid}
    levels = {axis: law.levels(values) for axis, values in axes.items()}
    reason = _too_little(form, seen, levels)
    if reason:
        return _unfitted(form, seen, settings, levels, reason)
    problem = form.problem(seen.params, seen.images, seen.fid, seen.loss, quality=levels["FID"] > 1)
    starts = form.starts(problem, settings.starts)
    best = fitting.multistart(problem, starts, settings.huber_delta)
    rng = np.random.default_rng(seeds.derive(settings.seed, "bootstrap", form.name))
    refits, converged = fitting.bootstrap(problem, best, settings.refits, settings.huber_delta, rng)
    without = _without_each(problem, seen, best, starts, settings.huber_delta)
    fitted = _Fitted(form, seen, problem, best, refits, without, settings.level, levels)
    predicted = problem.predict(best.theta[None])[0] * problem.unit
    return law.Law(
        _summary(fitted, settings, predicted, converged),
        records.table(_allocations(fitted, settings), records.ALLOCATIONS),
        records.table(predictions(seen, predicted, form.name), records.PREDICTIONS),
        records.table(_refits(fitted), records.REFITS),
        records.table(_held_out(fitted), records.PREDICTIONS),
    )
