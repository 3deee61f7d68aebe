"""Figure: images of each dataset by class, beside real images."""

import numpy as np

from robustlaws.data import shards as shard_files
from robustlaws.figures.drawing import inputs, mosaics, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage.atomic import read_json

_MOST_CLASSES = 10


def _first_of_each_class(images, labels, classes, rows):
    """Return `rows` rows with one of `images` a class; None where a class has too few."""
    tiles = [[None] * len(classes) for _ in range(rows)]
    for column, label in enumerate(classes):
        for row, position in enumerate(np.flatnonzero(labels == label)[:rows]):
            tiles[row][column] = images[position]
    return tiles


def _labels(path):
    with shard_files.opened(path) as file:
        try:
            return file["label"][:]
        except OSError as error:
            raise ValueError(f"{path}: damaged within its labels ({error})") from None


def _block(path, classes, rows):
    """Return the tiles of a shard and their indices, reading its labels and the chosen images only.

    A shard may hold a million images.
    """
    labels = _labels(path)
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:rows] for label in classes]))
    if not len(chosen):
        return (_first_of_each_class(chosen, chosen, classes, rows),) * 2
    with shard_files.opened(path) as file:
        try:
            images, digests = file["image"][chosen], file["digest"][chosen]
        except OSError as error:
            raise ValueError(f"{path}: damaged within images {chosen[0]} to {chosen[-1]} ({error})") from None
    wrong = chosen[shard_files.digests(images, labels[chosen]) != digests]
    if len(wrong):
        raise ValueError(f"{path}: damaged, image {wrong[0]} does not match its digest; {shard_files.remedy(path)}")
    return tuple(_first_of_each_class(each, labels[chosen], classes, rows) for each in (mosaics.as_rgb(images), chosen))


def _dataset_title(attributes, fid):
    name, generator = str(attributes["dataset"]), str(attributes.get("generator", ""))
    parts = [name] if generator in name else [f"{name} ({generator})"]
    if "steps" in attributes:
        parts.append(numbers.plural(int(attributes["steps"]), "step"))
    parts.append("FID not measured" if fid is None else f"FID {numbers.fid(fid)}")
    return ", ".join([style.short(parts[0], 24), *parts[1:]])


def _class_names(train_images, labels):
    names = shard_files.attributes(train_images).get("class_names")
    present = np.unique(labels)
    if names is None or len(names) <= present.max():
        return present, {int(label): str(label) for label in present}
    return present, {int(label): str(names[label]) for label in present}


def draw(*, paths, train_images, shards, quality):
    """Draw a block of images for the real data and for each dataset, columns = classes.

    Parameters
    ----------
    train_images : path
        Shard of the real training images; its "class_names" head the columns.
    shards : list of paths
        The first shard of each dataset.
    quality : list of paths
        JSON files with "dataset" and "fid".

    Raises
    ------
    ValueError
        If a file cannot be read or its images are neither grey nor RGB.
    """
    fids = {entry["dataset"]: entry.get("fid") for entry in map(read_json, quality)}
    described = {path: shard_files.attributes(path) for path in shards}
    by_name = {str(attributes["dataset"]): path for path, attributes in described.items()}
    order = inputs.fid_order((name, fids.get(name)) for name in by_name)

    present, names = _class_names(train_images, _labels(train_images))
    picks = np.linspace(0, len(present) - 1, min(len(present), _MOST_CLASSES)).round().astype(int)
    classes = present[picks]
    rows = 3 if len(order) < 6 else 2
    blocks = [("real training images", train_images, "real training images")]
    blocks += [(name, by_name[name], _dataset_title(described[by_name[name]], fid)) for name, fid in order.items()]

    columns = 2 if len(blocks) > 1 else 1
    block_width = style.WIDTH / columns
    height = rows * block_width / max(len(classes), 4) + 0.42
    with style.drawing(paths, height * -(-len(blocks) // columns) + 0.3) as figure:
        figure.suptitle("Images of each dataset")
        labels = [names[int(c)] for c in classes]
        for axes, (name, path, heading) in zip(style.panels(figure, len(blocks), columns), blocks, strict=True):
            plotted_data.name(axes, name)
            tiles, indices = _block(path, classes, rows)
            if any(tile is not None for row in tiles for tile in row):
                meant = [list(zip(row, labels, strict=True)) for row in indices]
                mosaics.show(axes, tiles, labels, heading, meant, series=name)
            else:
                style.nothing(axes, f"{heading}: the first shard holds none of these classes")
        if len(classes) < len(present):
            style.below(figure, lines=[f"{len(classes)} of {len(present)} classes are shown."])
