"""What the laws of a study say of its approaches: exponents, the best at a budget, the limit, FLOPs to human level."""

import numpy as np
import pandas as pd

from robustlaws import records
from robustlaws.laws import forecasts, levels


def measure(laws, refits, line, line_refits, runs, settings, budget=None, human=None):
    """Return the numbers that are drawn out of fitted laws.

    Parameters
    ----------
    laws : list of dict
        Summaries.
    refits : list of data frames
        As `records.REFITS`, one of each law.
    line : dict
        Summary of the line from loss to accuracy, or {"intercept", "slope"} as exact numbers.
    line_refits : data frame or None
        As `records.REFITS`; without rows the line is exact. Refits of a law meet those of the line in turn.
    runs : data frame
        As `records.RUNS`.
    settings : settings.Limits
    budget : float, optional
        FLOPs, where the settings name none; that of the dearest run if left out.
    human : dict, optional
        value, low, high, determined, why and source of the human level, where the settings set none.

    Returns
    -------
    data frame
        As `records.APPROACHES`: each law, each dataset of it and, where the law knows FID and the study has three,
        FID 0; and the human level, set or measured, as a law of its own. Numbers that rest on others are determined
        only where those are.
    """
    measured = forecasts.Measured.of(runs)
    drawn = forecasts.Line.of(line, line_refits)
    budgets = settings.flops or (budget or measured.dearest,)
    if settings.human_accuracy is not None:
        human = {"value": settings.human_accuracy, "determined": True, "why": "", "source": "set"}
    rows = []
    for summary, table in zip(laws, refits, strict=True):
        law = forecasts.read(summary, table, drawn, measured, settings.level)
        for dataset, fid in law.places:
            head = {"law": law.name, "title": law.title, "dataset": dataset, "fid": fid}
            rows += [head | row for row in _rows(law, dataset, fid, budgets, human)]
    if human:
        rows.append({"law": "human", "title": _title(human["source"]), "quantity": "human_accuracy"} | human)
    table = pd.DataFrame(rows, columns=list(records.APPROACHES))
    if len(table):
        numbers = table[["budget", "value", "low", "high"]].astype(float)
        table[numbers.columns] = numbers.where(np.isfinite(numbers))
    return records.table(table, records.APPROACHES)


def _title(source):
    return levels.called(source).capitalize()


def _rows(law, dataset, fid, budgets, human):
    always = law.always(dataset, fid)
    rows = [{"quantity": name, "budget": None} | always[name] for name in ("N_star", "D_star")]
    for flops in budgets:
        found = law.at(dataset, fid, flops)
        rows += [{"quantity": name, "budget": flops} | found[name] for name in forecasts.AT_BUDGET]
    rows += [{"quantity": name, "budget": None} | always[name] for name in ("asymptote", "accuracy_limit")]
    if human and human["determined"]:
        needed = law.flops_to(human["value"], dataset, fid)
        rows.append({"quantity": "flops_to_human", "budget": None, "source": human["source"]} | needed)
    return rows
