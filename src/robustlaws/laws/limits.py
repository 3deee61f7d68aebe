"""Numbers drawn from the laws: exponents, the best at a budget, limits, FLOPs to human level."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from robustlaws.laws import forecasts
from robustlaws.laws.accuracy import Line
from robustlaws.settings import Limits
from robustlaws.storage import human_tables, tables
from robustlaws.storage.atomic import read_json


def measure(
    laws: Sequence[dict[str, Any]],
    refits: Sequence[pd.DataFrame],
    line: Mapping[str, Any],
    line_refits: pd.DataFrame | None,
    runs: pd.DataFrame,
    settings: Limits,
    budget: float | None = None,
    human: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """Return the numbers that are drawn out of fitted laws.

    Parameters
    ----------
    laws : list of dict
        Summaries.
    refits : list of data frames
        As `tables.REFITS`, one of each law.
    line : dict
        Summary of the line from loss to accuracy, or {"intercept", "slope"} as exact numbers.
    line_refits : data frame or None
        As `tables.REFITS`; without rows the line is exact. Refits of a law meet those of the line in turn.
    runs : data frame
        As `tables.RUNS`.
    settings : settings.Limits
    budget : float, optional
        FLOPs, where the settings name none; that of the dearest run if left out.
    human : dict, optional
        value, low, high, determined, why and source of the human level, where the settings set none.

    Returns
    -------
    data frame
        As `tables.APPROACHES`: each law, each dataset of it and, where the law knows FID and the study has three,
        FID 0; and the human level, set or measured, as a law of its own. Numbers that rest on others are determined
        only where those are.
    """
    measured = forecasts.Measured.of(runs)
    drawn = Line.of(line, line_refits)
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
    table = pd.DataFrame(rows, columns=list(tables.APPROACHES))
    if len(table):
        numbers = table[["budget", "value", "low", "high"]].astype(float)
        table[numbers.columns] = numbers.where(np.isfinite(numbers))
    return tables.table(table, tables.APPROACHES)


def _title(source):
    return called(source).capitalize()


def _rows(law, dataset, fid, budgets, human):
    always = law.always(dataset, fid)
    rows = [{"quantity": name, "budget": None} | always[name] for name in ("N_star", "D_star")]
    for flops in budgets:
        entries = law.at(dataset, fid, flops)
        rows += [{"quantity": name, "budget": flops} | entries[name] for name in forecasts.AT_BUDGET]
    rows += [{"quantity": name, "budget": None} | always[name] for name in ("asymptote", "accuracy_limit")]
    if human and human["determined"]:
        needed = law.flops_to(human["value"], dataset, fid)
        rows.append({"quantity": "flops_to_human", "budget": None, "source": human["source"]} | needed)
    return rows


def measure_limits(
    *,
    runs_path: Path | str,
    law_paths: Sequence[Path | str],
    refits_paths: Sequence[Path | str],
    accuracy_path: Path | str,
    accuracy_refits_path: Path | str,
    limits_path: Path | str,
    settings: Limits,
    allocation_paths: Sequence[Path | str] = (),
    benchmark_paths: Sequence[Path | str] = (),
) -> None:
    """Draw exponents, the best at a budget, the limit and the FLOPs to human level out of fitted laws.

    Parameters
    ----------
    runs_path : path
        Parquet of tables.RUNS.
    law_paths, refits_paths : list of path
        Summaries, and their refits (tables.REFITS) in the same order.
    accuracy_path, accuracy_refits_path : path
        The line from loss to accuracy, and its refits.
    limits_path : path
        Written (tables.APPROACHES).
    settings : settings.Limits
    allocation_paths : list of path
        Tables of N* and D* (tables.ALLOCATIONS): where the settings name no budget, the largest of these is taken,
        and without them that of the dearest run.
    benchmark_paths : list of path
        None, or the table (humans.columns.BENCHMARK) whose mean person is the human level.

    Raises
    ------
    ValueError
        If a table is not what it should be.
    """
    ends = [tables.read(path, tables.ALLOCATIONS)["flops"].max() for path in allocation_paths]
    table = measure(
        [read_json(path) for path in law_paths],
        [tables.read(path, tables.REFITS) for path in refits_paths],
        read_json(accuracy_path),
        tables.read(accuracy_refits_path, tables.REFITS),
        tables.read(runs_path, tables.RUNS),
        settings,
        max((end for end in ends if end == end), default=None),
        next(map(_human, benchmark_paths), None),
    )
    tables.write(limits_path, table, tables.APPROACHES)


def _human(path):
    """Return the accuracy of the mean person on all attacked images, with its interval, as a row of the conclusions."""
    table = tables.read(path, human_tables.BENCHMARK)
    rows = table[(table["who"] == "human_mean") & (table["data"] == "all")]
    if rows.empty:
        return {"value": None, "determined": False, "why": "nobody has answered yet", "source": "person"}
    row = rows.iloc[0]
    numbers = {"value": row["accuracy"], "low": row["low"], "high": row["high"]}
    return numbers | {"determined": True, "why": "", "source": row["kind"]}


def called(source: str) -> str:
    """Return the name of the level of `source` (as in `tables.APPROACHES`): a simulation's level is not human."""
    return "level of the simulated participants" if source == "simulated" else "human level"
