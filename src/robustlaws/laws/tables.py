"""Fit to the tables of a study on disk, and write what comes out."""

from robustlaws import named, records
from robustlaws.files import write_json
from robustlaws.joblog import log
from robustlaws.laws import LAWS, accuracy


def fit_law(
    *, runs_path, curves_path, law_path, allocations_path, predictions_path, refits_path, held_out_path, settings
):  # fmt: skip
    """Fit the law that the settings name.

    Parameters
    ----------
    runs_path, curves_path : path
        Parquet of records.RUNS and records.CURVES.
    law_path, allocations_path, predictions_path, refits_path, held_out_path : path
        Written: the summary as JSON, N* and D* over budgets (records.ALLOCATIONS), actual against
        predicted losses (records.PREDICTIONS), the parameters of all refits (records.REFITS), and actual
        losses against those predicted without their dataset (records.PREDICTIONS).
    settings : settings.LawFit

    Raises
    ------
    ValueError
        If a table is not what it should be, or holds no run.
    """
    fit = named.load(settings.law, LAWS)
    law = fit(records.read(runs_path, records.RUNS), records.read(curves_path, records.CURVES), settings)
    for warning in law.summary["warnings"]:
        log.warning("%s: %s", settings.law, warning)
    write_json(law_path, law.summary)
    records.write(allocations_path, law.allocations, records.ALLOCATIONS)
    records.write(predictions_path, law.predictions, records.PREDICTIONS)
    records.write(refits_path, law.refits, records.REFITS)
    records.write(held_out_path, law.held_out, records.PREDICTIONS)


def fit_accuracy(*, runs_path, accuracy_path, refits_path, settings):
    """Fit the line from adversarial loss to adversarial accuracy and write it as JSON.

    Parameters
    ----------
    runs_path : path
        Parquet of records.RUNS.
    accuracy_path, refits_path : path
        Written: the line, and all its refits (records.REFITS).
    settings : settings.LawFit
    """
    line, refits = accuracy.fit(records.read(runs_path, records.RUNS), settings)
    write_json(accuracy_path, line)
    records.write(refits_path, refits, records.REFITS)
