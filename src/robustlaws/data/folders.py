"""Real images in folders of pictures and in `.npz` files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robustlaws.data.encoded_images import check_alike, class_folders, decoded, pictures_in
from robustlaws.data.npz import Archive, class_indices
from robustlaws.data.sources import Split
from robustlaws.runtime.progress import Progress
from robustlaws.settings import Import

_ROWS = 4096


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
    splits, names, first = [], None, None
    for split, paths in (("train", train_files), ("test", test_files or train_files)):
        classes = class_folders(_split_folder(paths, split))
        class_names = tuple(name for name, _ in classes)
        if names not in (None, class_names):
            other = sorted(set(names) ^ set(class_names))
            raise ValueError(
                f"{paths[0]}: {len(class_names)} classes for {split}, {len(names)} for train; only one has {other[0]}"
            )
        names = class_names
        files = [(path, label) for label, (_, each) in enumerate(classes) for path in pictures_in(each)]
        progress = Progress(f"reading pictures of {split}", len(files))
        images = np.empty(0, np.uint8)
        for row, (path, _) in enumerate(files):
            pixels = decoded(path.read_bytes(), path, settings.image_size)
            first = pixels.shape if first is None else first
            check_alike(pixels, first, path)
            if row == 0:
                images = np.empty((len(files), *first), np.uint8)
            images[row] = pixels
            progress.advance(1)
        splits.append(Split(images, np.array([label for _, label in files]), names))
    return tuple(splits)


def _split_folder(paths, split):
    if len(paths) != 1:
        raise ValueError(f"source.{split}_files: {len(paths)} given; the source folder takes one folder")
    inner = Path(paths[0]) / split
    return inner if inner.is_dir() else Path(paths[0])


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
    parts = [[_npz_part(path, settings) for path in files] for files in (train_files, test_files)]
    for split, those in zip(("train", "test"), parts, strict=True):
        if not those:
            raise ValueError(f"source.{split}_files: none given; the source npz takes one or more .npz files")
        for path, images, _ in those:
            check_alike(images[0], parts[0][0][1].shape[1:], path)
    classes = 1 + max(int(labels.max()) for those in parts for _, _, labels in those)
    names = tuple(str(k) for k in range(classes))
    return tuple(
        Split(np.concatenate([images for _, images, _ in those]), np.concatenate([y for _, _, y in those]), names)
        for those in parts
    )


def _npz_part(path, settings):
    archive = Archive(path)
    keys = settings.image_column or "image", settings.label_column or "label"
    image, label = (archive.array(key) for key in keys)
    if image.dtype != np.uint8 or len(image.shape) not in (3, 4) or not image.shape[0]:
        raise ValueError(
            f"{path}: array {keys[0]!r} is {image.dtype} {image.shape}; uint8 (count, height, width, channels) is read"
        )
    if label.shape[:1] != image.shape[:1]:
        raise ValueError(f"{path}: {image.shape[0]} images, labels {label.shape}")
    images, labels = (np.concatenate(list(array.blocks(_ROWS))) for array in (image, label))
    images = images if images.ndim == 4 else images[..., None]
    if images.shape[3] not in (1, 3):
        raise ValueError(f"{path}: array {keys[0]!r} is {image.shape}; 1 or 3 channels are wanted, last")
    return path, images, class_indices(labels, None, f"{path} array {keys[1]!r}")
