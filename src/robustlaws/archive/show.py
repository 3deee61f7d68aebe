"""The command `robustlaws show`: a file's provenance, and the commands that make it again."""

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from textwrap import fill, indent

import yaml

from robustlaws.formatting.numbers import duration
from robustlaws.runtime import shell_commands
from robustlaws.storage import embedded, provenance

_NAMED = 20  # inputs that get a line each
_WIDTH = 110
_REMADE = "remake.yaml"  # a name that no study is likely to have


def command(parser):
    """Give `parser` the arguments of `robustlaws show`; return what carries it out."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="HDF5, Parquet, safetensors or JSON of a study")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--config", action="store_true", help="print the config of its study, to make it again with")
    only.add_argument("--settings", action="store_true", help="print what its job was told, as YAML")
    only.add_argument("--json", action="store_true", help="print all that the file carries")
    return _run


def _run(arguments):
    if len(arguments.files) > 1 and (arguments.config or arguments.settings):
        what = "--config" if arguments.config else "--settings"
        raise ValueError(f"{what} is of one file; {len(arguments.files)} were given")
    return max(_show(Path(path), arguments) for path in arguments.files)


def _show(path, arguments):
    """Print what is asked for of one file, or one line of why not; return the exit status."""
    try:
        stamp, why = _read(path)
        message = _wanted(path, stamp, arguments) if stamp else f"robustlaws show: {path}: {why}"
    except (ValueError, OSError) as error:
        message = error if isinstance(error, ValueError) else f"{path}: {error.strerror or error}"
        print(f"robustlaws show: {message}", file=sys.stderr)
        return 2
    print(message, file=sys.stdout if stamp else sys.stderr)
    return 0 if stamp else 1


def _read(path):
    """Return (provenance of a file or None, why it has none); ValueError if it cannot be read."""
    if embedded.kind(path) or path.suffix in embedded.SUFFIXES:
        why = "carries no provenance: written outside a job of the workflow, or before files carried any"
        return provenance.read(path), why
    beside = next((other for suffix in embedded.SUFFIXES if (other := path.with_suffix(suffix)).is_file()), None)
    why = "no HDF5, Parquet, safetensors or JSON, which are what carries provenance"
    return None, f"{why}; that of {beside}, beside it, tells" if beside and provenance.read(beside) else why


def _wanted(path, stamp, arguments):
    try:
        if arguments.config or arguments.settings:
            return _yaml(stamp["config" if arguments.config else "settings"])
        return json.dumps(stamp, indent=2) if arguments.json else page(path, stamp)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: its provenance is not whole ({type(error).__name__}: {error})") from None


def page(path, stamp):
    """Return the description of the file at `path` with the provenance `stamp`.

    Raises
    ------
    ValueError
        If the file is damaged. KeyError, TypeError, AttributeError if the provenance is not one of
        :func:`provenance.current`.
    """
    begun, ended = datetime.fromisoformat(stamp["start"]), datetime.fromisoformat(stamp["end"])
    rows = {
        "study": stamp["study"],
        "rule": " ".join([stamp["rule"], *(f"{name}={value}" for name, value in stamp["wildcards"].items())]),
        "output": stamp["output"] or "none that the workflow declares",
        "revision": stamp["revision"] or "none",
        "commit": stamp["commit"] or "not known",
        "begun": _time(begun),
        "written": f"{_time(ended)}, after {duration((ended - begun).total_seconds())}",
        "went on with": ", ".join(f"work begun {_time(datetime.fromisoformat(at))}" for at in stamp["earlier_starts"]),
        "machine": _machine(**stamp["hardware"]),
        "threads": str(stamp["threads"]),
        "scheduler": "{name}, job {job}".format(**stamp["scheduler"]) if stamp["scheduler"] else "none",
        "versions": ", ".join(f"{name} {version}" for name, version in stamp["versions"].items()),
        "seeds": ", ".join(f"{name} = {seed}" for name, seed in stamp["seeds"].items()) or "none",
        "content": f"SHA-256 {provenance.content_digest(path)} (without this)",
    }
    inputs, kept = stamp["inputs"], stamp["inputs"][:_NAMED]
    more = [f"... and {len(inputs) - len(kept):,} more; --json has them all"] if len(inputs) > len(kept) else []
    lines = [str(path), *(_row(name, value) for name, value in rows.items() if value)]
    for title, text in (
        ("settings:", _yaml(stamp["settings"]) if stamp["settings"] else "none"),
        (f"inputs, {len(inputs):,}:", "\n".join([*kept, *more]) or "none"),
        ("to make it again, in the folder of the workflow:", commands(path, stamp)),
    ):
        lines += [f"  {title}", indent(text, "    ")]
    return "\n".join(lines)


def _row(name, value):
    return fill(value, _WIDTH, initial_indent=f"  {name + ':':<14}", subsequent_indent=" " * 16, break_long_words=False)


def _time(moment):
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _machine(processor, cores, memory_gb, gpus):
    return f"{processor}, {cores} cores, {memory_gb} GB, {' + '.join(gpus) or 'no GPU'}"


def commands(path, stamp):
    """Return the commands that make the file at `path` again, ready to paste in the folder of the workflow.

    They are one chain, so that none runs after one that failed.
    """
    commit, _, changes = (stamp["commit"] or "").partition("+")
    notes = []
    if changes or not commit:
        notes = ["# the code had changes that are in no commit" if changes else "# its commit is not known"]
    whole, declared = Path(path).absolute(), stamp["output"]
    file = declared if declared and Path(declared).absolute() == whole else str(whole)
    chain = [f"{shell_commands.call('robustlaws')} show {shlex.quote(file)} --config > {_REMADE}"]
    if commit:
        chain.append(f"git checkout {commit}")
    where = "--profile slurm" if (stamp["scheduler"] or {}).get("name") == "slurm" else f"--cores {stamp['threads']}"
    target = shlex.quote(declared or stamp["rule"])
    # the targets first: --configfile would take them for more configs
    chain.append(f"{shell_commands.call('snakemake')} {where} --force {target} --configfile {_REMADE}")
    return "\n".join([*notes, " && \\\n".join(chain)])


def _yaml(value):
    # innermost lists and dicts on one line, as people write them
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=_WIDTH)
    return text.removesuffix("\n")
