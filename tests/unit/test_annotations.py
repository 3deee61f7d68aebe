"""Public functions of the chapters that other programs call have annotations, which mypy checks."""

import ast

import pytest

from tests.support.jobs import ROOT

CHAPTERS = ("settings", "study", "laws", "data", "storage", "attacks", "training")


def unannotated(source):
    """Return the names of the public functions and methods in `source` that lack an annotation."""
    names = []

    def look(body, prefix=""):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                look(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
                if bare or node.returns is None:
                    names.append(prefix + node.name)

    look(ast.parse(source).body)
    return names


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_public_functions_are_annotated(chapter):
    files = sorted((ROOT / "src/robustlaws" / chapter).rglob("*.py"))
    assert files
    results = [f"{path.name}: {name}" for path in files for name in unannotated(path.read_text(encoding="utf-8"))]
    assert results == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x: int) -> int: ...", []),
        ("def f(x) -> int: ...", ["f"]),
        ("def f(x: int): ...", ["f"]),
        ("class A:\n    def m(self, *, y): ...", ["A.m"]),
        ("def _f(x): ...", []),
    ],
)
def test_unannotated_sees_each_gap(source, names):
    assert unannotated(source) == names
