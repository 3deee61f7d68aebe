"""The output folder of a fit: complete files only, and nothing after a failure.

Files are made in a hidden folder inside, and moved one by one when all are there. `fit.json` says which files are ours,
what they were made from, and whether all of them belong together (`finished`).
"""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from robustlaws.runtime.file_lock import exclusive
from robustlaws.storage.atomic import read_json, write_json

FORMAT = "robustlaws-fit-1"
MARK = "fit.json"
_WORK = ".partial"


def check(folder):
    """Raise ValueError if a fit may not write into `folder`: it is a file, or a folder that holds something else."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder}: a file; give a folder")
    if folder.is_dir() and any(path.name != _WORK for path in folder.iterdir()) and _mark(folder) is None:
        raise ValueError(f"--out {folder}: holds something else (no {MARK} of ours); give a new folder")


def _mark(folder):
    """Return the mark of a folder, or None if it has none of ours."""
    try:
        mark = read_json(folder / MARK)
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) and mark.get("format") == FORMAT else None


def read_mark(folder):
    """Return the content of `fit.json`; ValueError if the folder has none of ours."""
    mark = _mark(Path(folder))
    if mark is None:
        raise ValueError(f"{folder}: no folder of a fit (no {MARK} of ours)")
    return mark


@contextmanager
def filling(folder, about):
    """Yield an empty folder to write into; when the block ends well, its files take the place of those of an older fit.

    Parameters
    ----------
    folder : path
        Made if need be; gone again if it was made and the block fails.
    about : dict
        Origin of the files, for the mark.

    Raises
    ------
    ValueError
        If `folder` is not ours to fill, cannot be written, or is being filled by another process.
    """
    folder = Path(folder)
    check(folder)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        busy = f"--out {folder}: another fit is at work here; wait for it or give another folder"
        with exclusive(folder, busy):
            work = folder / _WORK
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            try:
                yield work
                _publish(work, folder, about)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise ValueError(f"--out {folder}: cannot be written ({error.strerror or error})") from None
    finally:
        for path in new:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _publish(work, folder, about):
    names = sorted(path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file())
    older = [name for name in (_mark(folder) or {}).get("files", []) if _inside(folder, name)]
    mark = {"format": FORMAT, "finished": False, **about}
    # until all are moved the mark says so, and names old files and new ones: whoever fits next can clear them
    write_json(folder / MARK, mark | {"files": sorted({*older, *names})})
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(work / name, folder / name)
    for name in sorted(set(older) - set(names)):
        (folder / name).unlink(missing_ok=True)
    write_json(folder / MARK, mark | {"finished": True, "files": names})


def _inside(folder, name):
    """Return whether a name from a mark is that of a file in the folder: a mark may be anybody's."""
    return isinstance(name, str) and (folder / name).resolve().is_relative_to(folder.resolve()) and name != MARK
