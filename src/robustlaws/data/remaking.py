"""Make a damaged shard again, and leave alone what was made from it while it was whole.

Snakemake compares large files by their time alone, and makes everything again that follows a job which it runs: one bad
byte in one shard would train all runs again that have read it. So a shard is made again by itself, and gets back the
time that it had if its images are the same.

    robustlaws remake SHARD... [options of snakemake]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from robustlaws.data import shards, verifying
from robustlaws.files import write_json


def note(path, sources):
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


def remake(paths, options):
    """Delete the damaged ones among the shards at `paths` and let Snakemake make them again.

    Parameters
    ----------
    paths : list of path
        As the workflow names them, seen from its folder.
    options : list of str
        For Snakemake.

    Returns
    -------
    int
        Snakemake's exit status.

    Raises
    ------
    ValueError
        If a path is that of no shard.
    """
    damaged = []
    for path in map(Path, paths):
        if path.suffix != ".h5" or not (path.exists() or _noted(path)):
            raise ValueError(f"{path}: no shard that was here; give its path as the workflow names it")
        if path.exists() and not verifying.check(path).findings:
            print(f"{path}: not damaged, stays as it is")
            continue
        damaged.append(path)
        if path.exists():
            _remember(path)
            path.unlink()
    if not damaged:
        return 0
    command = [sys.executable, "-m", "snakemake", *map(str, damaged), *(options or ["--cores", "all"])]
    if status := subprocess.run(command, check=False).returncode:
        return status
    for path in damaged:
        told = _noted(path)
        if told.get("checksum") == shards.attributes(path)["checksum"] and told["time_ns"] <= path.stat().st_mtime_ns:
            os.utime(path, ns=(told["time_ns"], told["time_ns"]))
            print(f"{path}: the same images as before; what was made from them stays")
        else:
            print(f"{path}: other images than before, or unknown ones; what was made from them will be made again")
    return 0


def command(parser):
    """Add the arguments of `robustlaws remake` to `parser`; return the function that carries it out."""
    parser.add_argument("paths", nargs="+", metavar="SHARD", help="a damaged shard, or one that was deleted")
    parser.add_argument(
        "options", nargs=argparse.REMAINDER, metavar="OPTION", help="of snakemake; without any, --cores all"
    )
    return lambda told: remake(told.paths, told.options)


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
