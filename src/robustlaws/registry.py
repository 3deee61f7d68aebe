"""Tables of named choices: check a name, load what it stands for.

A table maps a name to ``"module:function"`` and stands in the ``__init__`` of its package. The
values are strings, so reading a table imports nothing: the Snakefile checks names without paying
for torch.
"""

from importlib import import_module


def check(name, table, where):
    """Return `name` if `table` knows it.

    Raises
    ------
    ValueError
        Naming `where` the name was given, the name, and the names that are known.
    """
    if name not in table:
        known = ", ".join(sorted(table)) or "none"
        raise ValueError(f"{where}: unknown {name!r}; known: {known}")
    return name


def load(name, table, where="name"):
    """Return the object that `name` stands for in `table`; ValueError for an unknown name."""
    return resolve(table[check(name, table, where)])


def resolve(text):
    """Return the object that ``"module:attribute"`` stands for."""
    module, _, attribute = text.partition(":")
    return getattr(import_module(module), attribute)
