"""Tables of named choices: check a name, load the object behind it.

A table maps a name to ``"module:attribute"``, or to an :class:`Entry` with further facts, and stands in the
``__init__`` of its package. The values are strings, so reading a table imports nothing: the Snakefile checks names
without paying for torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A line of a table that says more than which object it names; subclasses add the facts.

    Attributes
    ----------
    target : str
        ``"module:attribute"``.
    """

    target: str


def check(name: str, table: Iterable[str], where: str) -> str:
    """Return `name` if `table` has it.

    Raises
    ------
    ValueError
        Naming `where` the name was given, the name, and the names that are known.
    """
    if name not in table:
        known = ", ".join(sorted(table)) or "none"
        raise ValueError(f"{where}: unknown {name!r}; known: {known}")
    return name


def load(name: str, table: Mapping[str, str | Entry], where: str = "name") -> Any:
    """Return the object that `name` stands for in `table`; ValueError for an unknown name."""
    return resolve(target(table[check(name, table, where)]))


def target(entry: str | Entry) -> str:
    """Return the ``"module:attribute"`` of a line of a table."""
    return entry.target if isinstance(entry, Entry) else entry


def resolve(text: str) -> Any:
    """Return the object that ``"module:attribute"`` stands for."""
    module, _, attribute = text.partition(":")
    return getattr(import_module(module), attribute)
