"""Clear the lock that a killed Snakemake left behind, and only that.

Snakemake locks a working folder with files that outlive a SIGKILL or a power cut. `make study` must
simply go on then; a lock whose Snakemake still runs must stay.

    python -m robustlaws.locks
"""

import os
import sys
from pathlib import Path

import psutil


def holder(folder):
    """Return the process id of a Snakemake that works in `folder` on this machine, or None."""
    folder = os.path.realpath(folder)
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["pid", "cmdline"]):
        named = any("snakemake" in Path(word).name for word in (process.info["cmdline"] or [])[:3])
        try:
            if named and process.pid not in mine and os.path.realpath(process.cwd()) == folder:
                return process.pid
        except psutil.Error:  # ended meanwhile, or somebody else's
            continue
    return None


def clear(folder):
    """Remove the Snakemake locks of `folder` that no living process holds; return how many.

    Raises
    ------
    ValueError
        If a Snakemake is at work there.
    """
    locks = sorted(Path(folder, ".snakemake", "locks").glob("*"))
    if locks and (pid := holder(folder)):
        raise ValueError(f"{folder}: Snakemake (process {pid}) is at work here; wait for it or stop it")
    for lock in locks:
        lock.unlink()
    return len(locks)


if __name__ == "__main__":
    try:
        if clear("."):
            print("went over the lock of a Snakemake that was killed")
    except ValueError as error:
        sys.exit(str(error))
