"""Arrays of an `.npz` file, read in blocks without unpickling, and labels in their usual encodings."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member: the lengths of its name and of its extra field
_SKIPPED = 1 << 20  # bytes read at once to get past them
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Archive:
    """An `.npz` file.

    Raises
    ------
    ValueError
        If the file is no zip archive.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a readable npz file ({error})") from None

    def array(self, key: str) -> "Array":
        """Return the :class:`Array` called `key`; ValueError if there is none."""
        names = {name.removesuffix(".npy"): name for name in self._zip.namelist()}
        if key not in names:
            raise ValueError(f"{self.path}: no array {key!r}; it has {', '.join(sorted(names)) or 'none'}")
        return Array(self.path, self._zip, names[key], key)


class Array:
    """One array of an `.npz` file.

    Attributes
    ----------
    dtype, shape
    offset : int or None
        Byte of the file at which its data begin, if they stand there as they are (a stored member).
    member : tuple of int
        (first byte, bytes, CRC-32) of the stored member with its header, to check the data with.

    Raises
    ------
    ValueError
        If it holds Python objects, is in Fortran's order, encrypted or damaged.
    """

    def __init__(self, path: Path | str, archive: Any, name: str, key: str) -> None:
        self.path, self.key, self._zip, self._info = path, key, archive, archive.getinfo(name)
        try:
            with archive.open(name) as stream:
                version = np.lib.format.read_magic(stream)
                self.shape, fortran, self.dtype = _HEADERS[version](stream)
                self._start = stream.tell()
        except (ValueError, KeyError, OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path}: array {key!r} cannot be read ({str(error).splitlines()[0]})") from None
        if self.dtype.hasobject:
            raise ValueError(f"{path}: array {key!r} holds Python objects; reading those could run code")
        if fortran and len(self.shape) > 1:
            raise ValueError(f"{path}: array {key!r} is in Fortran's order; save it again with np.ascontiguousarray")
        if self._info.file_size != self._start + prod(self.shape) * self.dtype.itemsize:
            raise ValueError(f"{path}: array {key!r} is cut off; get the file again")
        self.offset = self.member = None
        if self._info.compress_type == zipfile.ZIP_STORED:
            first = self._data_offset()
            self.member = (first, self._info.file_size, self._info.CRC)
            self.offset = first + self._start

    def _data_offset(self):
        with open(self.path, "rb") as file:
            file.seek(self._info.header_offset)
            name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        return self._info.header_offset + _LOCAL_HEADER.size + name + extra

    @staticmethod
    def _skip(stream, count):
        while count > 0:  # seek would do the same in blocks of 16 MB, three of them in memory
            count -= len(stream.read(min(count, _SKIPPED))) or count

    def blocks(self, rows: int, first: int = 0) -> Iterator[np.ndarray]:
        """Yield arrays of up to `rows` rows from row `first` on; the archive's CRC is checked at the end.

        Raises
        ------
        ValueError
            If the data are damaged.
        """
        row = prod(self.shape[1:]) * self.dtype.itemsize
        try:
            with self._zip.open(self._info) as stream:
                self._skip(stream, self._start + first * row)
                for start in range(first, self.shape[0], rows):
                    count = min(rows, self.shape[0] - start)
                    data = stream.read(count * row)
                    yield np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])
                stream.read(1)  # past the end, where the checksum is compared
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{self.path}: array {self.key!r} is damaged ({error}); get the file again") from None


def class_indices(labels: np.ndarray, classes: int | None, where: str) -> np.ndarray:
    """Return labels as classes, int64 (count,).

    Parameters
    ----------
    labels : array
        Whole numbers (count,) or (count, 1), or one-hot rows (count, classes) of any type.
    classes : int or None
        How many there are; None: not known.
    where : str
        Where they come from, for the error.

    Raises
    ------
    ValueError
        If they are anything else.
    """
    if labels.ndim == 2 and classes and labels.shape[1] == classes > 1 and labels.dtype.kind in "buif":
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()):
            raise ValueError(f"{where}: rows of {classes} numbers that are not one-hot; one 1 among zeros is a class")
        return labels.argmax(1).astype(np.int64)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        given = f"{labels.dtype} {labels.shape}"
        raise ValueError(
            f"{where}: {given}; whole numbers (count,) or one-hot rows (count, {classes or 'classes'}) are read"
        )
    low, high = (labels.min(), labels.max()) if len(labels) else (0, 0)
    if low < 0 or (classes and high >= classes):
        there = f"there are {classes}, " if classes else "they are "
        raise ValueError(f"{where}: classes from {low} to {high}; {there}numbered from 0")
    return labels.astype(np.int64)
