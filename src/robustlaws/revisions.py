"""The ledger of revisions: which code change makes which output stale.

Snakemake compares params, not imported modules. So every computing rule passes ``revision=revision("train")``, a string
such as "train-r3" from ``revisions.toml``. Beside each revision the ledger keeps a fingerprint of the modules behind
it, without comments, docstrings and layout. It covers the pinned versions of imported packages, as another torch may
round otherwise. A test compares the fingerprints with the code; where they differ, somebody decides:

    python -m robustlaws.revisions bump train     outputs change: a new revision, Snakemake reruns
    python -m robustlaws.revisions accept train   outputs cannot change: the fingerprint only
    python -m robustlaws.revisions                what differs

The entries are those that the rules pass: ``revision("train")`` is one, ``revision(f"law.{...}")`` is one for each line
of the registry that the rule's script loads from. The modules behind an entry are those that the script of its rule
imports, directly or not. Those that they load by name from a registry count too (:mod:`robustlaws.code_dependencies`).
Everything but :func:`revision` needs a checkout. Imports no torch.
"""

import hashlib
import re
import sys
import tomllib
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from robustlaws import code_dependencies
from robustlaws.storage.atomic import write_text

_PACKAGE = Path(__file__).parent
_LEDGER = _PACKAGE / "revisions.toml"
_CHECKOUT = _PACKAGE.parents[1]

# Packages that are not called what they are imported as.
_DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}

# Settings are aside (code_dependencies.ASIDE), as they reach a job through its params. A training also counts its
# steps by this module, which its settings call.
_ALSO = {"train": ("robustlaws.settings.accounting",)}

_RULE = re.compile(r"^rule \w+:$(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_REVISION = re.compile(r'\brevision\(f?"([\w.]+?)(\.\{|")')
_SCRIPT = re.compile(r'"\.\./scripts/(\w+\.py)"')


@lru_cache
def ledger() -> dict[str, dict[str, Any]]:
    """Return the ledger: entry -> {"revision": int, "fingerprint": str}."""
    return tomllib.loads(_LEDGER.read_text(encoding="utf-8"))


def revision(entry: str) -> str:
    """Return the revision of an entry, for example "train-r3".

    Raises
    ------
    ValueError
        If the ledger has no such entry.
    """
    if entry not in ledger():
        raise ValueError(f"{_LEDGER.name}: no entry {entry!r}; python -m robustlaws.revisions bump {entry}")
    return f"{entry}-r{ledger()[entry]['revision']}"


@lru_cache
def _rules() -> tuple[dict[str, set[Path]], dict[str, code_dependencies.Table]]:
    """Return {entry: scripts of the rules that pass it}, and {prefix: the registry whose lines have an entry each}."""
    scripts: dict[str, set[Path]] = {}
    tables: dict[str, code_dependencies.Table] = {}
    for path in sorted((_CHECKOUT / "workflow" / "rules").glob("*.smk")):
        for rule in _RULE.findall(path.read_text(encoding="utf-8")):
            for name, end in _REVISION.findall(rule):
                script = _CHECKOUT / "workflow" / "scripts" / _SCRIPT.findall(rule)[0]
                names = [name]
                if end != '"':  # one for each line of a registry
                    tables[name] = code_dependencies.table_of(script)
                    names = [f"{name}.{line}" for line in tables[name].lines]
                for entry in names:
                    scripts.setdefault(entry, set()).add(script)
    return scripts, tables


def entries() -> list[str]:
    """Return the names of the entries, in the order of the rule files."""
    return list(_rules()[0])


def _behind(entry: str, known: Collection[str] | None = None) -> code_dependencies.Behind:
    """Return the code behind an entry, with those lines of other registries that have a revision in `known`.

    A line without a revision has no output yet, so it cannot have changed that of another entry.
    """
    scripts, tables = _rules()
    known = ledger() if known is None else known
    lines = {}
    for prefix, table in tables.items():
        own = entry.removeprefix(f"{prefix}.") if entry.startswith(f"{prefix}.") else None
        chosen = [line for line in table.lines if (f"{prefix}.{line}" in known if own is None else line == own)]
        lines[table.package, frozenset(table.lines)] = chosen
    return code_dependencies.behind(sorted(scripts[entry]), _ALSO.get(entry, ()), lines)


def modules(entry: str) -> list[str]:
    """Return the names of the modules behind `entry`."""
    return sorted(_behind(entry).modules)


def packages(entry: str) -> list[str]:
    """Return the names of the pinned packages that the modules behind `entry` import."""
    return _pinned(_behind(entry).packages)


def _pinned(imported: Iterable[str]) -> list[str]:
    return sorted({_DISTRIBUTIONS.get(name, name.lower().replace("_", "-")) for name in imported} & set(_pins()))


@lru_cache
def _pins() -> dict[str, str]:
    """Return the pinned version of each package that the project depends on."""
    project = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(requirement.split("==") for requirement in project["dependencies"])


def fingerprint(entry: str, known: Collection[str] | None = None) -> str:
    """Return the SHA-256 (hex) of what the modules behind `entry` do, whatever their layout, with which packages.

    Parameters
    ----------
    entry : str
    known : collection of str, optional
        Entries that have a revision; those of the ledger if left out.
    """
    behind, digest = _behind(entry, known), hashlib.sha256()
    for name in sorted(behind.modules):
        digest.update(name.encode())
        digest.update(code_dependencies.meaning(code_dependencies.source(name)).encode())
    for path in sorted(behind.files):
        digest.update(path.read_bytes())
    for name, value in sorted(behind.values.items()):
        digest.update(f"{name}={value}".encode())
    for package in _pinned(behind.packages):
        digest.update(f"{package}=={_pins()[package]}".encode())
    return digest.hexdigest()


def changed() -> list[str]:
    """Return the entries whose code differs from the ledger."""
    known = ledger()
    return [entry for entry in entries() if known.get(entry, {}).get("fingerprint") != fingerprint(entry)]


def record(names: Collection[str], bump: bool) -> None:
    """Write the fingerprints of the entries `names` to the ledger, with new revisions if `bump`.

    The first revision of a registry line does not make the other entries of the registry stale: their fingerprints take
    in the line, unless they differed before.
    """
    known, differing = ledger(), changed()
    there = {*known, *names}
    text = "# Kept by `python -m robustlaws.revisions`; see revisions.py.\n"
    for entry in (entry for entry in entries() if entry in there):
        own = known.get(entry, {"revision": 0, "fingerprint": ""})
        number, kept = own["revision"], own["fingerprint"]
        if entry in names or entry not in differing:
            kept = fingerprint(entry, there)
        if entry in names:
            number += bump or not number
        text += f'\n["{entry}"]\nrevision = {number}\nfingerprint = "{kept}"\n'
    write_text(_LEDGER, text)
    ledger.cache_clear()


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    if not arguments:
        differing = changed()
        print(
            "\n".join(f"{entry}: the code, or a pinned package, is not what the ledger knows" for entry in differing)
            or "nothing differs"
        )
        return 1 if differing else 0
    command, *names = arguments
    unknown = sorted(set(names) - set(entries()))
    if command not in ("bump", "accept") or not names or unknown:
        print(
            f"usage: python -m robustlaws.revisions [bump|accept ENTRY ...]; entries: {', '.join(entries())}",
            file=sys.stderr,
        )
        return 2
    record(names, bump=command == "bump")
    print("\n".join(revision(entry) for entry in names))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
