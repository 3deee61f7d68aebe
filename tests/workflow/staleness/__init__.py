"""The table of staleness: kinds of change, and exactly the jobs that each of them may cause.

`test_staleness.py` tries every change on a finished study; `python -m tests.workflow.staleness` writes the same table
for the reader, to docs/staleness.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

LEFT_OUT = object()  # as the value of a setting: the config does not have it


class But(frozenset):
    """All outputs of a rule in a study but these."""


class Of(frozenset):
    """Those of these outputs of a rule that a study has."""


ALL = But()


@dataclass(frozen=True)
class Made:
    """Something that a change makes anew: how the page calls it, and which jobs it is."""

    words: str
    jobs: (
        dict  # rule -> set of the first outputs of its jobs, below the results of the study; or ALL, But(...), Of(...)
    )


@dataclass(frozen=True)
class Change:
    """One thing that somebody does to a finished study. What is not given stays as it is.

    A change of files is tried on a copy of the checkout.
    """

    name: str  # for the test's id
    settings: dict = field(default_factory=dict)  # "training.beta" -> value or LEFT_OUT
    config: Callable | None = None  # changes the config in place
    spelling: Callable | None = None  # text of the config file -> another text of the same config
    bumped: tuple[str, ...] = ()  # entries of the ledger that get a new revision
    accepted: tuple[str, ...] = ()  # entries of the ledger whose code is another, with the outputs of the old one
    files: Callable | None = None  # changes files below the folder it is given; may return another that it moved it to
    library: bool = False  # whether the checkout has the library too, in src/, for `files` to change
    arguments: tuple[str, ...] = ()  # of Snakemake's command line


@dataclass(frozen=True)
class Row:
    """Changes of one kind, each of which makes exactly the jobs of `made`."""

    change: str  # in Markdown
    changes: tuple[Change, ...]
    made: tuple[Made, ...] = ()
    why: str = ""  # in Markdown, where it may surprise
    study: str = "tiny"  # the finished study that it is tried on: a key of studies.STUDIES


@dataclass(frozen=True)
class Section:
    """Rows under one heading of the page."""

    title: str
    rows: tuple[Row, ...]
    text: str = ""  # in Markdown


def under(block, values):
    """Return the keys of `values` as keys of a block."""
    return {f"{block}.{key}": value for key, value in values.items()}


def settings(values, made=(), why="", study="tiny", change=None):
    """Return the row of settings that all make the same jobs: {key: another value}, each tried alone."""
    changes = tuple(Change(key, settings={key: value}) for key, value in values.items())
    return Row(change or ", ".join(f"`{key}`" for key in values), changes, tuple(made), why, study)


def bumps(entries, made=(), why="", study="tiny", change=None):
    """Return the row of entries of the ledger that all make the same jobs, each bumped alone."""
    changes = tuple(Change(f"revision of {entry}", bumped=(entry,)) for entry in entries)
    return Row(change or ", ".join(f"`{entry}`" for entry in entries), changes, tuple(made), why, study)
