"""HTML tables without empty columns and without undetermined numbers."""

from dataclasses import dataclass, field

import pandas as pd

from robustlaws.formatting import numbers

ENDLESS = "\N{INFINITY}"  # the upper end of an interval that has none


@dataclass(frozen=True)
class Cell:
    """One cell.

    `text`, and `interval` or the like beside it; `known`: whether it is a value that may be shown; `why` it is not;
    `badge`: a warning.
    """

    text: str
    interval: str = ""
    known: bool = True
    why: str = ""
    badge: str = ""

    @property
    def empty(self):
        """Whether there is nothing to show."""
        return not (self.text or self.badge)

    @property
    def line(self):
        """The text with its interval."""
        return f"{self.text} {self.interval}".rstrip()


@dataclass(frozen=True)
class Table:
    """A table for the page.

    `head`: names of the columns; `texts`: those of them that hold words and are set to the left; `groups`: heading of
    some rows ("" for none) -> rows of `Cell`, one a column; `marked`: how many of the first rows are marked; `reasons`:
    why cells are not determined, as numbered below the table; empty where each cell gives its own reason.
    """

    label: str
    head: tuple[str, ...]
    texts: frozenset[str]
    groups: dict[str, list[list[Cell]]]
    marked: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def as_cell(content):
    """Return text, a number or None as a cell."""
    return content if isinstance(content, Cell) else Cell("" if content is None else str(content))


def value(entry, text=numbers.number, endless=ENDLESS):
    """Return an entry of a law file ({"value", "low", "high", "determined", "why"}) as a cell.

    Parameters
    ----------
    entry : dict or None
    text : callable
        How a number is written.
    endless : str
        Stands for an infinite upper end of the interval.
    """
    entry = plain(entry or {})
    why = entry.get("why") or ""
    if numbers.is_determined(entry):
        return Cell(text(entry["value"]), numbers.bounds(entry, text, endless))
    # a level above the limit is never reached: that is an answer, not a gap
    if entry.get("value") is None and why.startswith("never"):
        return Cell("never", why=why)
    return Cell(numbers.NOT_DETERMINED, known=False, why=why)


def plain(row):
    """Return a table's row with None where pandas has a kind of nan."""
    return {name: None if pd.isna(content) else content for name, content in row.items()}


def table(label, rows, *, texts=(), marked=0, notes=False):
    """Return rows as a table without the columns that are empty throughout.

    Parameters
    ----------
    label : str
        Label of the table for screen readers.
    rows : list of dict, or dict of str to such lists
        Column -> text or `Cell`; or these under a heading each. All rows have the first row's columns.
    texts : collection of str
        Columns of words.
    marked : int
        How many of the first rows are marked.
    notes : bool
        Number the reasons below the table, instead of writing each into its cell.

    Returns
    -------
    Table or None
        None without rows.
    """
    groups = {heading: some for heading, some in (rows if isinstance(rows, dict) else {"": rows}).items() if some}
    if not groups:
        return None
    made = {h: [{name: as_cell(c) for name, c in row.items()} for row in some] for h, some in groups.items()}
    everything = [row for some in made.values() for row in some]
    names = dict.fromkeys(name for row in everything for name in row)
    head = tuple(n for n in names if any(n in row and not row[n].empty for row in everything))
    cells = {h: [[row.get(name, Cell("")) for name in head] for row in some] for h, some in made.items()}
    reasons = {}
    if notes:
        for why in (cell.why for some in cells.values() for row in some for cell in row if cell.why):
            reasons.setdefault(why, len(reasons) + 1)
    return Table(label, head, frozenset(texts), cells, marked, reasons)
