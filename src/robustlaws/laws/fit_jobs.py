"""Fit a law to the tables of a study on disk and write the results."""

from pathlib import Path

from robustlaws import registry
from robustlaws.laws import LAWS, accuracy
from robustlaws.runtime.logger import log
from robustlaws.settings import LawFit
from robustlaws.storage import tables
from robustlaws.storage.atomic import write_json


def fit_law(
    *,
    runs_path: Path | str,
    curves_path: Path | str,
    law_path: Path | str,
    allocations_path: Path | str,
    predictions_path: Path | str,
    refits_path: Path | str,
    held_out_path: Path | str,
    settings: LawFit,
) -> None:
    """Fit the law that the settings name.

    Parameters
    ----------
    runs_path, curves_path : path
        Parquet of tables.RUNS and tables.CURVES.
    law_path, allocations_path, predictions_path, refits_path, held_out_path : path
        Written: the summary as JSON, N* and D* over budgets (tables.ALLOCATIONS), actual against
        predicted losses (tables.PREDICTIONS), the parameters of all refits (tables.REFITS), and actual
        losses against those predicted without their dataset (tables.PREDICTIONS).
    settings : settings.LawFit

    Raises
    ------
    ValueError
        If a table is not what it should be, or holds no run.
    """
    fit = registry.load(settings.law, LAWS)
    law = fit(tables.read(runs_path, tables.RUNS), tables.read(curves_path, tables.CURVES), settings)
    for warning in law.summary["warnings"]:
        log.warning("%s: %s", settings.law, warning)
    write_json(law_path, law.summary)
    tables.write(allocations_path, law.allocations, tables.ALLOCATIONS)
    tables.write(predictions_path, law.predictions, tables.PREDICTIONS)
    tables.write(refits_path, law.refits, tables.REFITS)
    tables.write(held_out_path, law.held_out, tables.PREDICTIONS)


def fit_accuracy(
    *, runs_path: Path | str, accuracy_path: Path | str, refits_path: Path | str, settings: LawFit
) -> None:
    """Fit the line from adversarial loss to adversarial accuracy and write it as JSON.

    Parameters
    ----------
    runs_path : path
        Parquet of tables.RUNS.
    accuracy_path, refits_path : path
        Written: the line, and all its refits (tables.REFITS).
    settings : settings.LawFit
    """
    line, refits = accuracy.fit(tables.read(runs_path, tables.RUNS), settings)
    write_json(accuracy_path, line)
    tables.write(refits_path, refits, tables.REFITS)
