"""An exclusive lock on a folder, on network file systems too.

The kernel's lock on a file keeps away other processes of this machine, and goes when its process does. Some network
file systems do not pass it on to other machines, and some have none. So the holder is also written to a file that only
one process can create, and touches it regularly. A remote holder that stops touching it is taken for dead.
"""

import json
import os
import socket
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil

from robustlaws.runtime import slurm
from robustlaws.runtime.file_lock import try_lock
from robustlaws.runtime.logger import log
from robustlaws.storage.atomic import named

_BEAT = 10.0  # seconds between two signs of life of a holder
SILENCE = 60.0  # after which one on another machine is gone: attributes of files may be 30 s old on a network


@contextmanager
def locked(folder, seconds=60.0, silence=SILENCE):
    """Keep `folder` for this process: two at work on the same states would undo each other.

    Parameters
    ----------
    folder : path
        Made if need be.
    seconds : float
        How long to wait for a process that has it: one whose job was killed gives it up as soon as it notices.
    silence : float
        Seconds without a sign of life after which a holder on another machine is gone.

    Raises
    ------
    ValueError
        If another process has it for longer.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with open(folder / "lock", "w") as file:
        while (locked := try_lock(file.fileno())) is False:
            _wait(folder, deadline)
        if not (folder / "lock").exists():  # removed by the process that had it until now
            raise ValueError(f"{folder}: another process has just done this work; run again if it is still wanted")
        me, holder = str(uuid.uuid4()), folder / "holder.json"
        while not _made(holder, me):
            if _gone(holder, silence, locked):
                _remove(holder)
            else:
                _wait(folder, deadline)
        done = threading.Event()
        beat = threading.Thread(target=_live, args=(holder, me, done), daemon=True, name="robustlaws sign of life")
        beat.start()
        try:
            yield
        finally:
            done.set()
            beat.join()
            if _holder_text(holder).get("id") == me:
                holder.unlink(missing_ok=True)


def boot():
    """Return a name of this running system: the id that Linux takes at boot, or the name of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def signature():
    """Return the identity of this process (dict of strings and numbers), for others to read."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    about = {"host": socket.gethostname(), "boot": boot(), "process": os.getpid(), "since": now}
    return about | {"job": slurm.job()}


def whose(about):
    """Return a :func:`signature` in words: process, machine, batch job, since when."""
    job = f", SLURM job {about['job']}" if about.get("job") else ""
    return f"process {about.get('process')} on {about.get('host')}{job}, since {about.get('since')}"


def _wait(folder, deadline):
    if time.monotonic() > deadline:
        by = whose(_holder_text(folder / "holder.json"))
        raise ValueError(f"{folder}: another process is at work on this run ({by}); wait for it or stop it")
    time.sleep(0.1)


def _made(holder, me):
    """Write this process down as the holder, unless there is one."""
    if holder.exists():
        return False
    # whole before it has the name, which os.link gives to one process only, on network file systems too
    own = holder.with_name(f".holder-{me}")
    try:
        with named(holder):
            own.write_text(json.dumps(signature() | {"id": me}), encoding="utf-8")
            os.link(own, holder)
    except FileExistsError:
        return False
    finally:
        own.unlink(missing_ok=True)
    return True


def _gone(holder, silence, locked):
    """Return whether the process that wrote the file `holder` is gone; if it is elsewhere, after `silence` seconds."""
    about = _holder_text(holder)
    if about.get("boot") == boot():
        return bool(locked) or about["process"] == os.getpid() or not psutil.pid_exists(about["process"])
    log.info("%s: of %s; waiting for a sign of life", holder, whose(about))
    before, until = _beat(holder), time.monotonic() + silence
    while time.monotonic() < until:
        time.sleep(min(1.0, silence / 10))
        if _beat(holder) != before:
            return False
    return True


def _beat(holder):
    try:
        with open(holder, "rb") as file:  # opening asks the server for the time that it has now
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def _remove(holder):
    away = holder.with_name(f".gone-{uuid.uuid4()}")
    with suppress(FileNotFoundError):  # another was quicker
        os.rename(holder, away)
        away.unlink()


def _live(holder, me, done):
    """Give signs of life until `done`; end the process if another has taken it for gone and the folder with it."""
    while not done.wait(_BEAT):
        try:
            os.utime(holder)
            about = _holder_text(holder)
        except OSError:  # removed with the folder, as the work is done; or a file system that is away for a while
            continue
        if about.get("id", me) != me:
            log.error("%s: this process was silent for too long, and %s goes on with its work", holder, whose(about))
            os._exit(1)


def _holder_text(holder):
    try:
        return json.loads(holder.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
