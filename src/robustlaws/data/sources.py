"""Sources of real labelled images, and their import into shards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from robustlaws import registry
from robustlaws.data import SOURCES, encoded_images, image_files, shards
from robustlaws.data.npz import class_indices
from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
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
    class if they are sorted, or if the class changes less than half as often as in a random order. Several sorted files
    may stand one after the other.
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

    One column is a struct with the encoded image in `bytes` (PNG or JPEG), one holds the class. The class names come
    from the schema's metadata where it has them.
    """
    return _of_files("parquet", (train_files, test_files), settings)


def npz(train_files: Sequence[str], test_files: Sequence[str], settings: Import) -> tuple[Split, ...]:
    """Return the splits of `.npz` files, read without unpickling anything.

    Parameters
    ----------
    train_files, test_files : list of path
        Files that are taken one after the other.
    settings : Import
        `image_column` and `label_column` name the arrays, `image` and `label` if they are None: uint8
        (count, height, width, channels) or grey (count, height, width), and whole numbers (count,).

    Raises
    ------
    ValueError
        If a file does not hold such arrays, or not of one shape.
    """
    return _of_files("npz", (train_files, test_files), settings)


def folder(train_files: Sequence[str], test_files: Sequence[str], settings: Import) -> tuple[Split, ...]:
    """Return the splits of folders of PNG and JPEG pictures with one folder for each class.

    Parameters
    ----------
    train_files, test_files : list of path
        One folder each, of the class folders; or one folder for both, with `train` and `test` in it.
    settings : Import
        With `image_size`, pictures of any size are brought to it, see :func:`robustlaws.data.encoded_images.decoded`;
        otherwise all must have the size of the first.

    Raises
    ------
    ValueError
        If the splits have not the same classes, or the pictures not the same shape.
    """
    paths = {"train": train_files, "test": test_files or train_files}
    folders = [_split_folder(each, split) for split, each in paths.items()]
    train, test = ([name for name, _ in encoded_images.class_folders(path)] for path in folders)
    if train != test:
        other = sorted(set(train) ^ set(test))[0]
        raise ValueError(f"{folders[1]}: {len(test)} classes for test, {len(train)} for train; only one has {other}")
    return _of_files("folder", [[path] for path in folders], settings)


def _split_folder(paths, split):
    if len(paths) != 1:
        raise ValueError(f"source.{split}_files: {len(paths)} given; the source folder takes one folder")
    inner = Path(paths[0]) / split
    return inner if inner.is_dir() else Path(paths[0])


def _of_files(kind, files_of_splits, settings):
    """Return the splits that files of one kind (a key of `image_files.FORMATS`) hold, all of one shape."""
    keys = settings.image_column or "image", settings.label_column or "label"
    expected, splits = image_files.Expected(*keys, side=settings.image_size), []
    for split, paths in zip(("train", "test"), files_of_splits, strict=True):
        if not paths:
            raise ValueError(f"source.{split}_files: none given; the source {settings.source} takes one or more files")
        images, labels, names = [], [], ()
        layouts = [image_files.opened(path, kind, expected) for path in paths]
        progress = Progress(f"reading images of {split}", sum(layout.count for layout in layouts))
        for layout in layouts:
            layout.shape = layout.shape or expected.shape
            for block in layout.images():
                images.append(block)
                progress.advance(len(block))
            expected = replace(expected, shape=expected.shape or layout.shape)
            encoded_images.check_alike(images[-1][0], expected.shape, layout.path)
            names = names or layout.class_names
            where = f"{layout.path}: {keys[1]!r}"
            labels += [class_indices(np.asarray(block), len(names) or None, where) for block in layout.labels()]
        splits.append((np.concatenate(images), np.concatenate(labels), names))
    classes = 1 + max(int(labels.max()) for _, labels, _ in splits)
    numbers = tuple(map(str, range(classes)))
    return tuple(Split(images, labels, names or numbers) for images, labels, names in splits)
