"""File formats of already sampled images: their contents and layout.

A layout checks one file when it is opened and then gives its labels and its images in blocks, or says at
which byte the images lie one after the other as they are.

Source: spec/interop.md 4e.
"""

import hashlib
import os
import zlib
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib import import_module
from math import prod
from pathlib import Path

import numpy as np

from robustlaws import registry
from robustlaws.data.encoded_images import Hub, check_alike, class_folders, decoded, pictures_in
from robustlaws.data.npz import Archive

FORMATS = {
    "npz": "robustlaws.generators.sampled_files.formats:Npz",
    "hdf5": "robustlaws.generators.sampled_files.formats:Hdf5",
    "folder": "robustlaws.generators.sampled_files.formats:Folder",
    "parquet": "robustlaws.generators.sampled_files.formats:Parquet",
}
_REGISTERED = 256  # numbers of HDF5's filters from which on they are not its own
LABELS = 1 << 16  # read at once
_BYTES = 2 << 20  # read at once


def opened(path, settings):
    """Return the layout of the file or folder at `path` (:class:`Layout`) for a settings.Staging.

    Raises
    ------
    ValueError
        If it does not hold images and labels as the settings say.
    """
    if not Path(path).exists():
        raise ValueError(f"{path}: no such file")
    return registry.load(settings.format, FORMATS, f"generators.{settings.generator}.format")(Path(path), settings)


class Layout(ABC):
    """Base of the layouts.

    Attributes
    ----------
    path : Path
    count : int
        Images.
    offset : int or None
        Byte of the file at which the images lie one after the other; None: they have to be unpacked.
    """

    offset = None

    def __init__(self, path, settings):
        self.path, self.settings = path, settings
        self.shape = (settings.image_size, settings.image_size, settings.channels)
        self.rows = max(1, _BYTES // prod(self.shape))

    def _check(self, dtype, images, labels):
        """Check the type and the shape of a whole array of images, and that there are as many labels."""
        if dtype != np.uint8 or tuple(images[1:]) != self.shape:
            wanted = ", ".join(map(str, ("count", *self.shape)))
            where = f"{self.path}: {self.settings.image_key!r} is {dtype} {tuple(images)}"
            raise ValueError(f"{where}; uint8 ({wanted}) is wanted, channels last")
        if tuple(labels[:1]) != tuple(images[:1]):
            raise ValueError(f"{self.path}: {images[0]} images, but {self.settings.label_key!r} is {tuple(labels)}")
        self.count = images[0]
        if not self.count:
            raise ValueError(f"{self.path}: no images in it")

    def identity(self):
        """Return what changes when the file is written again: {"bytes", "mtime_ns"}."""
        about = os.stat(self.path)
        return {"bytes": about.st_size, "mtime_ns": about.st_mtime_ns}

    def digest(self, advance):
        """Return the SHA-256 (hex) of the file; `advance` is called with the bytes of each block read."""
        return _digest(self.path, advance)

    @abstractmethod
    def labels(self):
        """Yield the labels in blocks, in any of the forms that `data.arrays.class_indices` takes."""

    @abstractmethod
    def images(self, first):
        """Yield the images from number `first` on, uint8 (count, height, width, channels), in blocks."""


class Npz(Layout):
    """Arrays of an `.npz` file; those of a plain `np.savez` lie there as they are."""

    def __init__(self, path, settings):
        super().__init__(path, settings)
        archive = Archive(path)
        self._images, self._labels = (archive.array(key) for key in (settings.image_key, settings.label_key))
        self._check(self._images.dtype, self._images.shape, self._labels.shape)
        self.offset = self._images.offset

    def digest(self, advance):
        """As the base; in the same pass, images that are not unpacked are held to the archive's own CRC-32."""
        if self.offset is None:
            return _digest(self.path, advance)
        first, size, expected = self._images.member
        crc = _Crc(first, first + size)
        digest = _digest(self.path, advance, crc.take)
        if crc.value != expected:
            raise ValueError(f"{self.path}: array {self.settings.image_key!r} is damaged (CRC-32); get the file again")
        return digest

    def labels(self):
        """Yield the labels in blocks."""
        return self._labels.blocks(LABELS)

    def images(self, first):
        """Yield the images from index `first` on, in blocks."""
        return self._images.blocks(self.rows, first)


class Hdf5(Layout):
    """Datasets of an HDF5 file; contiguous ones lie there as they are."""

    def __init__(self, path, settings):
        super().__init__(path, settings)
        image, label = (self._dataset(key) for key in (settings.image_key, settings.label_key))
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

    def labels(self):
        """Yield the labels in blocks."""
        return self._blocks(self._label, LABELS, 0)

    def images(self, first):
        """Yield the images from index `first` on, in blocks."""
        # whole chunks, or each would be unpacked several times
        chunk = self._image.chunks[0] if self._image.chunks else 1
        return self._blocks(self._image, max(chunk, self.rows // chunk * chunk), first)

    def _blocks(self, dataset, rows, first):
        try:
            for start in range(first, self.count, rows):
                yield dataset[start : start + rows]
        except OSError as error:
            reason = f"{dataset.name} cannot be read ({error}); its compression may need the package hdf5plugin"
            raise ValueError(f"{self.path}: {reason}") from None


class Folder(Layout):
    """PNG and JPEG pictures, one folder for each class."""

    def __init__(self, path, settings):
        super().__init__(path, settings)
        self._classes = class_folders(path)
        if len(self._classes) != settings.classes:
            raise ValueError(
                f"{path}: {len(self._classes)} folders; one for each of the {settings.classes} classes is wanted"
            )
        self._counts = [len(pictures_in(folder)) for _, folder in self._classes]
        self.count = sum(self._counts)

    def _pictures(self):
        for _, folder in self._classes:  # the names of one class at a time
            yield from pictures_in(folder)

    def identity(self):
        """Return size and time of the files, to notice a change."""
        stats = [os.stat(path) for path in self._pictures()]
        return {"bytes": sum(s.st_size for s in stats), "mtime_ns": max(s.st_mtime_ns for s in stats)}

    def digest(self, advance):
        """Return the SHA-256 of the lines `<SHA-256>  <class>/<name>` of all pictures in order."""
        whole = hashlib.sha256()
        for path in self._pictures():
            whole.update(f"{_digest(path, advance)}  {path.parent.name}/{path.name}\n".encode())
        return whole.hexdigest()

    def labels(self):
        """Yield the labels in blocks."""
        for label, count in enumerate(self._counts):
            yield np.full(count, label)

    def images(self, first):
        """Yield the images from index `first` on, in blocks."""
        paths = (path for at, path in enumerate(self._pictures()) if at >= first)
        return _blocks(((path, decoded(path.read_bytes(), path)) for path in paths), self.rows, self.shape)


class Parquet(Layout):
    """Parquet in the public hub's image layout."""

    def __init__(self, path, settings):
        super().__init__(path, settings)
        self._file = Hub(path, settings.image_key, settings.label_key)
        self.count = len(self._file)
        if not self.count:
            raise ValueError(f"{path}: no images in it")

    def labels(self):
        """Yield the labels in blocks."""
        return self._file.labels()

    def images(self, first):
        """Yield the images from index `first` on, in blocks."""
        rows = ((f"{self.path} row {row}", pixels) for row, pixels in self._file.images(first))
        return _blocks(rows, self.rows, self.shape)


def _blocks(pictures, rows, shape):
    """Yield arrays of up to `rows` images from pairs of (where it comes from, pixels)."""
    block = []
    for where, pixels in pictures:
        check_alike(pixels, shape, where)
        block.append(pixels)
        if len(block) == rows:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


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
