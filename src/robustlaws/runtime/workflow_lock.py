"""Records of the Snakemakes in a working folder, and removal of the locks of killed ones.

Snakemake locks a folder with files that survive a SIGKILL or a power cut and do not name their owner. Any Snakemake
that ends there removes them all. So every Snakemake of this workflow writes a record as it starts (:func:`register`)
and removes it as it ends, unless it is killed. `make study` and `make unlock` remove stale locks. The lock of a
Snakemake that still runs, here or on another machine, stays.

    python -m robustlaws.runtime.workflow_lock
"""

import atexit
import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from robustlaws import errors as faults
from robustlaws.runtime import folder_lock
from robustlaws.storage.atomic import write_json

_RUN_ID = re.compile(r"SLURM run ID: (\S+)")
_SECONDS = 30.0  # for an answer of SLURM
_ROOM = 1 << 20  # bytes: less is no room for Snakemake's own files


def check_writable(folder, *others):
    """Raise OSError if nothing can be written in `folder`, where Snakemake keeps its own files, or in `others`.

    Snakemake itself would end with a traceback. Cheap enough for every process that reads the workflow. Those of the
    others that are not there (yet) count as writable.
    """
    for place in (folder, *others):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            read_only = os.statvfs(place).f_flag & os.ST_RDONLY
            raise _failed(errno.EROFS if read_only else errno.EACCES, place)
    about = os.statvfs(folder)
    if about.f_bavail * about.f_frsize < _ROOM:
        raise _failed(errno.ENOSPC, folder)


def _failed(code, folder):
    return OSError(code, os.strerror(code), str(Path(folder).resolve()))


def register(study, log, folder="."):
    """Write down that this process works on `study` in `folder`, until it ends.

    Parameters
    ----------
    study : str
    log : path
        Of this Snakemake: it names what its SLURM jobs are called.
    folder : path

    Raises
    ------
    ValueError
        If another Snakemake is at work on this study there, or one that is gone has left jobs in SLURM.
    OSError
        If there is no room in the folder.
    """
    record = _drivers(folder) / f"{socket.gethostname()}-{os.getpid()}.json"
    about = folder_lock.signature() | {"study": study, "log": str(log), "started": psutil.Process().create_time()}
    write_json(record, about)  # before looking at others: of two that start together at least one sees the other
    atexit.register(record.unlink, missing_ok=True)
    try:
        for path, other in at_work(folder).items():
            if path != record and other["study"] == study:
                raise ValueError(_busy(folder, path, other))
        _check_jobs(folder)
    except ValueError:
        record.unlink(missing_ok=True)
        raise


def clear(folder):
    """Remove the Snakemake locks of `folder` that no living Snakemake holds; return how many.

    Raises
    ------
    ValueError
        If a Snakemake is at work there, or one that is gone has left jobs in SLURM.
    OSError
        If the folder cannot be written, or is full.
    """
    check_writable(folder)
    locks = sorted(Path(folder, ".snakemake", "locks").glob("*"))
    if locks:
        check_idle(folder)
    living = at_work(folder)
    _check_jobs(folder)
    for lock in locks:
        lock.unlink()
    for record in set(_drivers(folder).glob("*.json")) - set(living):
        record.unlink(missing_ok=True)
    return len(locks)


def check_idle(folder):
    """Raise ValueError if a Snakemake is at work in `folder`."""
    if living := at_work(folder):
        raise ValueError(_busy(folder, *next(iter(living.items()))))
    if pid := holder(folder):
        raise ValueError(f"{folder}: Snakemake (process {pid}) is at work here; wait for it or stop it")


def at_work(folder):
    """Return the records of the Snakemakes at work in `folder`, by the path of each record."""
    running = {}
    for path in sorted(_drivers(folder).glob("*.json")):
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # ended meanwhile
            continue
        if _alive(about):
            running[path] = about
    return running


def holder(folder):
    """Return the process id of a Snakemake that works in `folder` on this machine, or None."""
    folder = os.path.realpath(folder)
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["pid", "cmdline"]):
        named = any("snakemake" in Path(word).name for word in (process.info["cmdline"] or [])[:3])
        try:
            if named and process.pid not in mine and os.path.realpath(process.cwd()) == folder:
                return process.pid
        except psutil.Error:  # ended meanwhile, or another user's
            continue
    return None


def left_jobs(folder):
    """Return the numbers of SLURM jobs that dead Snakemakes left for `folder`, by name."""
    if not shutil.which("squeue"):
        return {}
    command = ["squeue", "--me", "--noheader", "--format=%i|%j|%Z|%k"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no cluster behind it, or none that answers
        return {}
    theirs = {name for about in at_work(folder).values() for name in _run_ids(about["log"])}
    counts = {}
    for line in output.splitlines():
        _, name, where, comment = line.split("|", 3)
        if comment.startswith("rule_") and os.path.realpath(where) == os.path.realpath(folder) and name not in theirs:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _check_jobs(folder):
    if left := left_jobs(folder):
        cancel = "; ".join(f"scancel --name {name}" for name in left)
        raise ValueError(
            f"{Path(folder).resolve()}: SLURM jobs of a Snakemake that is gone still run or wait"
            f" ({sum(left.values())}); let them end, or cancel them: {cancel}"
        )


def _drivers(folder):
    return Path(folder, ".snakemake", "robustlaws")


def _busy(folder, record, about):
    where = f"{Path(folder).resolve()}: Snakemake is at work here on the study {about['study']}"
    gone = "" if about["boot"] == folder_lock.boot() else f"; if it is gone, delete {record} and run again"
    return f"{where} ({folder_lock.whose(about)}); wait for it or stop it{gone}"


def _alive(about):
    """Return whether the Snakemake that wrote `about` runs; of one on another machine only SLURM can say that not."""
    if about["boot"] == folder_lock.boot():
        try:
            return abs(psutil.Process(about["process"]).create_time() - about["started"]) < 1
        except psutil.NoSuchProcess:
            return False
    if about["job"] and shutil.which("squeue"):
        command = ["squeue", "--noheader", "--format=%i", f"--jobs={about['job']}"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.SubprocessError):  # no answer is no reason to take its lock away
            return True
        return bool(result.stdout.strip()) or (result.returncode != 0 and "Invalid job id" not in result.stderr)
    # restarted since; one that began after this machine did is another machine of the same name
    return about["host"] != socket.gethostname() or about["started"] >= psutil.boot_time()


def _run_ids(log):
    try:
        return _RUN_ID.findall(Path(log).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []


if __name__ == "__main__":
    try:
        if clear("."):
            print("removed a stale lock left by a killed Snakemake")
    except (ValueError, OSError) as error:
        sys.exit(faults.line(error))
