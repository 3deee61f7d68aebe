"""Read a CSV or Parquet table with the place of every cell, for error messages."""

import csv
import math
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from robustlaws.fit_table import columns
from robustlaws.storage import tables

_MISSING = {"", "na", "nan", "n/a", "null", "none"}
_SHOWN = 40  # characters of a wrong cell
_LARGEST = 1e60  # in any unit; beyond, powers of it overflow


@dataclass
class GivenTable:
    """A table as read from its file.

    `columns`: {our name: list of cells}; `spelling`: {our name: name in the file}; `places`: the place of each row
    ("line 7"); `ignored`: names of unknown columns.
    """

    path: Path
    columns: dict
    places: list
    spelling: dict = field(default_factory=dict)
    ignored: list = field(default_factory=list)

    def __len__(self):
        return len(self.places)

    def __contains__(self, name):
        return name in self.columns

    def wrong(self, name, row, why):
        """Return the ValueError that names file, column, row and value of one cell, and then says `why`."""
        text = " ".join(str(self.columns[name][row]).split())
        text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
        return ValueError(f"{self.path} column {self.spelling[name]}, {self.places[row]}: {text or 'empty'}: {why}")


def read(path, table, known):
    """Return the table at `path` with the columns that we know.

    Parameters
    ----------
    path : path
        .csv or .parquet.
    table : dict of str to columns.GivenTable
        Accepted columns.
    known : dict of str to tables.Column
        Columns of the resulting table; columns of these names are accepted too.

    Returns
    -------
    GivenTable

    Raises
    ------
    ValueError
        If the file cannot be read as a table, or lacks a column that is needed; in one line.
    """
    path = Path(path)
    reader = {".csv": _csv, ".parquet": _parquet}.get(path.suffix.lower())
    if path.is_dir():
        raise ValueError(f"{path}: a folder; give a table, .csv or .parquet")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if reader is None:
        raise ValueError(f"{path}: unknown kind of table {path.suffix!r}; known: .csv, .parquet")
    names, cells, places = reader(path)
    named = _named(path, names, cells, places, table, known)
    _complete(named, names, table, known)
    if not places:
        raise ValueError(f"{path}: the table has no rows")
    return named


def _named(path, names, cells, places, table, known):
    spellings = {alias: name for name, column in table.items() for alias in (name, *column.aliases)}
    targets = {column.target for column in table.values()}
    spellings |= {name: name for name in known if name not in spellings and name not in targets}
    named = GivenTable(path, {}, places)
    for index, name in enumerate(names):
        ours = spellings.get(columns.spelt(name))
        if ours is None:
            named.ignored.append(str(name))
        elif ours in named.columns:
            raise ValueError(f"{path}: columns {named.spelling[ours]!r} and {name!r} mean the same; leave one out")
        else:
            named.columns[ours], named.spelling[ours] = cells[index], name
    return named


def _complete(named, names, table, known):
    """Raise ValueError if a column is missing that nothing can stand in for."""
    for name, wanted in table.items():
        column = known.get(wanted.target)
        unfilled = wanted.otherwise == columns.UNKNOWN and column is not None and not column.optional
        needed = wanted.otherwise == columns.NEEDED or unfilled
        if needed and name not in named:
            there = ", ".join(map(str, names)) or "none"
            others = f" (also {', '.join(wanted.aliases)})" if wanted.aliases else ""
            raise ValueError(f"{named.path}: no column {name!r}{others}: {wanted.meaning}; there are: {there}")


def _csv(path):
    """Return names, columns of text, and the line of each row."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            rows = [(lines.line_num, [cell.strip() for cell in row]) for row in lines]
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a CSV table: it is not text in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV table: {error}") from None
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise ValueError(f"{path}: the file is empty; a table starts with a line of column names")
    (first, names), body = rows[0], rows[1:]
    while names and not names[-1]:
        names.pop()
    if len(names) < 2:
        raise ValueError(
            f"{path} line {first}: only one column, {names[0][:_SHOWN]!r}; cells are to be apart by commas"
        )
    if all(_is_number(name) for name in names):
        raise ValueError(f"{path} line {first}: holds numbers; the first line is to name the columns")
    for line, row in body:
        if len(row) < len(names) or any(row[len(names) :]):
            raise ValueError(f"{path} line {line}: {len(row)} cells where the header has {len(names)}")
    return names, [[row[i] for _, row in body] for i in range(len(names))], [f"line {line}" for line, _ in body]


def _parquet(path):
    """Return names, columns of Python values, and the number of each row."""
    try:
        table = pq.ParquetFile(path).read()
        cells = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable Parquet table ({str(error).splitlines()[0]})") from None
    return table.column_names, cells, [f"row {number + 1}" for number in range(len(table))]


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_missing(cell):
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return isinstance(cell, str) and cell.strip().lower() in _MISSING


def cells(named, table, known):
    """Return {column of ours: list of values}, None for each missing one.

    Parameters
    ----------
    named : GivenTable
    table : dict of str to columns.GivenTable
    known : dict of str to tables.Column
        Kind and range of the resulting columns.
    """
    targets = {name: table[name].target if name in table else name for name in (*table, *named.columns)}
    values = {}
    for name, target in targets.items():
        if name not in named:
            values[target] = [None] * len(named)
        elif known[target].kind == "string":
            values[target] = texts(named, name)
        else:
            values[target] = numbers(named, name, known[target])
    return values


def texts(named, name):
    """Return the cells of a column as text; None where there is none."""
    return [None if _is_missing(cell) else str(cell).strip() for cell in named.columns[name]]


def numbers(named, name, column):
    """Return the cells of a column as finite floats within the range of `column`; None where there is none.

    Raises
    ------
    ValueError
        For the first cell that is not such a number.
    """
    return [
        None if _is_missing(cell) else _number(named, name, row, cell, column)
        for row, cell in enumerate(named.columns[name])
    ]


def _number(named, name, row, cell, column):
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float, Decimal)):
        raise named.wrong(name, row, "not a number")
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        raise named.wrong(name, row, f"not a number; write it out as {_example(column)}") from None
    if not math.isfinite(value):
        raise named.wrong(name, row, "not a finite number")
    if column.kind == "int64" and (value != round(value) or abs(value) >= 2**63):
        raise named.wrong(name, row, f"not a whole number; in millions? Write it out as {_example(column)}")
    if column.high == 1 and 1 < value <= 100:
        raise named.wrong(name, row, f"more than 1; is this in percent? Give a share, as {value / 100:.4g}")
    if column.low is not None and value < column.low:
        raise named.wrong(name, row, f"has to be {column.low:g} or more")
    if (column.high is not None and value > column.high) or abs(value) > _LARGEST:
        raise named.wrong(name, row, f"has to be {column.high or _LARGEST:g} or less")
    return int(value) if column.kind == "int64" else value


def _example(column):
    return {"int64": "5000000", "float64": "0.725"}[column.kind]


def as_is(path, known):
    """Return the table at `path` where it is one of our own, with exactly the columns `known` (checked), else None."""
    path = Path(path)
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return None
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError, ValueError):
        return None
    return tables.read(path, known) if set(names) == set(known) else None
