"""Sources of real labelled images, and their import into shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustlaws import registry
from robustlaws.data import SOURCES, encoded_images, shards
from robustlaws.data.npz import class_indices
from robustlaws.runtime.logger import log
from robustlaws.seeds import derive
from robustlaws.settings import Import


@dataclass(frozen=True)
class Split:
    """Images of one split: uint8 (count, height, width, channels), int64 labels, names of the classes."""

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


def import_source(
    *,
    train_path: Path | str,
    test_path: Path | str,
    train_files: Sequence[str],
    test_files: Sequence[str],
    settings: Import,
) -> None:
    """Import the training and the test split of a source into two shards.

    Parameters
    ----------
    train_path, test_path : path
        HDF5 files to write.
    train_files, test_files : list of path
        Files of the source; empty for a source that ships with a package.
    settings : Import

    Raises
    ------
    ValueError
        If the source does not give what the settings ask of it: so many images, of such a size, of so many classes.
    """
    splits = dict(
        zip(("train", "test"), registry.load(settings.source, SOURCES)(train_files, test_files, settings), strict=True)
    )
    for name, split in splits.items():
        _check(split, name, settings)
    for (name, split), path in zip(splits.items(), (train_path, test_path), strict=True):
        wanted = getattr(settings, f"{name}_images")
        split = mixed(split, derive(settings.seed, "order", name))
        images, labels = split.images[:wanted], split.labels[:wanted]
        about = {"source": settings.source, "split": name, "class_names": list(split.class_names)}
        shards.write(path, images, labels, about)
        log.info("%s: %d images of %s, %s", name, len(labels), "x".join(map(str, images.shape[1:])), path)


def _check(split, name, settings):
    """Raise ValueError unless a split has the images that the study is of."""
    source, wanted = f"source {settings.source}", getattr(settings, f"{name}_images")
    if wanted is not None and wanted > len(split.labels):
        raise ValueError(f"source.{name}_images: {wanted} wanted, {source} has {len(split.labels)}")
    height, width, channels = split.images.shape[1:]
    if (height, width) != (settings.size, settings.size):
        raise ValueError(f"image.size: {settings.size} given, {source} has images of {width}x{height} pixels")
    if channels != settings.channels:
        raise ValueError(f"image.channels: {settings.channels} given, images of {source} have {channels}")
    if (highest := split.labels.max()) >= settings.classes:
        raise ValueError(f"image.classes: {settings.classes} given, labels of {source} go up to {highest}")


def mixed(split: Split, seed: int) -> Split:
    """Return `split` in a random order if its images lie class by class, else as it is.

    The first images of a split stand for it in several places, so they must be of all classes. Images lie class by
    class if they are sorted, or if the class changes less than half as often as in a random order: several sorted
    files may stand one after the other.
    """
    steps = np.diff(split.labels)
    shares = np.unique(split.labels, return_counts=True)[1] / max(1, len(split.labels))
    changes = np.count_nonzero(steps)
    # of so few images that random orders are now and then sorted, the sorted ones are mixed too
    sorted_whole = changes and (steps >= 0).all()
    if not sorted_whole and changes >= (1 - (shares**2).sum()) * len(steps) / 2:
        return split
    order = np.random.default_rng(seed).permutation(len(split.labels))
    log.info("the images lie class by class; they are taken in a random order")
    return Split(split.images[order], split.labels[order], split.class_names)


def digits(train_files: Sequence[str], test_files: Sequence[str], settings: Import) -> tuple[Split, ...]:
    """Return the handwritten digits of scikit-learn: 1,797 grey images of 8x8 pixels, split by seed.

    The test split is the first `test_images` of a random order, the training split is the rest.

    Source: UCI "Optical recognition of handwritten digits", test part, as shipped by scikit-learn.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # 17 grey levels, 0..16, onto 0..255
    images = np.round(bunch.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(derive(settings.seed, "digits split")).permutation(len(labels))
    n_test = settings.test_images
    if n_test is None or n_test >= len(labels):
        raise ValueError(
            f"source.test_images: {n_test}; digits has {len(labels)} images to split, give 1 to {len(labels) - 1}"
        )
    names = tuple(str(digit) for digit in range(10))
    parts = (order[n_test:], order[:n_test])
    return tuple(Split(images[part], labels[part], names) for part in parts)


def hub_parquet(train_files: Sequence[str], test_files: Sequence[str], settings: Import) -> tuple[Split, ...]:
    """Return the splits of Parquet files in the public hub's image layout.

    One column is a struct with the encoded image in `bytes` (PNG or JPEG), one holds the class; the names
    of the classes are read from the schema's metadata where they stand there.
    """
    return tuple(_hub_split(files, settings) for files in (train_files, test_files))


def _hub_split(files, settings):
    images, labels, names = [], [], None
    for path in files:
        file = encoded_images.Hub(path, settings.image_column, settings.label_column)
        for row, pixels in file.images():
            images.append(pixels)
            encoded_images.check_alike(pixels, images[0].shape, f"{path} row {row}")
        names = names or file.class_names
        where = f"{path} column {settings.label_column!r}"
        labels += [class_indices(block, len(names) or None, where) for block in file.labels()]
    if not images:
        raise ValueError(f"{', '.join(map(str, files)) or 'source'}: no images for a split; give it Parquet files")
    images, labels = np.stack(images), np.concatenate(labels)
    return Split(images, labels, names or tuple(str(k) for k in range(int(labels.max()) + 1)))
