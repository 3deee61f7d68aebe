"""Collect the outcomes of runs in the tables of a study."""

import pandas as pd

from robustlaws.attacks import record
from robustlaws.storage import tables
from robustlaws.storage.atomic import read_json


def collect(*, curve_paths, pgd_paths, autoattack_paths, quality_paths, runs_path, curves_path, settings):
    """Write the table of runs and the table of curves.

    Parameters
    ----------
    curve_paths : list of path
        Learning curve of every run.
    pgd_paths, autoattack_paths : lists of path
        Records of the attacks: PGD of every run, AutoAttack of those it was run on.
    quality_paths : list of path
        FID of every dataset.
    runs_path, curves_path : path
        Parquet files to write.
    settings : settings.Collect

    Raises
    ------
    ValueError
        If a run has no PGD record or curve, or a file is not what it should be.
    """
    quality = [read_json(path) for path in quality_paths]
    fids = {item["dataset"]: item["fid"] for item in quality}
    pgd = {
        about["run"]: about | {"test_images": len(columns["label"])} for columns, about in map(record.read, pgd_paths)
    }
    auto = {
        about["run"]: (columns["robust"].mean(), len(columns["label"]))
        for columns, about in map(record.read, autoattack_paths)
    }
    rows = []
    for run in settings.runs:
        if run["run"] not in pgd:
            raise ValueError(f"run {run['run']}: no PGD record among the {len(pgd)} given")
        robust, attacked = auto.get(run["run"], (None, None))
        measured = {name: pgd[run["run"]][name] for name in (*tables.LOSSES, "test_images")}
        rows.append(
            run | measured | {"fid": fids.get(run["dataset"]), "autoattack_acc": robust, "autoattack_images": attacked}
        )
    curves = pd.concat([tables.read(path, tables.CURVES) for path in curve_paths], ignore_index=True)
    missing = {row["run"] for row in rows} - set(curves["run"])
    if missing:
        raise ValueError(f"run {sorted(missing)[0]}: no learning curve among the {len(curve_paths)} given")
    tables.write(runs_path, rows, tables.RUNS)
    tables.write(curves_path, curves, tables.CURVES)
