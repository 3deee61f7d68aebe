"""Which code change makes which output stale.

Snakemake compares params, not imported modules. So every computing rule passes
``revision=revision("train")``, a string such as "train-r3" from ``revisions.toml``. Beside each
revision the ledger keeps a fingerprint of the modules behind it, with comments, docstrings and
layout removed, and of the pinned versions of the packages that these import: another torch may round
otherwise. A test compares the fingerprints with the code; where they differ, somebody decides:

    python -m robustlaws.revisions bump train     outputs change: a new revision, Snakemake reruns
    python -m robustlaws.revisions accept train   outputs cannot change: the fingerprint only
    python -m robustlaws.revisions                what differs

The modules behind an entry are those that its roots import, directly or not. Imports no torch.
"""

import ast
import hashlib
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

from robustlaws.storage.atomic import write_text

_PACKAGE = Path(__file__).parent
_LEDGER = _PACKAGE / "revisions.toml"
_PROJECT = _PACKAGE.parents[1] / "pyproject.toml"  # of the checkout, where the ledger is kept

# Packages that are not called what they are imported as.
_DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}

# Modules that decide no byte of an output: what they say reaches a job through its params, or only its log.
_ASIDE = {
    "robustlaws",
    "robustlaws.runtime.job_log",
    "robustlaws.runtime.progress",
    "robustlaws.runtime.job_facts",
    "robustlaws.registry",
    "robustlaws.settings",
    "robustlaws.storage.atomic",
    "robustlaws.storage.provenance",
    "robustlaws.storage.embedded",
    "robustlaws.errors",
    "robustlaws.runtime.folder_lock",
    "robustlaws.runtime.slurm",
}

# What a module loads by name, from a table that its imports do not show.
_FORMS = ("robustlaws.laws.additive", "robustlaws.laws.two_stage", "robustlaws.laws.bottleneck")
_LOADED = {"robustlaws.laws.forecasts": _FORMS, "robustlaws.figures.drawing.fitted_laws": _FORMS}

ROOTS = {
    "data.digits": ("robustlaws.data.sources",),
    "data.hub_parquet": ("robustlaws.data.sources",),
    "data.cifar10": ("robustlaws.data.sources", "robustlaws.data.cifar10"),
    "data.folder": ("robustlaws.data.sources", "robustlaws.data.folders"),
    "data.npz": ("robustlaws.data.sources", "robustlaws.data.folders"),
    "stage": ("robustlaws.generators.sampled_files.sampler",),
    "generator.edm": ("robustlaws.generators.training.generator",),
    "generator.pfgmpp": ("robustlaws.generators.training.generator",),
    "generator.import": ("robustlaws.generators.official.convert",),
    "guidance": ("robustlaws.generators.training.guidance",),
    "sampler.edm": ("robustlaws.generators.edm", "robustlaws.generators.sample_shard"),
    "sampler.pfgmpp": ("robustlaws.generators.pfgmpp", "robustlaws.generators.sample_shard"),
    "sampler.dg": ("robustlaws.generators.dg", "robustlaws.generators.sample_shard"),
    "sampler.pipeline": ("robustlaws.generators.diffusers_pipeline", "robustlaws.generators.sample_shard"),
    "sampler.files": ("robustlaws.generators.sampled_files.sampler", "robustlaws.generators.sample_shard"),
    "features": ("robustlaws.quality.fid",),
    "moments": ("robustlaws.quality.moments",),
    "quality": ("robustlaws.quality.fid",),
    "train": ("robustlaws.training.loop", "robustlaws.settings.accounting"),
    "import": ("robustlaws.networks.foreign_checkpoint",),
    "attack.pgd_cw": ("robustlaws.attacks.pgd",),
    "attack.autoattack": ("robustlaws.attacks.autoattack",),
    "gather": ("robustlaws.attacks.merge_chunks",),
    "attack.inner": ("robustlaws.attacks.training_attack",),
    "stimuli": ("robustlaws.humans.stimuli.images",),
    "presentation": ("robustlaws.humans.stimuli.presentation",),
    "simulation": ("robustlaws.humans.answers.simulate",),
    "model": ("robustlaws.humans.vision_models.participant",),
    "answers": ("robustlaws.humans.answers.collect",),
    "judging": ("robustlaws.humans.analysis.judge",),
    "quiz": ("robustlaws.humans.quiz",),
    "export": ("robustlaws.networks.foreign_checkpoint",),
    "collect": ("robustlaws.collect.runs",),
    "collect.attacks": ("robustlaws.collect.attacks",),
    "law.envelope": ("robustlaws.laws.envelope", "robustlaws.laws.fit_jobs"),
    "law.additive": ("robustlaws.laws.additive", "robustlaws.laws.fit_jobs"),
    "law.additive_two_stage": ("robustlaws.laws.two_stage", "robustlaws.laws.fit_jobs"),
    "law.bottleneck": ("robustlaws.laws.bottleneck", "robustlaws.laws.fit_jobs"),
    "law.accuracy": ("robustlaws.laws.accuracy", "robustlaws.laws.fit_jobs"),
    "limits": ("robustlaws.laws.limits",),
    "plan": ("robustlaws.planning.page", "robustlaws.report.page"),
    "explorer": ("robustlaws.report.explorer",),
    "figure.samples": ("robustlaws.figures.samples",),
    "figure.learning_curves": ("robustlaws.figures.learning_curves",),
    "figure.envelope": ("robustlaws.figures.envelope",),
    "figure.predictions": ("robustlaws.figures.predictions",),
    "figure.residuals": ("robustlaws.figures.residuals",),
    "figure.held_out": ("robustlaws.figures.held_out",),
    "figure.additive_fit": ("robustlaws.figures.additive_fit",),
    "figure.bottleneck_fit": ("robustlaws.figures.bottleneck_fit",),
    "figure.allocation": ("robustlaws.figures.allocation",),
    "figure.efficient": ("robustlaws.figures.efficient",),
    "figure.overhead": ("robustlaws.figures.overhead",),
    "figure.accuracy": ("robustlaws.figures.accuracy",),
    "figure.accuracy_from_loss": ("robustlaws.figures.accuracy_from_loss",),
    "figure.hyperparameters": ("robustlaws.figures.hyperparameters",),
    "figure.replacement": ("robustlaws.figures.replacement",),
    "figure.adversarial": ("robustlaws.figures.adversarial",),
    "figure.human_accuracy": ("robustlaws.figures.human_accuracy",),
    "figure.invalid_images": ("robustlaws.figures.invalid_images",),
    "figure.training_attack": ("robustlaws.figures.training_attack",),
    "provenance": ("robustlaws.archive.lineage", "robustlaws.archive.ro_crate"),
    "report": ("robustlaws.report",),
}
# drawn from what a table of finished runs has not
_OF_STUDIES = ("figures.samples", "figures.adversarial", "figures.human_accuracy", "figures.invalid_images",
               "figures.training_attack")  # fmt: skip
# everything that is made of a table of finished runs
ROOTS["published"] = (
    "robustlaws.fit_table.pipeline",
    *sorted({r for e, roots in ROOTS.items() if e.split(".")[0] in ("law", "limits", "figure", "explorer", "report")
             for r in roots if not r.endswith(_OF_STUDIES)}),
)  # fmt: skip


@lru_cache
def ledger():
    """Return the ledger: entry -> {"revision": int, "fingerprint": str}."""
    return tomllib.loads(_LEDGER.read_text(encoding="utf-8"))


def revision(entry):
    """Return the revision of an entry, for example "train-r3".

    Raises
    ------
    ValueError
        If the ledger has no such entry.
    """
    if entry not in ledger():
        raise ValueError(f"{_LEDGER.name}: no entry {entry!r}; add its root to revisions.py and bump it")
    return f"{entry}-r{ledger()[entry]['revision']}"


def fingerprint(entry):
    """Return the SHA-256 (hex) of what the modules behind `entry` do, whatever their layout, with which packages."""
    digest = hashlib.sha256()
    for name in modules(entry):
        digest.update(name.encode())
        digest.update(_meaning(_source(name)).encode())
        for beside in _beside(_path(name)):
            digest.update(beside.read_bytes())
    for package in packages(entry):
        digest.update(f"{package}=={_pins()[package]}".encode())
    return digest.hexdigest()


def packages(entry):
    """Return the names of the pinned packages that the modules behind `entry` import."""
    imported = {target.partition(".")[0] for name in modules(entry) for target in _targets(name)}
    return sorted({_DISTRIBUTIONS.get(name, name.lower().replace("_", "-")) for name in imported} & set(_pins()))


@lru_cache
def _pins():
    """Return the pinned version of each package that the project depends on."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    return dict(requirement.split("==") for requirement in project["dependencies"])


def modules(entry):
    """Return the names of the modules behind `entry`: its roots and all of this package that they import."""
    found, queue = set(), list(ROOTS[entry])
    while queue:
        name = queue.pop()
        if name in found or name in _ASIDE:
            continue
        found.add(name)
        queue.extend(_imports(name))
    return sorted(found)


def changed():
    """Return the entries whose code is not what the ledger knows."""
    known = ledger()
    return [entry for entry in ROOTS if known.get(entry, {}).get("fingerprint") != fingerprint(entry)]


def record(entries, bump):
    """Write the fingerprints of `entries` to the ledger, with new revisions if `bump`."""
    known = dict(ledger())
    for entry in entries:
        old = known.get(entry, {"revision": 0})["revision"]
        known[entry] = {"revision": old + 1 if bump or not old else old, "fingerprint": fingerprint(entry)}
    text = "# Kept by `python -m robustlaws.revisions`; see revisions.py.\n"
    for entry in ROOTS:
        if entry in known:
            item = known[entry]
            text += f'\n["{entry}"]\nrevision = {item["revision"]}\nfingerprint = "{item["fingerprint"]}"\n'
    write_text(_LEDGER, text)
    ledger.cache_clear()


def _beside(path):
    """Return templates, scripts and tables that stand beside a module under its name: page.macros.j2, page_x.csv."""
    named = {*path.parent.glob(f"{path.stem}.*"), *path.parent.glob(f"{path.stem}_*.*")}
    return sorted(found for found in named if found.suffix in (".j2", ".js", ".csv", ".json", ".md", ".txt"))


def _path(name):
    stem = _PACKAGE.parent.joinpath(*name.split("."))
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@lru_cache
def _source(name):
    return _path(name).read_text(encoding="utf-8")


def _imports(name):
    yield from _LOADED.get(name, ())
    # the tables of names in a package's __init__ are no code behind an output
    found = (target for target in _targets(name) if target.startswith("robustlaws."))
    yield from (target for target in found if _path(target).is_file() and not _is_package(target))


def _targets(name):
    """Yield what a module imports, of this package and of others, and what may be an attribute of it."""
    for node in ast.walk(ast.parse(_source(name))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def _is_package(name):
    return _PACKAGE.parent.joinpath(*name.split(".")).is_dir()


def _meaning(source):
    """Return the syntax tree of `source` as text, without docstrings, positions and empty fields.

    Written out by hand because the text of `ast.dump` differs between versions of Python.
    """

    def walk(node):
        if isinstance(node, list):
            return "[" + ",".join(map(walk, node)) + "]"
        if not isinstance(node, ast.AST):
            return repr(node)
        given = ((name, getattr(node, name, None)) for name in node._fields)
        inner = ",".join(f"{name}={walk(value)}" for name, value in given if value not in (None, []) and name != "kind")
        return f"{type(node).__name__}({inner})"

    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and body:
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = body[1:]
    return walk(tree)


def main(arguments):
    """Run the command line; return the exit status."""
    if not arguments:
        differing = changed()
        print(
            "\n".join(f"{entry}: the code, or a pinned package, is not what the ledger knows" for entry in differing)
            or "nothing differs"
        )
        return 1 if differing else 0
    command, *entries = arguments
    unknown = sorted(set(entries) - set(ROOTS))
    if command not in ("bump", "accept") or not entries or unknown:
        print(
            f"usage: python -m robustlaws.revisions [bump|accept ENTRY ...]; entries: {', '.join(ROOTS)}",
            file=sys.stderr,
        )
        return 2
    record(entries, bump=command == "bump")
    print("\n".join(revision(entry) for entry in entries))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
