"""Saved states of unfinished work: written whole, verified when read, the previous one kept.

A folder holds the last states of one job. A state is `state-<number>.pt` (tensors and plain values).
`state-<number>.json`, written after it, has its SHA-256 and its owner: the settings and the revision that it belongs
to. After any kill or damage the newest whole state is found.

Beside them `history.txt` records when the work began, stopped and resumed. The log of an attempt is gone when the next
one begins, so its log repeats this.
"""

import json
import shutil
import socket
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from robustlaws import errors
from robustlaws.runtime import folder_lock, slurm
from robustlaws.runtime.logger import log
from robustlaws.runtime.signals import Stopped
from robustlaws.storage import provenance
from robustlaws.storage.atomic import digest, read_json, replacing, write_json

EARLIER = "earlier:"  # before the repeated lines
_TOLD = 20  # lines of it
_KEPT = 2  # the newest and the one before it


@contextmanager
def locked(folder, **patience):
    """Keep `folder` for this process, and tell the log what earlier attempts at its work did.

    Parameters and errors are those of :func:`robustlaws.runtime.folder_lock.locked`.
    """
    with folder_lock.locked(folder, **patience):
        history = Path(folder) / "history.txt"
        before = history.read_text(encoding="utf-8").splitlines() if history.exists() else []
        for line in before[-_TOLD:]:
            log.info("%s %s", EARLIER, line)
        _note(folder, f"started on {socket.gethostname()}")
        try:
            yield
        except Stopped as stopped:
            _note(folder, str(stopped))
            raise


def going_on(folder, where):
    """Log that work goes on, and `where`; the logs of later attempts say it too."""
    log.info("going on %s", where)
    _note(folder, f"going on {where}")


def _note(folder, text):
    # a disk that is full must not end the work for the sake of a line of its history
    with suppress(OSError), open(Path(folder) / "history.txt", "a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def save(folder, content, owner, step):
    """Write one more state and forget all but the two newest.

    A disk that is full, or unavailable for a while, does not end the work. The newest whole state stays, a warning goes
    to the terminal and the log, and the next state is tried in its turn. Ending would lose what was done since; going
    on loses nothing more, and there may be room again before the end. If a full disk holds two states, the older one is
    deleted.

    Parameters
    ----------
    folder : path
    content : dict of tensors, numbers, strings, lists and dicts
    owner : dict
        Owner of the state; only a job of the same owner resumes from it.
    step : int
        How far the work is, for messages.

    Returns
    -------
    str
        Why the state was not written, in words; empty if it was.
    """
    folder = Path(folder)
    try:
        try:
            _write(folder, content, owner, step)
        except Exception as error:
            if errors.number(error) not in errors.FULL or len(_numbers(folder, "json")) < _KEPT:
                raise
            _keep(folder, 1)
            _write(folder, content, owner, step)
    except Exception as error:
        if errors.number(error) is None:
            raise
        why = errors.cause(error)
        log.error("state at step %d not saved: %s; going on and trying again later, %s", step, why, kept(folder))
        return why
    _keep(folder, _KEPT)
    return ""


def _write(folder, content, owner, step):
    import torch  # who only looks at a folder need not wait for it

    path = folder / f"state-{max(_numbers(folder, 'pt'), default=0) + 1:06d}.pt"
    try:
        with replacing(path) as partial:
            with open(partial, "wb") as file:  # through Python, which says what went wrong
                torch.save(content, file)
            about = {"sha256": digest(partial), "step": step, "owner": owner, "starts": provenance.starts()}
        write_json(path.with_suffix(".json"), about, stamped=False)
    except BaseException:
        path.unlink(missing_ok=True)  # without its description it only takes room
        raise


def _keep(folder, count):
    """Remove all but the `count` newest states, those without a description among them."""
    kept = sorted(_numbers(folder, "json"))[-count:]
    for kind in ("json", "pt"):  # the description first: a state without one does not count
        for number in set(_numbers(folder, kind)) - set(kept):
            (folder / f"state-{number:06d}.{kind}").unlink(missing_ok=True)


def outcome(failed, folder):
    """Return in words what :func:`save`, which returned `failed`, has left in `folder`."""
    return f"state not saved ({failed}), {kept(folder)}" if failed else "state saved"


def kept(folder):
    """Return in words what is left of a job in `folder` when it ends now."""
    for number in sorted(_numbers(Path(folder), "json"), reverse=True):
        try:
            about = json.loads((Path(folder) / f"state-{number:06d}.json").read_text(encoding="utf-8"))
            return f"the state of step {about['step']} is kept"
        except (OSError, ValueError, KeyError):
            continue
    return "no state is kept yet"


def newest(folder, owner, refuse=True):
    """Return the path of the newest whole state in `folder`, or None if there is none of `owner`.

    Damaged states are removed on the way.

    Parameters
    ----------
    folder : path
    owner : dict
    refuse : bool
        Whether a state of another owner is an error (it may stand for hours of work, so nothing is thrown
        away unasked) or, where little is lost, is passed over.

    Raises
    ------
    ValueError
        If the state is of another owner and that is to be refused.
    """
    folder = Path(folder)
    for number in sorted(_numbers(folder, "json"), reverse=True):
        path = folder / f"state-{number:06d}.json"
        try:
            about = read_json(path)
            whole = digest(path.with_suffix(".pt")) == about["sha256"]
        except (FileNotFoundError, ValueError, KeyError):
            whole = False
        if not whole:
            log.warning("%s: damaged; going back to the state before it", path.with_suffix(".pt"))
            # it must not count as the one before the next
            path.unlink()
            path.with_suffix(".pt").unlink(missing_ok=True)
            continue
        if difference := _difference(about["owner"], json.loads(json.dumps(owner))):
            what = f"{folder}: holds unfinished work of other settings (step {about['step']}; {difference})"
            if refuse:
                raise ValueError(f"{what}; put the setting back to go on with it, or delete that folder to start anew")
            log.warning("%s; starting from the beginning", what)
            return None
        provenance.go_on_from(about.get("starts", []))
        return path.with_suffix(".pt")
    return None


def read(path):
    """Return the content of the state at `path`, its tensors on the CPU."""
    import torch  # as above

    return torch.load(path, map_location="cpu", weights_only=True)


def forget(folder):
    """Remove the states in `folder`: the work is done.

    Not in a job that its batch system is ending: Snakemake will delete what such a job wrote, and try it again.
    """
    if slurm.ending():
        log.warning("%s: kept, for the batch system is ending this job and its outputs will not stay", folder)
        return
    shutil.rmtree(folder, ignore_errors=True)


def _numbers(folder, kind):
    return [int(path.stem.removeprefix("state-")) for path in folder.glob(f"state-*.{kind}")]


def _difference(theirs, ours, key=""):
    """Return the first place where two nested dicts differ, in words, or an empty string."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        return "" if theirs == ours else f"{key} is {theirs!r} there and {ours!r} here"
    for name in {**theirs, **ours}:
        inner = f"{key}.{name}" if key else name
        if difference := _difference(theirs.get(name), ours.get(name), inner):
            return difference
    return ""
