"""Atomic writes: a file is complete or absent."""

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustlaws import errors
from robustlaws.storage import embedded, provenance

if TYPE_CHECKING:
    import h5py


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it becomes `path` only when the block ends well.

    The temporary file is flushed to disk before the rename, so that a finished name never stands
    for half a file, whatever is killed when. After an error the temporary file is removed; one
    left behind by a killed process is overwritten by the next attempt.

    Raises
    ------
    OSError
        With the name of `path`, if the disk is full or cannot be written, whatever a library makes of that.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with named(path, partial):
            yield partial
        with named(path, partial), open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
        folder = os.open(path.parent, os.O_RDONLY)  # the new name too must survive a power cut
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def named(path: Path | str, partial: Path | str | None = None) -> Iterator[None]:
    """Let the OSError of a disk that is full or cannot be written name `path`, whatever a library makes of it.

    One that names a file already, other than `partial`, goes on as it is.
    """
    try:
        yield
    except Exception as error:
        code = errors.number(error)
        filename = error.filename if isinstance(error, OSError) else None
        if code not in errors.UNWRITABLE or filename not in (None, str(partial)):
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


@contextmanager
def hdf5(path: Path | str, mode: str = "w", **options: Any) -> Iterator["h5py.File"]:
    """Yield the HDF5 file at `path`, open for writing: "w" for a new one, "r+" for one that is there.

    HDF5 2.0 ends the process with a segmentation fault when it closes a file for which the disk had no room. Here it
    never learns that a write failed.

    Raises
    ------
    OSError
        After the block, if something could not be written.
    """
    import h5py  # here: not all who write files need it

    with _Forgiving(path, mode) as raw:
        try:
            with h5py.File(raw, mode, **options) as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


def write_at(number: int, data: bytes | memoryview, offset: int) -> None:
    """Write all bytes of `data` at `offset` of the open file `number`: a disk that fills up takes a part at first."""
    left = memoryview(data).cast("B")
    while left:
        taken = os.pwrite(number, left, offset)
        left, offset = left[taken:], offset + taken


class _Forgiving(io.FileIO):
    """A file that keeps the first error of a write to itself, as `error`, and takes what follows for written."""

    def __init__(self, path, mode):
        super().__init__(path, "w+" if mode == "w" else mode)
        self.error = None

    def write(self, data):
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.error is None:
            try:
                left = left[super().write(left) :]
            except OSError as error:
                self.error = error
        return size

    def truncate(self, size=None):
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size

    def readinto(self, buffer):
        got = super().readinto(buffer)
        if self.error is not None:  # what was not written is read as zeros
            rest = memoryview(buffer).cast("B")[got:]
            rest[:] = bytes(len(rest))
            got += len(rest)
        return got


def digest(path: Path | str) -> str:
    """Return the SHA-256 (hex) of the file at `path`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing(paths: Iterable[Path | str]) -> str:
    """Return a digest (hex) of what the folders among `paths` hold: names, sizes and times; "" without a folder.

    Snakemake sees of a folder only the time at which a name in it came or went.
    """
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    hashed = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            about = path.stat()
            hashed.update(f"{path.relative_to(folder)}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return hashed.hexdigest() if folders else ""


def write_json(path: Path | str, content: Any, stamped: bool = True) -> None:
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
    text = embedded.json_text(content, provenance.current(path) if stamped else None)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: Path | str) -> Any:
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
        content.pop(embedded.KEY, None)
    return content


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
