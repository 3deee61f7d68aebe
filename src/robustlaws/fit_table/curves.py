"""Learning curves beside a table of finished runs."""

import pandas as pd

from robustlaws.fit_table import columns, table_reader
from robustlaws.storage import tables

_NAMES = ("run", "model", "recipe", "dataset", "size", "seed", "params", "depth", "width")
_OVERSHOOT = 0.05  # share of a run by which its last images may exceed its size: whole batches


def curves(path, runs):
    """Return the learning curves at `path`, each of a run in `runs`.

    Parameters
    ----------
    path : path
        .csv or .parquet with the columns of `columns.CURVES`, or our own curves.parquet.
    runs : data frame as `tables.RUNS`

    Returns
    -------
    data frame as `tables.CURVES`

    Raises
    ------
    ValueError
        In one line: file, column, row and value, and what would do.
    """
    own = table_reader.as_is(path, tables.CURVES)
    if own is not None:
        strange = sorted(set(own["run"]) - set(runs["run"]))
        if strange:
            raise ValueError(f"{path} column run: {strange[0]!r} is not among the {len(runs)} runs")
        return own
    table = table_reader.read(path, columns.CURVES, tables.CURVES)
    given = columns_of(table)
    rows = []
    for row, run in enumerate(_runs(table, given, runs)):
        values = {target: cells[row] for target, cells in given.items() if target in tables.CURVES}
        rows.append(values | {name: run[name] for name in ("run", "model", "dataset", "size", "seed")})
        _fill(table, row, rows[-1], run)
    return tables.table(rows, tables.CURVES, str(path))


def columns_of(table):
    """Return {column of ours: list of values}, None for each missing one."""
    return table_reader.cells(table, columns.CURVES, tables.CURVES | {name: tables.RUNS[name] for name in _NAMES})


def _runs(table, cells, runs):
    """Return the run of each row, as a dict."""
    given = [name for name in _NAMES if any(value is not None for value in cells[name])]
    if not given:
        raise ValueError(f"{table.path}: no column says whose curve a row is; give run, or model, dataset and size")
    known = {}
    for run in runs.to_dict("records"):
        known.setdefault(tuple(_plain(run[name]) for name in given), []).append(run)
    chosen = []
    for row in range(len(table)):
        key = tuple(cells[name][row] for name in given)
        fitting = known.get(key, [])
        if len(fitting) != 1:
            named = ", ".join(f"{name} {value}" for name, value in zip(given, key, strict=True))
            many = f"{len(fitting)} runs have" if fitting else "no run has"
            raise ValueError(f"{table.path} {table.places[row]}: {many} {named}; a row belongs to one run")
        chosen.append(fitting[0])
    return chosen


def _plain(value):
    return None if pd.isna(value) else value


def _fill(table, row, values, run):
    """Put in what holds where the row says nothing; raise ValueError for what cannot be."""
    if values["images"] is None:
        raise table.wrong("images", row, "every row needs one")
    if not values["adv_loss"]:
        raise table.wrong("loss", row, "a loss in nats is above 0")
    if values["flops"] is None:
        values["flops"] = run["flops"] / run["images"] * values["images"]
    if values["train_fraction"] is None:
        done = values["images"] / run["size"]
        if done > 1 + _OVERSHOOT:
            raise table.wrong("images", row, f"more than the run's {run['size']}; images are those seen so far")
        values["train_fraction"] = min(done, 1.0)
