"""The HDF5 format of images and labels; `docs/shards.md` describes it for others.

A shard holds datasets of equal length: `image` (uint8, NHWC), `label` (int64) and `digest` (uint64, one for each image
and its label). The attributes of the file give their origin. Real images and generated ones use the same format. A line
of text before the HDF5 content seals every byte of the file.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from robustlaws import errors as faults
from robustlaws.data.shard_format import (
    FORMAT,
    LAYOUTS,
    PLUGIN_FILTERS,
    assemble,
    check_arrays,
    check_layout,
    checksum,
    digests,
    plugin,
    sealed,
)
from robustlaws.data.shard_writer import Writer
from robustlaws.storage import embedded, provenance
from robustlaws.storage.atomic import replacing

__all__ = [
    "LAYOUTS",
    "Raw",
    "Writer",
    "attributes",
    "attributes_of",
    "checksum",
    "digests",
    "image_shape",
    "length",
    "opened",
    "raw_layout",
    "read",
    "read_prefix",
    "read_range",
    "remedy",
    "sealed",
    "values",
    "write",
]


class Raw(NamedTuple):
    """Byte offsets of a file's plain arrays, for readers without HDF5."""

    image: int | None  # offset of image 0; image i is at image + i * bytes of an image; None: not contiguous
    label: int  # offset of label 0, int64 little endian
    length: int
    image_shape: tuple[int, ...]  # height, width, channels
    chunk: int | None  # images of a chunk: what HDF5 reads at once; None: contiguous


def write(
    path: Path | str, images: np.ndarray, labels: np.ndarray, attributes: dict[str, Any], layout: str = "contiguous"
) -> None:
    """Write one shard, whole or not at all.

    Parameters
    ----------
    path : path
    images : uint8 array (count, height, width, channels)
    labels : integer array (count,)
        Class of each image, from 0.
    attributes : dict
        Where the images come from; kept as attributes of the file: strings, numbers and lists of them as they are,
        dicts as JSON. None is left out.
    layout : str
        How the images lie in the file: one of LAYOUTS.

    Raises
    ------
    ValueError
        If the arrays do not describe the same images or are not of these types, or the layout is not available.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    check_arrays(path, images, labels, images.shape[1:])
    if not len(images):
        raise ValueError(f"{path}: a shard without images; give one at least")
    check_layout(path, layout)
    with replacing(path) as partial:
        shape, stamp = images.shape[1:], provenance.current(path)
        assemble(partial, lambda a, b: (images[a:b], labels[a:b]), len(images), shape, attributes, layout, stamp)


def attributes(path: Path | str) -> dict[str, Any]:
    """Return the attributes of a shard as a dict; ValueError if `path` is not a shard."""
    with opened(path) as file:
        return attributes_of(file)


def length(path: Path | str) -> int:
    """Return the number of images of a shard; ValueError if `path` is not a shard."""
    return raw_layout(path).length


def image_shape(path: Path | str) -> tuple[int, ...]:
    """Return height, width and channels of a shard's images; ValueError if `path` is not a shard."""
    return raw_layout(path).image_shape


def raw_layout(path: Path | str) -> Raw:
    """Return the byte offsets of plain images and labels in the file, as :class:`Raw`.

    Raises
    ------
    ValueError
        If `path` is not a shard.
    """
    with opened(path) as file:
        image = file["image"]
        chunk = image.chunks[0] if image.chunks else None
        offset = None if image.chunks else image.id.get_offset()
        return Raw(offset, file["label"].id.get_offset(), len(image), image.shape[1:], chunk)


def read(path: Path | str, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `count` images and labels of a shard, or all of them.

    Returns
    -------
    images : uint8 array (count, height, width, channels)
    labels : int64 array (count,)

    Raises
    ------
    ValueError
        If the file is not a shard, is too short, or (when read whole) does not match its checksum.
    """
    with opened(path) as file:
        there = len(file["label"])
        if count is not None and count > there:
            raise ValueError(f"{path}: {count} images wanted, {there} there")
        images, labels = values(file, path, 0, there if count is None else count)
        if len(labels) == there and checksum(images, labels) != _plain(file.attrs.get("checksum")):
            wrong = np.flatnonzero(digests(images, labels) != file["digest"][:])
            what = (
                f"image {wrong[0]} does not match its digest" if len(wrong) else "its images do not match its checksum"
            )
            raise ValueError(f"{path}: damaged, {what}; {remedy(path)}")
    return images, labels


def read_range(path: Path | str, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels number `first` up to `stop` (left out) of a shard, reading no others.

    Raises
    ------
    ValueError
        If the file is not a shard or has no such images.
    """
    with opened(path) as file:
        there = len(file["label"])
        if not 0 <= first < stop <= there:
            raise ValueError(f"{path}: images {first} to {stop - 1} wanted, {there} there")
        return values(file, path, first, stop)


def read_prefix(paths: Iterable[Path | str], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `count` images and labels of a dataset given as its shards in order.

    Raises
    ------
    ValueError
        As :func:`read`, or if the shards hold fewer images than `count`.
    """
    parts, missing = [], count
    for path in paths:
        if missing == 0:
            break
        there = length(path)
        parts.append(read(path, None if there <= missing else missing))
        missing -= len(parts[-1][1])
    if missing or not parts:
        raise ValueError(f"{len(list(paths))} shards hold {count - missing} images; {count} wanted")
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


@contextmanager
def opened(path: Path | str) -> Iterator[h5py.File]:
    """Yield the open HDF5 file of a shard; ValueError if `path` is not one."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; bring it back, or run again if a job makes it") from None
    except OSError as error:
        if (code := faults.number(error)) in faults.LOST:  # nothing is wrong with the file
            raise OSError(code, os.strerror(code), str(path)) from None
        raise ValueError(f"{path}: not a readable HDF5 file ({error}); if a study made it, {remedy(path)}") from None
    with file:
        try:
            _check_format(file, path)
        except (OSError, KeyError, RuntimeError) as error:
            raise ValueError(f"{path}: damaged, its HDF5 structures cannot be read ({error})") from None
        yield file


def remedy(path: Path | str) -> str:
    """Return the command to repair a damaged shard of a study, see :mod:`robustlaws.data.repair`."""
    return f"robustlaws remake {path} makes it again; then run again"


def _check_format(file, path):
    given = _plain(file.attrs.get("format"))
    if given == "robustlaws-shard-1":
        raise ValueError(f"{path}: of the earlier format robustlaws-shard-1; delete it and run again")
    if given != FORMAT:
        raise ValueError(f"{path}: not a shard of this project (no attribute format = {FORMAT})")
    if not all(isinstance(file.get(name), h5py.Dataset) for name in ("image", "label", "digest")):
        raise ValueError(f"{path}: not a shard (it needs datasets image, label and digest)")
    plist = file["image"].id.get_create_plist()
    if any(plist.get_filter(i)[0] in PLUGIN_FILTERS for i in range(plist.get_nfilters())):
        plugin(path)


def attributes_of(file: h5py.File) -> dict[str, Any]:
    """Return the attributes of an :func:`opened` file, but for its provenance, as a dict of Python's own values."""
    return {name: _plain(file.attrs[name]) for name in file.attrs if name != embedded.KEY}


def values(file: h5py.File, path: Path | str, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (uint8) and labels (int64) `first` up to `stop` of an :func:`opened` file.

    Raises
    ------
    ValueError
        If the file cannot give them.
    """
    try:
        return file["image"][first:stop], file["label"][first:stop].astype(np.int64, copy=False)
    except OSError as error:
        raise ValueError(f"{path}: damaged within images {first} to {stop - 1} ({error})") from None


def _plain(value):
    """Return the value of an attribute as Python's own: text, a number, a list."""
    value = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
