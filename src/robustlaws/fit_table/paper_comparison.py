"""The published runs refitted, beside the published recipe's results and the printed numbers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from robustlaws.formatting import numbers, terminal
from robustlaws.laws import bootstrap_table, determination, forecasts, form, published
from robustlaws.laws.accuracy import Line
from robustlaws.laws.fit import newton
from robustlaws.storage import tables

A, B = "a (exponent of N*)", "b (exponent of D*)"
LIMIT, ACCURACY_LIMIT, TO_HUMANS = "limit of the loss", "limit of accuracy", "FLOPs to human level"
OBJECTIVE = "mean Huber loss"
_BUDGETS = (published.BEST_FLOPS, published.PRIOR_FLOPS)
_ZERO, _DG, _PFGM = (None, 0.0), ("DG", 1.65), ("PFGM++", 1.76)
_CONSTANTS = {
    "additive": published.ADDITIVE,
    "additive_two_stage": published.ADDITIVE,
    "bottleneck": published.BOTTLENECK,
}
_SIZES = (("N*", "params"), ("D*", "images"))
_ENVELOPES = {"DG": True, "PFGM++": True, "EDM-5": False}  # of which datasets; whether budgets are asked for too


@dataclass(frozen=True)
class _Asked:
    """One number: what it is, of which dataset and FID, its entry in a converged forecast, its bare value in any.

    `printed`: what the paper prints of it, where that is not what its constants give.
    """

    quantity: str
    dataset: str | None
    fid: float | None
    entry: Callable
    value: Callable
    printed: float | None = None


def compare(summaries, refits, predictions, line, runs, recipes, level):
    """Return the comparison of laws that were fitted to the published runs.

    Parameters
    ----------
    summaries : list of dict
        Of the converged fits.
    refits, predictions : lists of data frames
        As `tables.REFITS` and `tables.PREDICTIONS`, one of each law.
    line : dict
        Summary of the printed line from loss to accuracy, taken as exact.
    runs : data frame
        As `tables.RUNS`.
    recipes : dict of str to dict
        Parameters that the published recipe finds on the same runs, by law; none for a law that it was not used for.
    level : float
        Coverage of the intervals.

    Returns
    -------
    data frame
        As `tables.COMPARISON`. Of approaches 2 and 3 `printed` is what the printed constants give.
    """
    drawn, measured = Line.of(line), forecasts.Measured.of(runs)
    rows = []
    for summary, table, fitted in zip(summaries, refits, predictions, strict=True):
        forecast = forecasts.read(summary, table, drawn, measured, level)
        if isinstance(forecast, forecasts.EnvelopeForecast):
            rows += [_row(forecast, asked, asked.entry(forecast)) for asked in _asked_of_envelope(forecast)]
        elif isinstance(forecast, forecasts.FormForecast):
            recipe = _with(forecast, recipes[forecast.name]) if forecast.name in recipes else None
            k = published.FLOPS_PER_PARAMETER_IMAGE
            rows += _form_rows(forecast, recipe, _with(forecast, _CONSTANTS[forecast.name], k), fitted)
    return tables.table(rows, tables.COMPARISON)


def _form_rows(forecast, recipe, printed, fitted):
    rows = _objective_rows(forecast, recipe, printed, fitted)
    for asked in _asked_of_form(forecast):
        in_paper = asked.value(printed) if asked.printed is None else asked.printed
        rows.append(_row(forecast, asked, asked.entry(forecast), recipe and asked.value(recipe), in_paper))
    return rows


def _row(forecast, asked, entry, recipe=None, printed=None):
    return {
        "law": forecast.name,
        "title": forecast.title,
        "quantity": asked.quantity,
        "dataset": asked.dataset,
        "fid": asked.fid,
        **entry,
        "recipe": determination.finite(recipe),
        "printed": determination.finite(asked.printed if printed is None else printed),
    }


def _with(forecast, parameters, flops_per_parameter_image=None):
    """Return the forecast of the same law with other parameters, without refits."""
    logged = {
        f"log {name}" if name in forecast.form.logged else name: [
            np.log(value) if name in forecast.form.logged else value
        ]
        for name, value in parameters.items()
    }
    logs = form.samples(forecast.form, bootstrap_table.rows(forecast.form.name, logged))
    summary = forecast.summary | {
        "flops_per_parameter_image": flops_per_parameter_image or forecast.flops_per_parameter_image
    }
    return replace(forecast, summary=summary, logs={name: value[:, None] for name, value in logs.items()})


def _asked_of_form(forecast):
    """Return the quantities of approaches 2 and 3, in the order of the table."""
    asked = [_parameter(name) for name in forecast.form.judges]
    asked += [_exponent(A, "N_star"), _exponent(B, "D_star")]
    if forecast.name == "bottleneck":  # whose exponents depend on the budget, and whose limit is not E' alone
        asked += [_exponent_at(flops, *_PFGM) for flops in _BUDGETS]
        asked += [_constant(*place) for place in (_PFGM, _ZERO)]
    asked += [
        _best(symbol, key, flops, *place) for flops in _BUDGETS for place in (_DG, _ZERO) for symbol, key in _SIZES
    ]
    asked += [_best("L*", "loss", published.APPROACHES_FLOPS, *place) for place in (_PFGM, _ZERO)]
    asked += [_limit(*place) for place in (_PFGM, _DG, _ZERO)]
    asked += [_best("accuracy", "accuracy", published.HUMAN_FLOPS, *place) for place in (_DG, _ZERO)]
    return [*asked, _accuracy_limit(), _to_humans(forecast.name)]


def _parameter(name):
    return _Asked(name, None, None, lambda f: f.summary["parameters"][name], lambda f: f.parameter(name)[0])


def _exponent(quantity, key):
    """Ask for a or b at FID 0, where no law lets it depend on the budget."""

    def value(forecast):
        share = forecast.share(forecast.measured.dearest, 0.0)[0, 0]
        return share if key == "N_star" else 1 - share

    return _Asked(quantity, *_ZERO, lambda f: f.always(*_ZERO)[key], value)


def _exponent_at(flops, dataset, fid):
    def entry(forecast):
        why, _ = forecast.reasons(dataset, fid)
        return forecast.entry(forecast.share(flops, fid)[:, 0], determination.allocation, why)

    quantity = f"a at {numbers.scientific(flops)} FLOPs"
    return _Asked(quantity, dataset, fid, entry, lambda f: f.share(flops, fid)[0, 0])


def _constant(dataset, fid):
    """Ask for E', the part of the limit that no amount of quality takes away."""

    def entry(forecast):
        return (
            forecast.summary["parameters"]["E"] if dataset is None else forecast.of_dataset(dataset)["parameters"]["E'"]
        )

    return _Asked("E'", dataset, fid, entry, lambda f: f.form.at_fid(f.logs, fid)["E'"][0, 0])


def _best(symbol, key, flops, dataset, fid):
    def value(forecast):
        if key in ("params", "images"):
            return forecast.optimum(flops, fid)[key == "images"][0, 0]
        loss = forecast.best_loss(flops, fid)
        return (forecast.accuracy(loss) if key == "accuracy" else loss)[0, 0]

    quantity = f"{symbol} at {numbers.scientific(flops)} FLOPs"
    return _Asked(quantity, dataset, fid, lambda f: f.at(dataset, fid, flops)[key], value)


def _limit(dataset, fid):
    return _Asked(LIMIT, dataset, fid, lambda f: f.always(dataset, fid)["asymptote"], lambda f: f.asymptote(fid)[0])


def _accuracy_limit():
    def value(forecast):
        return forecast.accuracy(forecast.asymptote(0.0)[:, None])[0, 0]

    return _Asked(ACCURACY_LIMIT, *_ZERO, lambda f: f.always(*_ZERO)["accuracy_limit"], value)


def _to_humans(law):
    def entry(forecast):
        return forecast.flops_to(published.HUMAN_ACCURACY, *_ZERO)

    # the paper says "roughly", by approach 2, whose printed constants end below human level; approach 3 it leaves out
    printed = None if law == "bottleneck" else published.HUMAN_FLOPS
    return _Asked(TO_HUMANS, *_ZERO, entry, lambda f: entry(f)["value"], printed)


def _asked_of_envelope(forecast):
    """Return the quantities of approach 1, for the datasets for which the paper prints or uses it."""
    asked = []
    for dataset, fid in (place for place in forecast.places if place[0] in _ENVELOPES):
        own, in_paper = forecast.of_dataset(dataset), published.ENVELOPE.get(dataset, {})
        entries = [
            ("coefficient", own["parameters"]["coefficient"], in_paper.get("coefficient")),
            ("exponent", own["parameters"]["exponent"], in_paper.get("exponent")),
            (A, own["exponents"]["N_star"], in_paper.get("a")),
            (B, own["exponents"]["D_star"], in_paper.get("b")),
        ]
        for flops in _BUDGETS if _ENVELOPES[dataset] else ():
            at = forecast.at(dataset, fid, flops)
            entries += [(f"{symbol} at {numbers.scientific(flops)} FLOPs", at[key], None) for symbol, key in _SIZES]
        if _ENVELOPES[dataset]:
            flops = published.APPROACHES_FLOPS
            loss = published.APPROACHES["envelope"].get(fid, {}).get("loss")
            entries.append((f"L* at {numbers.scientific(flops)} FLOPs", forecast.at(dataset, fid, flops)["loss"], loss))
        asked += [
            _Asked(quantity, dataset, fid, lambda _, entry=entry: entry, None, constant)
            for quantity, entry, constant in entries
        ]
    return asked


def _objective_rows(forecast, recipe, printed, fitted):
    """Return the rows of the objective, the mean over the runs as in the paper; of each stage where there are two."""
    base = fitted["dataset"] == published.ADDITIVE_BASE
    stages = {", stage 1": base, ", stage 2": fitted["dataset"].isin(published.ADDITIVE_QUALITY)}
    made = []
    for stage, chosen in (stages if forecast.name == "additive_two_stage" else {"": base | True}).items():
        value, by_recipe, in_paper = (
            forecast_or_none and _mean_huber(forecast_or_none, fitted[chosen])
            for forecast_or_none in (forecast, recipe, printed)
        )
        entry = {"value": value, "low": None, "high": None, "determined": True, "why": ""}
        made.append(_row(forecast, _Asked(f"{OBJECTIVE}{stage}", None, None, None, None), entry, by_recipe, in_paper))
    return made


def _mean_huber(forecast, rows):
    predicted = forecast.loss(rows["params"], rows["images"], rows["fid"].to_numpy())[0]
    residuals = np.log(predicted) - np.log(rows["loss"].to_numpy())
    return float(newton.huber(residuals, published.HUBER_DELTA).mean())


def text(table):
    """Return a table of `tables.COMPARISON` as lines for a terminal."""
    parts = []
    for title, rows in table.groupby("title", sort=False):
        shown = [name for name in ("recipe", "printed") if rows[name].notna().any()]
        lines = [["", "FID", "converged", *shown]]
        for row in rows.to_dict("records"):
            number_format = _form(row["quantity"])
            fid = "" if pd.isna(row["fid"]) else numbers.fid(row["fid"])
            others = ["" if pd.isna(row[name]) else number_format(row[name]) for name in shown]
            lines.append([row["quantity"], fid, terminal.cell(row, number_format), *others])
        parts.append(f"{title}, beside the paper\n{terminal.in_columns(lines)}")
    return "\n\n".join(parts)


def _form(quantity):
    """Return the number format of a quantity."""
    if quantity.startswith(("N* at", "D* at")):
        return numbers.count
    if quantity.startswith("accuracy at") or quantity == ACCURACY_LIMIT:
        return numbers.percent
    if quantity.startswith(OBJECTIVE):
        return partial(numbers.scientific, digits=4)  # minima differ in the third
    return numbers.scientific if quantity == TO_HUMANS else numbers.number
