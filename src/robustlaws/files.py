"""Write a file whole or not at all."""

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path

from robustlaws import provenance, stamps


@contextmanager
def replacing(path):
    """Yield a temporary path beside `path`; it becomes `path` only when the block ends well.

    The temporary file is flushed to disk before the rename, so that a finished name never stands
    for half a file, whatever is killed when. After an error the temporary file is removed; one
    left behind by a killed process is overwritten by the next attempt.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
        folder = os.open(path.parent, os.O_RDONLY)  # the new name too must survive a power cut
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        partial.unlink(missing_ok=True)


def digest(path):
    """Return the SHA-256 (hex) of the file at `path`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing(paths):
    """Return a digest (hex) of what the folders among `paths` hold: names, sizes and times; "" without a folder.

    Snakemake sees of a folder only the time at which a name in it came or went.
    """
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    found = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            about = path.stat()
            found.update(f"{path.relative_to(folder)}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return found.hexdigest() if folders else ""


def write_json(path, content, stamped=True):
    """Write `content` (dicts, lists, strings, finite numbers, booleans, None) as JSON.

    Parameters
    ----------
    path : path
    content : dict
    stamped : bool
        Whether it is an output, which carries the provenance of the job that writes it; notes that a job keeps for
        itself do not.

    Raises
    ------
    ValueError
        If a number is not finite: JSON has no word for it.
    """
    text = stamps.json_text(content, provenance.current(path) if stamped else None)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path):
    """Return the content of a JSON file of this project, without its provenance.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a readable JSON file ({error})") from None
    if isinstance(content, dict):
        content.pop(stamps.KEY, None)
    return content


def write_text(path, text):
    """Write `text` as UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
