"""What the code of each rule imports, read from the code: in functions too, and through tables of names."""

import ast
import re
import sys
from functools import lru_cache
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
# What conda calls a package that PyPI knows by another name.
CONDA_NAMES = {"matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal", "torch": "pytorch"}
_PLACE = re.compile(r"(robustlaws(?:\.\w+)+):\w+")
_IMPORT = re.compile(r"^[ \t]*((?:from|import) [^(\n]+(?:\([^)]*\))?)", re.MULTILINE)
_RULE = re.compile(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def conda_name(distribution):
    """Return the name of a package of PyPI at conda."""
    name = canonicalize_name(distribution)
    return CONDA_NAMES.get(name, name)


@lru_cache
def environment(name):
    """Return what an environment file asks for, pip's section too, as {name at conda: version}."""
    return parsed(yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text()))


def parsed(file):
    """Return {name: version, or "" where none is given} of a parsed environment file."""
    listed = [line for line in file["dependencies"] if isinstance(line, str)] + pip_section(file)
    return dict(re.match(r"([\w-]+) *=*([\w.]*)$", line).groups() for line in listed)


def pip_section(file):
    """Return the lines that pip installs of a parsed environment file."""
    return [line for part in file["dependencies"] if isinstance(part, dict) for line in part["pip"]]


def rules():
    """Return {rule: (name of its environment file or None, its script or None)}."""
    match = {}
    for path in sorted(ROOT.glob("workflow/rules/*.smk")):
        for name, body in _RULE.findall(path.read_text()):
            settings, script = re.search(r"envs/(\w+)\.yaml", body), re.search(r"scripts/(\w+\.py)", body)
            match[name] = (settings and settings[1], script and ROOT / "workflow/scripts" / script[1])
    return match


def snakefiles():
    """Return the files that every Snakemake process of the workflow reads."""
    return [ROOT / "Snakefile", *sorted(ROOT.glob("workflow/rules/*.smk"))]


def needed(path):
    """Return what the file at `path` needs of conda's packages, as {name at conda: modules that import it}."""
    result, seen, queue = {}, set(), [path]
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _imported(path):
            top = name.partition(".")[0]
            if top == "robustlaws":
                parts = name.split(".")
                queue += filter(Path.is_file, (_file(parts[:end]) for end in range(1, len(parts) + 1)))
            elif top not in sys.stdlib_module_names:
                result.setdefault(conda_name(_distributions()[top][0]), set()).add(_name(path))
    return result


@lru_cache
def _distributions():
    return metadata.packages_distributions()


@lru_cache
def _imported(path):
    text = path.read_text()
    if path.suffix != ".py":  # a Snakefile is no Python, but its imports are
        return [name for line in _IMPORT.findall(text) for name in _statement(ast.parse(line).body[0])]
    tree = ast.parse(text)
    results = [name for node in ast.walk(tree) for name in _statement(node)]
    if path.name != "__init__.py":  # a package's tables count where they are loaded
        results += [name for node in ast.walk(tree) for name in _named(node)]
    return results + _of_tables(path, tree)


def _statement(node):
    """Return the modules that an import statement may import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _named(node):
    """Return the modules that words stand for: "module:function", what `import_module` is given, what follows -m."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and (match := _PLACE.fullmatch(node.value)):
        return [match[1]]
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "import_module":
        return [word.value for word in node.args if isinstance(word, ast.Constant)]
    if isinstance(node, ast.List):
        words = [getattr(word, "value", None) for word in node.elts]
        return [word for before, word in pairwise(words) if before == "-m"]
    return []


def _of_tables(path, tree):
    """Return the modules in the tables of names that the file loads from."""
    places = {alias.asname or alias.name: (_file(node.module.split(".")), alias.name)
              for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}  # fmt: skip
    results = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "registry.load":
            place, name = places.get(node.args[1].id, (path, node.args[1].id))
            table = ast.parse(place.read_text())
            lines = [line for line in table.body if isinstance(line, ast.Assign) and line.targets[0].id == name]
            # a table that is derived from another has no targets of its own
            results += [target for line in lines for target in _targets(line)] or _targets(table)
    return results


def _targets(node):
    """Return the modules of all "module:attribute" texts in a syntax tree."""
    texts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return [match[1] for text in texts if (match := _PLACE.fullmatch(text))]


def _file(parts):
    stem = SOURCE.joinpath(*parts)
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


def _name(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts) if path.is_relative_to(SOURCE) else path.name
