"""The modules, files and tables that a script depends on, read from the source text. Imports none of the modules.

A module depends on the modules that it imports, on those that it loads by name from a registry (``registry.load(name,
TABLE)``) or names in a string ``"robustlaws.module:attribute"``. It depends on the templates and tables beside it too.
Of a registry (the ``__init__`` of a package) only the names count that are imported from there.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from robustlaws import registry

_PACKAGE = Path(__file__).parent

# Modules that decide no byte of a declared output, and why.
ASIDE = {
    "robustlaws": "its version is in no output that is compared",
    "robustlaws.errors": "messages",
    "robustlaws.registry": "loads the code that is counted",
    "robustlaws.settings": "reaches a job through its params",
    "robustlaws.runtime.job_facts": "provenance",
    "robustlaws.runtime.job_log": "the log",
    "robustlaws.runtime.progress": "the log",
    "robustlaws.runtime.file_lock": "who may write, not what",
    "robustlaws.runtime.folder_lock": "who may write, not what",
    "robustlaws.runtime.logger": "the log",
    "robustlaws.runtime.slurm": "when a job has to stop",
    "robustlaws.storage.atomic": "how a file is written, not what",
    "robustlaws.storage.embedded": "provenance",
    "robustlaws.storage.provenance": "provenance",
}
_BESIDE = (".j2", ".js", ".csv", ".json", ".md", ".txt")
_TARGET = re.compile(r"(robustlaws(?:\.\w+)+):\w+")
_TEMPLATE = re.compile(r"""["']([\w/.]+\.j2)["']""")


class Table(NamedTuple):
    """A registry: its package and its lines, name -> ``"module:attribute"`` or `registry.Entry`."""

    package: str
    lines: dict[str, Any]


# (package, names of the lines of its registry) -> the lines that count
Lines = Mapping[tuple[str, frozenset[str]], Collection[str]]


@dataclass
class Behind:
    """The code behind a script.

    Attributes
    ----------
    modules : set of str
        Modules of this package.
    files : set of path
        Templates, scripts and tables that lie beside them, and the templates that these include.
    values : dict of str to str
        "package.NAME" of a registry -> its value as text.
    packages : set of str
        Other packages, by the name that they are imported by.
    """

    modules: set[str] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)


def behind(scripts: Iterable[Path], also: Iterable[str], lines: Lines) -> Behind:
    """Return the code behind some scripts, without the scripts.

    Parameters
    ----------
    scripts : iterable of path
    also : iterable of str
        More modules.
    lines : mapping
        Lines of each registry that count; of another all do.
    """
    code = Behind()
    queue = [*also]
    for script in scripts:
        queue += _followed(script.read_text(encoding="utf-8"), lines, Behind())
    while queue:
        name = queue.pop()
        if name in code.modules or name in ASIDE:
            continue
        code.modules.add(name)
        code.files |= beside(_path(name))
        queue += _followed(source(name), lines, code)
    return code


def table_of(script: Path) -> Table:
    """Return the registry that a script loads from, or the module that it calls.

    Raises
    ------
    ValueError
        If it is not one registry.
    """
    text = script.read_text(encoding="utf-8")
    used = _used(text)
    tables = [use for use in used.names if use in used.loaded]
    if not tables:
        for name in used.modules - set(ASIDE):
            called = _used(source(name))
            tables += [use for use in called.names if use in called.loaded]
    if len(tables) != 1:
        raise ValueError(f"{script}: loads from {len(tables)} registries; a revision for each name needs one")
    return Table(tables[0][0], getattr(import_module(tables[0][0]), tables[0][1]))


def _followed(text: str, lines: Lines, code: Behind) -> Iterator[str]:
    """Yield the modules that a text depends on; add the packages and the values of registries to `code`."""
    used = _used(text)
    code.packages |= used.packages
    yield from used.modules
    for package, name in used.names:
        if package in ASIDE:
            continue
        value = getattr(import_module(package), name)
        if isinstance(value, dict):
            value = _counted(package, value, lines)
        if (package, name) in used.loaded:
            yield from (registry.target(line).partition(":")[0] for line in value.values())
        elif callable(value):
            yield package
        else:
            code.values[f"{package}.{name}"] = repr(value)


def _counted(package: str, table: dict[str, Any], lines: Lines) -> dict[str, Any]:
    """Return the lines of a table that count; it may be derived from that registry of the package that has them all."""
    for (home, names), chosen in lines.items():
        if home == package and names >= set(table):
            return {name: line for name, line in table.items() if name in chosen}
    return table


class _Used(NamedTuple):
    modules: set[str]
    names: set[tuple[str, str]]  # imported from the __init__ of a package
    loaded: set[tuple[str, str]]  # of these, tables that objects are loaded from
    packages: set[str]


@cache
def _used(text: str) -> _Used:
    """Return the imports and loads of a source text."""
    tree = ast.parse(text)
    used, called = _Used(set(), set(), set(), set()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                _add(used, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if _is_ours(whole):
                    _add(used, whole)
                elif _path(node.module).name == "__init__.py" and _is_ours(node.module):
                    used.names.add((node.module, alias.name))
                    called[alias.asname or alias.name] = node.module, alias.name
                else:
                    _add(used, node.module)
        elif isinstance(node, ast.Constant) and (match := _TARGET.fullmatch(str(node.value))):
            _add(used, match[1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "registry.load" and len(node.args) > 1:
            table = ast.unparse(node.args[1])
            used.loaded.update([called[table]] if table in called else [])
    return used


def _add(used: _Used, name: str) -> None:
    if name.partition(".")[0] == _PACKAGE.name:
        used.modules.add(name)
    else:
        used.packages.add(name.partition(".")[0])


def beside(path: Path) -> set[Path]:
    """Return templates, scripts and tables that stand beside a module under its name: page.macros.j2, page_x.csv.

    Of the templates, those too that they include, wherever they are.
    """
    named = {*path.parent.glob(f"{path.stem}.*"), *path.parent.glob(f"{path.stem}_*.*")}
    files, queue = set(), [file for file in named if file.suffix in _BESIDE]
    while queue:
        file = queue.pop()
        if file not in files:
            files.add(file)
            texts = _TEMPLATE.findall(file.read_text(encoding="utf-8")) if file.suffix == ".j2" else ()
            places = [folder / text for text in texts for folder in (file.parent, _PACKAGE)]
            queue += [place for place in places if place.is_file()]
    return files


def _path(name: str) -> Path:
    stem = _PACKAGE.parent.joinpath(*name.split("."))
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == _PACKAGE.name and _path(name).is_file()


@cache
def source(name: str) -> str:
    """Return the text of a module of this package."""
    return _path(name).read_text(encoding="utf-8")


@cache
def meaning(code: str) -> str:
    """Return the syntax tree of a source text as text, without docstrings, positions and empty fields.

    Written out by hand because the text of `ast.dump` differs between versions of Python.
    """

    def walk(node: Any) -> str:
        if isinstance(node, list):
            return "[" + ",".join(map(walk, node)) + "]"
        if not isinstance(node, ast.AST):
            return repr(node)
        fields = ((name, getattr(node, name, None)) for name in node._fields)
        inner = (f"{name}={walk(value)}" for name, value in fields if value not in (None, []) and name != "kind")
        return f"{type(node).__name__}({','.join(inner)})"

    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            text = first.value if isinstance(first, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                node.body = node.body[1:]
    return walk(tree)
