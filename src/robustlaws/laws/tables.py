"""Fit to the tables of a study on disk, and write what comes out."""

from robustlaws import named, records
from robustlaws.files import write_json
from robustlaws.joblog import log
from robustlaws.laws import LAWS, accuracy


def fit_law(*, runs_path, curves_path, law_path, allocations_path, predictions_path, settings):
    """Fit the law that the settings name.

    Parameters
    ----------
    runs_path, curves_path : path
        Parquet of records.RUNS and records.CURVES.
    law_path, allocations_path, predictions_path : path
        Written: the summary as JSON, N* and D* over budgets (records.ALLOCATIONS), actual against
        predicted losses (records.PREDICTIONS).
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


def fit_accuracy(*, runs_path, accuracy_path, settings):
    """Fit the line from adversarial loss to adversarial accuracy and write it as JSON.

    Parameters
    ----------
    runs_path : path
        Parquet of records.RUNS.
    accuracy_path : path
    settings : settings.LawFit
    """
    write_json(accuracy_path, accuracy.fit(records.read(runs_path, records.RUNS), settings))
