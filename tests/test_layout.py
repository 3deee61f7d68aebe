"""The layout of the tests: they mirror the chapters, and share helpers in tests/support/ alone."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CHAPTERS = TESTS.parent / "src/robustlaws"
FILES = sorted(path for path in TESTS.rglob("*.py"))
PROGRAM_IMPORT = re.compile(r"^\s*(?:from|import) (tests\.[\w.]+)(?: import ([\w, ]+))?|; ?from (tests\.[\w.]+)", re.M)


def imported_modules(path):
    """Return the dotted names that a file imports, those in its programs for other processes too."""
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for module, members, inline in PROGRAM_IMPORT.findall(node.value):
                names |= {module or inline} | {f"{module}.{name.strip()}" for name in members.split(",") if name}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_layout_imports_no_test_module(path):
    modules = [name for name in imported_modules(path) if name.startswith("tests.")]
    assert [name for name in modules if re.search(r"\.(test_\w+|conftest)(\.|$)", name)] == []


def test_layout_unit_folders_are_chapters():
    folders = {path.name for path in (TESTS / "unit").iterdir() if path.is_dir() and path.name != "__pycache__"}
    chapters = {path.name.removesuffix(".py") for path in CHAPTERS.iterdir()}
    assert folders <= chapters


def test_layout_test_names_have_at_most_60_characters():
    names = [name for path in FILES for name in re.findall(r"def (test_\w+)", path.read_text()) if len(name) > 60]
    assert names == []


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "workflow"])
def test_layout_names_are_nouns(folder):
    banned, uses = {"told", "found", "one", "said", "held", "brought"}, []
    for path in sorted((TESTS.parent / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = {getattr(node, field, None) for field in ("id", "arg", "attr", "name", "asname")}
            uses += [f"{path.name}:{node.lineno}: {name}" for name in banned & names]
    assert uses == []
