"""Files of labelled images, of a source or of a generator: npz, HDF5, class folders, Parquet.

A layout checks one file when it is opened. It then yields labels and images in blocks, or gives the byte at which
uncompressed images begin.

Source: spec/interop.md 4e.
"""

import hashlib
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from robustlaws import registry
from robustlaws.data.encoded_images import Hub, check_alike, class_folders, decoded, pictures_in
from robustlaws.data.npz import Archive

FORMATS = {
    "npz": "robustlaws.data.image_files:Npz",
    "hdf5": "robustlaws.data.image_files:Hdf5",
    "folder": "robustlaws.data.image_files:Folder",
    "parquet": "robustlaws.data.image_files:Parquet",
}
_REGISTERED = 256  # numbers of HDF5's filters from which on they are not its own
LABELS = 1 << 16  # read at once
_BYTES = 2 << 20  # read at once
_PICTURES = 256  # of unknown size, read at once


@dataclass(frozen=True)
class Expected:
    """The expected contents of files of labelled images.

    Attributes
    ----------
    image_key, label_key : str
        Names of the arrays, datasets or columns; of no meaning in folders.
    shape : tuple of int, optional
        (height, width, channels); None: whatever they hold, the same in all.
    classes : int, optional
        Number of classes; None: whatever they hold.
    side : int, optional
        Pixels a side that the pictures of folders are brought to.
    """

    image_key: str
    label_key: str
    shape: tuple[int, int, int] | None = None
    classes: int | None = None
    side: int | None = None


def opened(path: Path | str, kind: str, expected: Expected, where: str = "format") -> "Layout":
    """Return the layout of the file or folder at `path`.

    Parameters
    ----------
    path : path
    kind : str
        Key of `FORMATS`.
    expected : Expected
    where : str
        Where the kind comes from, for the error.

    Raises
    ------
    ValueError
        If it does not hold images and labels as expected.
    """
    if not Path(path).exists():
        raise ValueError(f"{path}: no such file")
    return registry.load(kind, FORMATS, where)(Path(path), expected)


class Layout(ABC):
    """Base of the layouts.

    Attributes
    ----------
    path : Path
    count : int
        Images.
    shape : tuple of int or None
        (height, width, channels); None: not known before the first image is read.
    class_names : tuple of str
        In order; () where the file does not say them.
    offset : int or None
        Byte of the file at which the images lie one after the other; None: they have to be unpacked.
    """

    class_names: tuple[str, ...] = ()
    offset: int | None = None
    count: int

    def __init__(self, path: Path, expected: Expected) -> None:
        self.path, self.expected, self.shape = path, expected, expected.shape

    @property
    def rows(self) -> int:
        """Images of a block."""
        return max(1, _BYTES // prod(self.shape)) if self.shape else _PICTURES

    def _check(self, dtype, images, labels):
        """Check the type and the shape of a whole array of images, and that there are as many labels."""
        shape = tuple(images[1:]) if len(images) == 4 else (*images[1:], 1)  # grey images may have no channels
        if dtype != np.uint8 or len(shape) != 3 or (shape != self.shape if self.shape else shape[2] not in (1, 3)):
            wanted = ", ".join(map(str, ("count", *(self.shape or ("height", "width", "1 or 3 channels")))))
            where = f"{self.path}: {self.expected.image_key!r} is {dtype} {tuple(images)}"
            raise ValueError(f"{where}; uint8 ({wanted}) is wanted, channels last")
        if tuple(labels[:1]) != tuple(images[:1]):
            raise ValueError(f"{self.path}: {images[0]} images, but {self.expected.label_key!r} is {tuple(labels)}")
        self.count, self.shape = images[0], shape
        if not self.count:
            raise ValueError(f"{self.path}: no images in it")

    def _with_channels(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield blocks of images with their channels, which grey ones may lack."""
        return (block.reshape(len(block), *(self.shape or ())) for block in blocks)

    def identity(self) -> dict[str, int]:
        """Return what changes when the file is written again: {"bytes", "mtime_ns"}."""
        about = os.stat(self.path)
        return {"bytes": about.st_size, "mtime_ns": about.st_mtime_ns}

    def digest(self, advance: Callable[[int], None]) -> str:
        """Return the SHA-256 (hex) of the file; `advance` is called with the bytes of each block read."""
        return _digest(self.path, advance)

    @abstractmethod
    def labels(self) -> Iterator[np.ndarray]:
        """Yield the labels in blocks, in any of the forms that `data.npz.class_indices` takes."""

    @abstractmethod
    def images(self, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the images from number `first` on, uint8 (count, height, width, channels), in blocks."""


class Npz(Layout):
    """Arrays of an `.npz` file; those of a plain `np.savez` lie there as they are."""

    def __init__(self, path: Path, expected: Expected) -> None:
        super().__init__(path, expected)
        archive = Archive(path)
        self._images, self._labels = (archive.array(key) for key in (expected.image_key, expected.label_key))
        self._check(self._images.dtype, self._images.shape, self._labels.shape)
        self.offset = self._images.offset

    def digest(self, advance: Callable[[int], None]) -> str:
        """As the base; in the same pass, images that are not unpacked are held to the archive's own CRC-32."""
        if self._images.member is None:
            return _digest(self.path, advance)
        first, size, expected = self._images.member
        crc = _Crc(first, first + size)
        digest = _digest(self.path, advance, crc.take)
        if crc.value != expected:
            raise ValueError(f"{self.path}: array {self.expected.image_key!r} is damaged (CRC-32); get the file again")
        return digest

    def labels(self) -> Iterator[np.ndarray]:
        """Yield the labels in blocks."""
        return self._labels.blocks(LABELS)

    def images(self, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the images from index `first` on, in blocks."""
        return self._with_channels(self._images.blocks(self.rows, first))


class Hdf5(Layout):
    """Datasets of an HDF5 file; contiguous ones lie there as they are."""

    def __init__(self, path: Path, expected: Expected) -> None:
        super().__init__(path, expected)
        image, label = (self._dataset(key) for key in (expected.image_key, expected.label_key))
        self._check(image.dtype, image.shape, label.shape)
        self._image, self._label = image, label
        self.offset = image.id.get_offset()  # None where it is chunked, compressed or elsewhere

    def _dataset(self, key):
        import h5py

        try:
            self._file = getattr(self, "_file", None) or h5py.File(self.path, "r")
        except OSError as error:
            raise ValueError(f"{self.path}: not a readable HDF5 file ({error})") from None
        try:
            dataset = self._file[key]
        except KeyError:
            there = ", ".join(self._file) or "nothing"
            raise ValueError(f"{self.path}: no dataset {key!r} that can be opened; it has {there}") from None
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{self.path}: {key!r} is a group with {', '.join(dataset) or 'nothing'}; name a dataset")
        elsewhere = {source.file_name for source in dataset.virtual_sources()} if dataset.is_virtual else set()
        elsewhere |= {name for name, _, _ in dataset.external or ()}
        if os.path.realpath(dataset.file.filename) != os.path.realpath(self.path):
            elsewhere.add(dataset.file.filename)
        if elsewhere := sorted(elsewhere - {"."}):
            # HDF5 reads zeros where such a file is missing
            raise ValueError(f"{self.path}: {key!r} only points to {', '.join(elsewhere)}; give those files themselves")
        plist = dataset.id.get_create_plist()
        if any(plist.get_filter(number)[0] >= _REGISTERED for number in range(plist.get_nfilters())):
            with suppress(ImportError):  # reading fails without it, and says so
                import_module("hdf5plugin")
        return dataset

    def labels(self) -> Iterator[np.ndarray]:
        """Yield the labels in blocks."""
        return self._blocks(self._label, LABELS, 0)

    def images(self, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the images from index `first` on, in blocks."""
        # whole chunks, or each would be unpacked several times
        chunk = self._image.chunks[0] if self._image.chunks else 1
        return self._with_channels(self._blocks(self._image, max(chunk, self.rows // chunk * chunk), first))

    def _blocks(self, dataset, rows, first):
        try:
            for start in range(first, self.count, rows):
                yield dataset[start : start + rows]
        except OSError as error:
            reason = f"{dataset.name} cannot be read ({error}); its compression may need the package hdf5plugin"
            raise ValueError(f"{self.path}: {reason}") from None


class _Pictures(Layout):
    """Base of the layouts that hold each image as a file of its own."""

    def _blocks(self, pictures: Iterable[tuple[Any, np.ndarray]]) -> Iterator[np.ndarray]:
        """Yield arrays of images from pairs of (where it comes from, pixels)."""
        block = []
        for where, pixels in pictures:
            self.shape = self.shape or pixels.shape
            check_alike(pixels, self.shape, where)
            block.append(pixels)
            if len(block) == self.rows:
                yield np.stack(block)
                block = []
        if block:
            yield np.stack(block)


class Folder(_Pictures):
    """PNG and JPEG pictures, one folder for each class."""

    def __init__(self, path: Path, expected: Expected) -> None:
        super().__init__(path, expected)
        self._classes = class_folders(path)
        self.class_names = tuple(name for name, _ in self._classes)
        if expected.classes not in (None, len(self._classes)):
            raise ValueError(
                f"{path}: {len(self._classes)} folders; one for each of the {expected.classes} classes is wanted"
            )
        self._counts = [len(pictures_in(folder)) for _, folder in self._classes]
        self.count = sum(self._counts)

    def _pictures(self):
        for _, folder in self._classes:  # the names of one class at a time
            yield from pictures_in(folder)

    def identity(self) -> dict[str, int]:
        """Return size and time of the files, to notice a change."""
        stats = [os.stat(path) for path in self._pictures()]
        return {"bytes": sum(s.st_size for s in stats), "mtime_ns": max(s.st_mtime_ns for s in stats)}

    def digest(self, advance: Callable[[int], None]) -> str:
        """Return the SHA-256 of the lines `<SHA-256>  <class>/<name>` of all pictures in order."""
        whole = hashlib.sha256()
        for path in self._pictures():
            whole.update(f"{_digest(path, advance)}  {path.parent.name}/{path.name}\n".encode())
        return whole.hexdigest()

    def labels(self) -> Iterator[np.ndarray]:
        """Yield the labels in blocks."""
        for label, count in enumerate(self._counts):
            yield np.full(count, label)

    def images(self, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the images from index `first` on, in blocks."""
        paths = (path for at, path in enumerate(self._pictures()) if at >= first)
        side = self.expected.side
        return self._blocks((path, decoded(path.read_bytes(), path, side)) for path in paths)


class Parquet(_Pictures):
    """Parquet in the public hub's image layout."""

    def __init__(self, path: Path, expected: Expected) -> None:
        super().__init__(path, expected)
        self._file = Hub(path, expected.image_key, expected.label_key)
        self.count, self.class_names = len(self._file), self._file.class_names
        if not self.count:
            raise ValueError(f"{path}: no images in it")

    def labels(self) -> Iterator[np.ndarray]:
        """Yield the labels in blocks."""
        return self._file.labels()

    def images(self, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the images from index `first` on, in blocks."""
        return self._blocks((f"{self.path} row {row}", pixels) for row, pixels in self._file.images(first))


def _digest(path, advance, also=None):
    sha256 = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BYTES):
            sha256.update(block)
            if also:
                also(block)
            advance(len(block))
    return sha256.hexdigest()


class _Crc:
    """The CRC-32 of bytes `first` to `stop` of a file that is read in blocks from its beginning."""

    def __init__(self, first, stop):
        self.first, self.stop, self.at, self.value = first, stop, 0, 0

    def take(self, block):
        self.value = zlib.crc32(block[max(self.first - self.at, 0) : max(self.stop - self.at, 0)], self.value)
        self.at += len(block)
