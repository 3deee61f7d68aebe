"""States of unfinished work: written whole, checked when read, the one before kept.

A folder holds the last states of one job. A state is `state-<number>.pt` (tensors and plain values) and,
written after it, `state-<number>.json` with its SHA-256 and its owner: the settings and the revision that
it belongs to. Whatever is killed when, or damaged later, the newest state that is whole is found.

Beside them `history.txt` says when the work began, stopped and went on: the log of an attempt is gone when the next
one begins, and this is told there again.
"""

import fcntl
import json
import shutil
import socket
import time
from contextlib import contextmanager
from pathlib import Path

from robustlaws.files import digest, replacing, write_json
from robustlaws.joblog import log
from robustlaws.stopping import Stopped

EARLIER = "earlier:"  # before what is told again
_TOLD = 20  # lines of it
_KEPT = 2  # the newest and the one before it


@contextmanager
def held(folder, seconds=60.0):
    """Keep `folder` for this process: two at work on the same states would undo each other.

    Raises
    ------
    ValueError
        If another process has it for longer than `seconds`; one whose job was killed gives it up
        as soon as it notices.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with open(Path(folder) / "lock", "w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ValueError(
                        f"{folder}: another process is at work on this run; wait for it or stop it"
                    ) from None
                time.sleep(0.1)
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
    with open(Path(folder) / "history.txt", "a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def save(folder, content, owner, step):
    """Write one more state and forget all but the two newest.

    Parameters
    ----------
    folder : path
    content : dict of tensors, numbers, strings, lists and dicts
    owner : dict
        What the state belongs to; only a job of the same owner takes it up.
    step : int
        How far the work is, for messages.
    """
    import torch  # here and below: who only holds a folder need not wait for it

    folder = Path(folder)
    path = folder / f"state-{max(_numbers(folder, 'pt'), default=0) + 1:06d}.pt"
    with replacing(path) as partial:
        torch.save(content, partial)
        about = {"sha256": digest(partial), "step": step, "owner": owner}
    write_json(path.with_suffix(".json"), about)
    kept = sorted(_numbers(folder, "json"))[-_KEPT:]
    for kind in ("json", "pt"):  # the description first: a state without one does not count
        for number in set(_numbers(folder, kind)) - set(kept):
            (folder / f"state-{number:06d}.{kind}").unlink(missing_ok=True)


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
            about = json.loads(path.read_text(encoding="utf-8"))
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
        return path.with_suffix(".pt")
    return None


def read(path):
    """Return the content of the state at `path`, its tensors on the CPU."""
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def forget(folder):
    """Remove the states in `folder`: the work is done."""
    shutil.rmtree(folder, ignore_errors=True)


def _numbers(folder, kind):
    return [int(path.stem.removeprefix("state-")) for path in folder.glob(f"state-*.{kind}")]


def _difference(theirs, ours, key=""):
    """Return the first place where two nested dicts differ, in words, or an empty string."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        return "" if theirs == ours else f"{key} is {theirs!r} there and {ours!r} here"
    for name in {**theirs, **ours}:
        inner = f"{key}.{name}" if key else name
        if found := _difference(theirs.get(name), ours.get(name), inner):
            return found
    return ""
