"""The bytes of a shard, and its assembly in little memory.

`shards` is what others use; `docs/shards.md` describes the format.
"""

import hashlib
import json
import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from robustlaws import registry
from robustlaws.storage import embedded
from robustlaws.storage.atomic import hdf5

FORMAT = "robustlaws-shard-2"
BLOCK = 512  # bytes of the HDF5 user block
# A chunk has at most as many images, those that a reader takes at once (batches.BLOCK), and about as many bytes.
_CHUNK_IMAGES, _CHUNK_BYTES = 256, 4 << 20
_PORTION = 8 << 20  # bytes of images in memory at once while a file is written or checked
# Layout of `image`: arguments of h5py's create_dataset; hdf5plugin's class gives those of its compressions.
LAYOUTS: dict[str, Any] = {
    "contiguous": {},
    "chunked": {},
    "gzip": {"compression": "gzip"},
    "zstd": "Zstd",
    "lz4": "LZ4",
}
PLUGIN_FILTERS = (32004, 32015)  # registered numbers of lz4 and zstd
# Checksums in all of HDF5's own structures, which earlier versions lack; HDF5 1.10 (2016) and later read it.
_LIBVER = ("v110", "v110")


class PluginMissing(ValueError):
    """A compression is not installed here."""


def checksum(images: np.ndarray, labels: np.ndarray) -> str:
    """Return the SHA-256 (hex) of the bytes of `images` (uint8) and then `labels` (int64)."""
    digest = hashlib.sha256(np.ascontiguousarray(images, dtype=np.uint8).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()


def digests(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the 8-byte BLAKE2b (uint64, little endian) of each image's bytes followed by its label's (int64).

    Parameters
    ----------
    images : uint8 array (count, height, width, channels)
    labels : integer array (count,)
    """
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    classes = np.ascontiguousarray(labels, dtype="<i8")[:, None].view(np.uint8)
    concatenated = bytearray()
    for row, label in zip(rows, classes, strict=True):
        digest = hashlib.blake2b(row.data, digest_size=8)
        digest.update(label.data)
        concatenated += digest.digest()
    return np.frombuffer(bytes(concatenated), "<u8")


def portion_images(image_shape: tuple[int, ...], count: int) -> int:
    """Return the number of images to hold in memory at once: whole chunks, some megabytes."""
    size = math.prod(image_shape)
    chunk = _chunk(image_shape, count)
    return chunk * max(1, _PORTION // (chunk * size))


def check_arrays(path: Path | str, images: np.ndarray, labels: np.ndarray, image_shape: tuple[int, ...]) -> None:
    """Raise ValueError, naming `path`, unless these are images of `image_shape` (h, w, c) and their labels."""
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"{path}: images must be uint8 (count, height, width, channels), not {images.dtype} {images.shape}"
        )
    if images.shape[1:] != tuple(image_shape):
        raise ValueError(f"{path}: images must be of shape {tuple(image_shape)}, not {images.shape[1:]}")
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{path}: {len(images)} images need as many integer labels, not {labels.dtype} {labels.shape}")


def check_layout(path: Path | str, layout: str) -> None:
    """Raise ValueError, naming `path`, if a file of `layout` cannot be written here."""
    if isinstance(LAYOUTS[registry.check(layout, LAYOUTS, f"{path}: layout")], str):
        plugin(path)


def plugin(path: Path | str) -> Any:
    """Return hdf5plugin, which makes its compressions known to HDF5; ValueError (PluginMissing) if it is not there."""
    try:
        return import_module("hdf5plugin")
    except ImportError:
        raise PluginMissing(f"{path}: zstd and lz4 need a package that is missing: pip install hdf5plugin") from None


def _chunk(image_shape, count):
    return max(1, min(_CHUNK_IMAGES, count, _CHUNK_BYTES // math.prod(image_shape)))


def assemble(
    path: Path | str,
    portion: Callable[[int, int], tuple[np.ndarray, np.ndarray]],
    count: int,
    image_shape: tuple[int, ...],
    attributes: dict[str, Any],
    layout: str,
    stamp: dict[str, Any] | None,
) -> None:
    """Write the file at `path`, a few megabytes of images in memory at a time.

    Parameters
    ----------
    path : path
    portion : function (start, stop) -> images, labels
        Gives a part of the content, in order.
    count, image_shape, attributes, layout
        As in the file; checked before, but for the attributes.
    stamp : dict or None
        Provenance of the file.

    Raises
    ------
    ValueError
        If an attribute cannot be kept.
    """
    arguments = LAYOUTS[layout]
    if isinstance(arguments, str):
        arguments = getattr(plugin(path), arguments)()
    if layout != "contiguous":
        arguments = {**arguments, "chunks": (_chunk(image_shape, count), *image_shape)}
    kept = _kept(path, attributes)
    sha256, labels_there = hashlib.sha256(), []
    with hdf5(path, libver=_LIBVER, track_order=True, userblock_size=BLOCK) as file:
        # no times in the file: the same images give the same bytes
        image = file.create_dataset("image", (count, *image_shape), np.uint8, track_times=False, **arguments)
        digest = file.create_dataset("digest", count, "<u8", track_times=False)
        step = portion_images(image_shape, count)
        for start in range(0, count, step):
            images, labels = portion(start, min(start + step, count))
            image[start : start + len(images)] = images
            digest[start : start + len(images)] = digests(images, labels)
            sha256.update(np.ascontiguousarray(images).data)
            labels_there.append(labels.astype("<i8"))
        labels = np.concatenate(labels_there)  # 8 bytes an image
        sha256.update(labels.data)
        file.create_dataset("label", data=labels, track_times=False)
        for name, value in {"format": FORMAT, "checksum": sha256.hexdigest(), **kept}.items():
            try:
                _keep(file.attrs, name, value)
            except (TypeError, ValueError, OSError, RuntimeError):
                raise ValueError(f"{path}: attribute {name} cannot be kept: {value!r}; give text or numbers") from None
        embedded.stamp_hdf5(file, stamp)
    with open(path, "r+b") as file:
        block = _block(file)
        file.seek(0)
        file.write(block)


def _kept(path, attributes):
    kept = {}
    for name, value in attributes.items():
        if name in ("format", "checksum", embedded.KEY):
            raise ValueError(f"{path}: attribute {name} is the format's own; give yours another name")
        if isinstance(value, dict):
            value = json.dumps(value)
        if value is not None:
            kept[name] = list(value) if isinstance(value, tuple) else value
    return kept


def _keep(attributes, name, value):
    """Store one attribute, text at fixed length.

    HDF5 keeps other text in a heap without checksums; reading a damaged heap may never end.
    """
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
        encoded = [text.encode() for text in texts]
        kind = h5py.string_dtype("utf-8", max(1, *map(len, encoded)))
        stored = np.array(encoded, dtype=kind)
        attributes.create(name, stored[0] if isinstance(value, str) else stored, dtype=kind)
    else:
        attributes[name] = value


def _block(file):
    """Return the user block that belongs to an open file: a line of text, then zeros."""
    file.seek(BLOCK)
    sha256 = hashlib.sha256()
    while piece := file.read(1 << 20):
        sha256.update(piece)
    return f"{FORMAT} sha256={sha256.hexdigest()}\n".encode().ljust(BLOCK, b"\0")


def sealed(path: Path | str) -> bool:
    """Return whether every byte of the file is as it was written: its first line has the hash of all after it."""
    with open(path, "rb") as file:
        block = file.read(BLOCK)
        return block == _block(file)
