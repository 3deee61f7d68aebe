"""Inputs of figures and report: law files, lists of tables, the order of datasets."""

import pandas as pd

from robustlaws.formatting import numbers
from robustlaws.storage import tables
from robustlaws.storage.atomic import read_json


def read_laws(paths):
    """Return the law files at `paths`, in that order, as dicts.

    Raises
    ------
    ValueError
        If a file does not name its law.
    """
    laws = [read_json(path) for path in paths]
    for path, law in zip(paths, laws, strict=True):
        if not isinstance(law, dict) or "law" not in law:
            raise ValueError(f"{path}: not a law file, it has no entry 'law'")
    return laws


def law_named(laws, name):
    """Return the law called `name`, or None."""
    return next((law for law in laws if law["law"] == name), None)


def title(law):
    """Return the law's name for readers."""
    return law.get("title") or law["law"]


def read_tables(paths, columns):
    """Return the tables at `paths` as one data frame; those without rows leave no trace."""
    frames = [tables.read(path, columns) for path in paths]
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else tables.table([], columns)


def of_the_study(table):
    """Return the rows of the runs that the study's own recipe trained.

    Parameters
    ----------
    table : data frame with the column "run"
        Runs of another recipe are named model@recipe/dataset/size/seed.
    """
    return table[~table["run"].str.match("[^/]*@")]


def fid_order(pairs):
    """Return dataset -> FID, best FID first; those without one (mixtures) come last, by name.

    Parameters
    ----------
    pairs : iterable of (str, float or None)
        Datasets and their FIDs; repeats are fine.
    """
    fids = {}
    for dataset, fid in pairs:
        fid = None if pd.isna(fid) else float(fid)
        if fids.get(dataset) is None:
            fids[dataset] = fid
    return dict(sorted(fids.items(), key=lambda item: (item[1] is None, item[1] or 0.0, item[0])))


def spread(names, most=4):
    """Return at most `most` of the names, the first and the last among them, the rest evenly in between."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def fids_of_laws(laws):
    """Return the (dataset, FID) pairs that the law files name."""
    return [(entry["dataset"], entry.get("fid")) for law in laws for entry in law.get("datasets") or []]


def dataset_entry(law, dataset):
    """Return a law file's entry of one dataset; empty without one."""
    entries = (law or {}).get("datasets") or []
    return next((entry for entry in entries if entry["dataset"] == dataset), {})


def labelled(dataset, fid):
    """Return `edm-18 (FID 2.10)`, or `edm-18 (no FID)`."""
    return f"{dataset} (no FID)" if fid is None else f"{dataset} (FID {numbers.fid(fid)})"
