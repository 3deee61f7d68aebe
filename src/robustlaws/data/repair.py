"""Make a damaged shard again without retraining the runs that read it.

Snakemake compares large files by time alone and reruns every job that follows a rerun job. One bad byte in one shard
would retrain all runs that have read it. So a shard is remade by itself, and keeps its old time if its images are the
same.

    robustlaws remake SHARD... [options of snakemake]
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from robustlaws.data import shards, verify
from robustlaws.runtime import shell_commands, workflow_lock
from robustlaws.storage import provenance
from robustlaws.storage.atomic import write_json


def note(path: Path | str, sources: Iterable[Path | str]) -> None:
    """Note beside the shard at `path` what its images are and since when; the note stays when the shard is deleted.

    Parameters
    ----------
    path : path
    sources : list of path
        What the shard was made from: if one of them is younger than the note, the shard is as new as they are.
    """
    checksum = shards.attributes(path)["checksum"]
    youngest = max((os.stat(source).st_mtime_ns for source in sources), default=0)
    before = _noted(path)
    if before.get("checksum") != checksum or before["time_ns"] <= youngest:
        write_json(_note_path(path), {"checksum": checksum, "time_ns": Path(path).stat().st_mtime_ns}, stamped=False)


def remake(paths: Sequence[Path | str], options: list[str]) -> int:
    """Let Snakemake make the damaged or lost ones among the shards at `paths` again; damaged ones stay if it fails.

    Parameters
    ----------
    paths : list of path
        As the workflow names them, seen from its folder.
    options : list of str
        For Snakemake; without a --configfile among them each shard is made with the config that it carries, or that
        its neighbours carry.

    Returns
    -------
    int
        Snakemake's exit status.

    Raises
    ------
    ValueError
        If a path is that of no shard or cannot be read now, a Snakemake is at work here, or a config is not known.
    """
    workflow_lock.check_idle(".")
    damaged = [path for path in map(Path, paths) if _is_to_make(path)]
    if any(option.startswith("--configf") for option in options):
        studies = [(None, damaged)] if damaged else []
    else:
        studies = _by_study(damaged)
    status = 0
    for config, group in studies:
        with _written(config) as extra:
            status = max(status, _make(group, [*(options or ["--cores", "all"]), *extra]))
    return status


def _is_to_make(path):
    """Return whether a shard is damaged or lost."""
    _put_back(path)  # a `remake` was killed
    if path.suffix != ".h5" or not (path.exists() or _noted(path)):
        raise ValueError(f"{path}: no shard that was here; give its path as the workflow names it")
    if not path.exists():
        return True
    checked = verify.check(path)
    if checked.failed:
        raise ValueError(f"{checked.findings[0]}, which need not be damage: nothing was done; try again once it can be")
    if not checked.findings:
        print(f"{path}: not damaged, stays as it is")
    return bool(checked.findings)


def _by_study(paths):
    """Return (config, its shards) for each study that has shards among `paths`."""
    configs, groups = {}, {}
    for path in paths:
        stamp = _stamp(path)
        groups.setdefault(stamp["study"], []).append(path)
        # a study that has grown: the last config has all of it
        configs[stamp["study"]] = max(configs.get(stamp["study"], stamp), stamp, key=lambda stamps: stamps["end"])
    return [(configs[study]["config"], group) for study, group in groups.items()]


def _stamp(path):
    """Return the provenance of a shard, or of another of its dataset if it has none that can be read."""
    for path_beside in [path, *sorted(path.parent.glob("shard-*.h5"))]:
        with suppress(ValueError, OSError):
            if stamp := provenance.read(path_beside):
                return stamp
    raise ValueError(f"{path}: does not say its config; give snakemake's options: --cores all --configfile CONFIG")


@contextmanager
def _written(config):
    """Yield the options that give `config` to Snakemake, none for None."""
    if config is None:
        yield []
        return
    place = Path(".snakemake")  # jobs on other machines read it too
    place.mkdir(exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=place, prefix="remake-", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        yield ["--configfile", file.name]


def _make(paths, options):
    """Make shards again, from nothing; return Snakemake's exit status."""
    try:
        for path in paths:
            if path.exists():
                _remember(path)
                path.rename(_aside(path))
        command = [sys.executable, "-m", "snakemake", *map(str, paths), *options]
        status = subprocess.run(command, check=False).returncode
    finally:
        made = [path for path in paths if path.exists()]
        for path in paths:
            _put_back(path)
    for path in made:
        _give_back_time(path)
    if made:
        print(
            "The table of all files and the RO-Crate take it in with the study's next"
            f" {shell_commands.call('snakemake')} --cores all --forcerun collect_provenance"
        )
    return status


def _aside(path):
    return path.with_name(f".{path.name}.damaged")


def _put_back(path):
    """Give a shard that was put aside its name again, or delete it if a new one has that."""
    if path.exists():
        _aside(path).unlink(missing_ok=True)
    elif _aside(path).exists():
        _aside(path).rename(path)


def _give_back_time(path):
    """Give a shard that was made again the time that it had if its images are the same, and say so."""
    noted = _noted(path)
    if noted.get("checksum") == shards.attributes(path)["checksum"] and noted["time_ns"] <= path.stat().st_mtime_ns:
        os.utime(path, ns=(noted["time_ns"], noted["time_ns"]))
        print(f"{path}: the same images as before; what was made from them stays")
    else:
        print(f"{path}: other images than before, or unknown ones; what was made from them will be made again")


def command(parser: argparse.ArgumentParser) -> Callable[..., int]:
    """Add the arguments of `robustlaws remake` to `parser`; return the function that carries it out."""
    parser.add_argument("paths", nargs="+", metavar="SHARD", help="a damaged shard, or one that was deleted")
    of_snakemake = "of snakemake; without any, --cores all; without --configfile, the config that the shard carries"
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="OPTION", help=of_snakemake)
    return lambda arguments: remake(arguments.paths, arguments.options)


def _remember(path):
    """Note what a damaged shard says of itself, if it can be read and nothing was noted when it was made."""
    if not _noted(path):
        try:
            checksum = shards.attributes(path)["checksum"]
        except (ValueError, KeyError):
            return
        write_json(_note_path(path), {"checksum": checksum, "time_ns": path.stat().st_mtime_ns}, stamped=False)


def _note_path(path):
    return Path(path).with_name(f".{Path(path).name}.json")


def _noted(path):
    try:
        return json.loads(_note_path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
