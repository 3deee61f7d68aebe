"""Chapters import downwards only: function-level imports and registry strings included."""

import ast
import re

import pytest

from tests.support.jobs import ROOT

LIBRARY = ROOT / "src" / "robustlaws"

# From the bottom up: a chapter may import those of the floors below its own, and none of its own floor.
# `cli` and `revisions` name modules of any chapter in their tables, so nothing may import them but the workflow.
FLOORS = (
    ("formatting", "intervals", "registry", "seeds", "settings", "stages"),
    ("errors",),
    ("storage",),
    ("runtime",),
    ("data", "laws", "networks"),
    ("attacks", "generators", "quality"),
    ("archive", "collect", "figures", "humans", "training"),
    ("report", "study"),
    ("fit_table", "job_resources"),
    ("planning",),
    ("cli", "code_dependencies"),
    ("revisions",),
    ("__main__",),
)
FLOOR = {chapter: number for number, floor in enumerate(FLOORS) for chapter in floor}


def chapters():
    """Return the chapters of the library: its packages and its loose modules."""
    packages = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    return packages | {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}


def chapter_of(path):
    """Return the chapter that a module belongs to."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imported_chapters(source):
    """Yield (line, chapter) of each import of the library in `source`, and of each string that names a module of it."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"line {node.lineno}: relative import; write the whole name")
        if isinstance(node, ast.ImportFrom) and node.module == "robustlaws":
            names = [alias.name for alias in node.names if not alias.name.startswith("__")]
        elif isinstance(node, ast.ImportFrom):
            names = _below(node.module)
        elif isinstance(node, ast.Import):
            names = [name for alias in node.names for name in _below(alias.name)]
        elif isinstance(node, ast.Constant) and re.fullmatch(r"robustlaws(\.\w+)+(:\w+)?", str(node.value)):
            names = _below(node.value.partition(":")[0])
        yield from ((node.lineno, name) for name in names)


def _below(module):
    package, _, rest = module.partition(".")
    return [rest.partition(".")[0]] if package == "robustlaws" and rest else []


def test_every_chapter_has_a_floor():
    assert chapters() == set(FLOOR)


@pytest.mark.parametrize("chapter", sorted(FLOOR))
def test_chapter_imports_only_lower_floors(chapter):
    wrong = []
    for path in sorted(LIBRARY.rglob("*.py")):
        if chapter_of(path) == chapter:
            for line, other in imported_chapters(path.read_text(encoding="utf-8")):
                if other != chapter and FLOOR[other] >= FLOOR[chapter]:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} imports {other}")
    assert not wrong


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from robustlaws import errors, __version__", ["errors"]),
        ("import robustlaws.data.shards as s", ["data"]),
        ("def f():\n    from robustlaws.laws.fit import newton", ["laws"]),
        ('NAMES = {"edm": "robustlaws.generators.edm:Sampler"}', ["generators"]),
        ('"""Text about robustlaws.humans."""', []),
    ],
)
def test_imported_chapters_sees_each_kind_of_import(source, expected):
    assert [name for _, name in imported_chapters(source)] == expected
