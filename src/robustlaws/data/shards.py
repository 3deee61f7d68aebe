"""The HDF5 format of images and labels.

A shard holds two datasets of equal length, `image` (uint8, NHWC) and `label` (int64), and says in
the attributes of the file where they come from. Real images and generated ones use the same
format. The checksum covers the bytes of both datasets, so a damaged file is noticed when read whole.
"""

import hashlib

import h5py
import numpy as np

from robustlaws.files import replacing

FORMAT = "robustlaws-shard-1"


def checksum(images, labels):
    """Return the SHA-256 (hex) of the bytes of `images` (uint8) and then `labels` (int64)."""
    digest = hashlib.sha256(np.ascontiguousarray(images, dtype=np.uint8).tobytes())
    digest.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    return digest.hexdigest()


def write(path, images, labels, attributes):
    """Write one shard, whole or not at all.

    Parameters
    ----------
    path : path
    images : uint8 array (count, height, width, channels)
    labels : integer array (count,)
        Class of each image, from 0.
    attributes : dict of str to str, int, float or list of str
        Where the images come from; kept as attributes of the file.

    Raises
    ------
    ValueError
        If the arrays do not describe the same images or are not of these types.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"{path}: images must be uint8 (count, height, width, channels), not {images.dtype} {images.shape}"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{path}: {len(images)} images need as many integer labels, not {labels.dtype} {labels.shape}")
    with replacing(path) as partial, h5py.File(partial, "w", track_order=True) as file:
        file.create_dataset(
            "image", data=images, chunks=(min(len(images), 1024), *images.shape[1:]) if len(images) else None
        )
        file.create_dataset("label", data=labels.astype("<i8"))
        file.attrs["format"] = FORMAT
        file.attrs["checksum"] = checksum(images, labels)
        for name, value in attributes.items():
            file.attrs[name] = value


def attributes(path):
    """Return the attributes of a shard as a dict; ValueError if `path` is not a shard."""
    with _opened(path) as file:
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in file.attrs.items()}


def read(path, count=None):
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
    with _opened(path) as file:
        length = len(file["label"])
        if count is not None and count > length:
            raise ValueError(f"{path}: {count} images wanted, {length} there")
        images, labels = file["image"][:count], file["label"][:count].astype(np.int64)
        expected = file.attrs["checksum"]
    if len(labels) == length and checksum(images, labels) != expected:
        raise ValueError(f"{path}: damaged, its images do not match its checksum; delete it and run again")
    return images, labels


def read_range(path, first, stop):
    """Return images and labels number `first` up to `stop` (left out) of a shard, reading no others.

    Raises
    ------
    ValueError
        If the file is not a shard or has no such images.
    """
    with _opened(path) as file:
        length = len(file["label"])
        if not 0 <= first < stop <= length:
            raise ValueError(f"{path}: images {first} to {stop - 1} wanted, {length} there")
        return file["image"][first:stop], file["label"][first:stop].astype(np.int64)


def read_prefix(paths, count):
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
        with _opened(path) as file:
            length = len(file["label"])
        parts.append(read(path, None if length <= missing else missing))
        missing -= len(parts[-1][1])
    if missing or not parts:
        raise ValueError(f"{len(list(paths))} shards hold {count - missing} images; {count} wanted")
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _opened(path):
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not a readable HDF5 file ({error})") from None
    if file.attrs.get("format") != FORMAT:
        file.close()
        raise ValueError(f"{path}: not a shard of this project (no attribute format = {FORMAT})")
    return file
