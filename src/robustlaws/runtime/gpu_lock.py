"""Exclusive locks on GPUs, for machines without a scheduler.

A job holds a lock on one small file per GPU in the folder for temporary files. The kernel lets the locks go when the
process ends, however that is.
"""

import os
import tempfile
import time
from pathlib import Path

from robustlaws.runtime.file_lock import try_lock
from robustlaws.runtime.logger import log

_held: dict[
    str, int | None
] = {}  # name of a GPU -> the open file of its lock, if it could be locked: until the process ends


def take(count, names, seconds=None, folder=None):
    """Take `count` GPUs for this process, all at once, waiting for them if need be.

    Parameters
    ----------
    count : int
    names : list of str
        Of the GPUs that this process sees, in torch's order; the same on this machine for every process.
    seconds : float, optional
        How long to wait; None: until they are free.
    folder : path, optional
        Of the locks, the same for all jobs of the machine.

    Returns
    -------
    list of int
        Positions in `names`; those that the process has already come first.

    Raises
    ------
    ValueError
        If too few are free in time.
    """
    folder, begun, logged = Path(folder or tempfile.gettempdir()), time.monotonic(), False
    mine = [name for name in names if name in _held]
    while len(mine) < count:
        fresh, closed = {}, []
        for name in names:
            if len(mine) + len(fresh) < count and name not in mine:
                try:
                    file = _locked(folder, name)
                except PermissionError as error:
                    closed.append((name, error))
                    continue
                if file is not None:
                    fresh[name] = file
        for name, reason in closed[: count - len(mine) - len(fresh)]:  # last, as others may have them unseen
            log.warning("%s: a GPU is taken without a lock, which a scheduler may have given to this job", reason)
            fresh[name] = None
        if len(mine) + len(fresh) == count:
            _held.update(fresh)
            mine += fresh
            break
        for file in fresh.values():  # two jobs with half of what they need would wait for each other
            if file is not None:
                os.close(file)
        what = f"{count} of {len(names)} GPUs wanted, {len(mine) + len(fresh)} free"
        if seconds is not None and time.monotonic() - begun > seconds:
            raise ValueError(f"{what} for {seconds:g} s: other jobs have them; wait for these or stop them")
        if not logged:
            log.info("%s: waiting for other jobs of this machine", what)
            logged = True
        time.sleep(min(1.0, seconds or 1.0))
    return [names.index(name) for name in mine[:count]]


def _locked(folder, name):
    """Return the descriptor of the lock file of a GPU, locked by this process; None if another has it.

    PermissionError if the file is another user's and closed to others, or the folder refuses new files.
    """
    path = folder / f"robustlaws-gpu-{name}.lock"
    try:  # no O_CREAT if it exists: a sticky folder refuses that for another user's file
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:  # another was quicker
            return None
        os.fchmod(file, 0o644)  # whatever the umask: all users of the machine must be able to lock it
    if try_lock(file) is False:
        os.close(file)
        return None
    return file
