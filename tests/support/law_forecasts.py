"""Refits with known answers, their summaries and their forecasts."""

import numpy as np

from robustlaws.laws import (
    additive,
    bootstrap_table,
    bottleneck,
    forecasts,
    published,
)
from robustlaws.laws.accuracy import Line

K = published.FLOPS_PER_PARAMETER_IMAGE


LINE = published.ACCURACY_LINE


MODULES = {"additive": additive, "bottleneck": bottleneck}


TRUTHS = {"additive": published.ADDITIVE, "bottleneck": published.BOTTLENECK}


FIDS = {"dg": 1.65, "pfgmpp": 1.76, "edm": 6.7908}


MEASURED = forecasts.Measured(lowest=0.7, dearest=2e20)


def known(value):
    return {"value": value, "low": value, "high": value, "determined": True, "why": ""}


def unknown(value, why):
    return known(value) | {"determined": False, "why": why}


def summary_of(name, fids=FIDS):
    """A law's summary in which all is determined; no value in it but those asked for is looked at."""
    exponents = {"N_star": known(0.48), "D_star": known(0.52)}
    return {
        "law": name,
        "title": name,
        "flops_per_parameter_image": K,
        "parameters": {parameter: known(1.0) for parameter in MODULES[name].NAMES},
        "datasets": [
            {"dataset": dataset, "fid": fid, "exponents": dict(exponents), "asymptote": known(0.5)}
            for dataset, fid in fids.items()
        ],
    }


def drawn(name, truth=None, **others):
    """Refits of a law: `truth` itself, then with each of the parameters in `others` as they are there."""
    truth = TRUTHS[name] if truth is None else truth
    count = max([len(values) for values in others.values()] or [0])
    logged = MODULES[name].FORM.logged
    samples = {p: np.array([value, *others.get(p, np.full(count, value))]) for p, value in truth.items()}
    return bootstrap_table.rows(name, {f"log {p}" if p in logged else p: np.log(v) if p in logged else v
                              for p, v in samples.items()})  # fmt: skip


def forecast(name, table=None, line=LINE, lines=None, summary=None, level=0.9):
    table = drawn(name) if table is None else table
    item = Line.of(line, lines)
    return forecasts.read(summary or summary_of(name), table, item, MEASURED, level)
