"""Figure: images under the attack of the training, beside clean ones and AutoAttack's."""

import numpy as np

from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.figures.drawing import mosaics, plotted_data, style
from robustlaws.formatting import numbers

_EXAMPLES, _ACROSS = {"test": 6, "train": 8}, {"test": 3, "train": 4}
_ROW, _HEAD = 1.28, 0.3  # inches of a row of examples, and of a heading


def draw(*, paths, train_images, test_images, inner_train, inner_test, autoattack_record):
    """Draw clean and attacked images with the classes that the network gives them.

    Test images are clean, under the training attack and under AutoAttack; training images are clean and under the
    training attack.

    Parameters
    ----------
    train_images, test_images : path
        Shards that the records' `index` counts in.
    inner_train, inner_test, autoattack_record : path
        Records of the attacks (:mod:`robustlaws.attacks.record`) on one network.

    Raises
    ------
    ValueError
        If a file cannot be read, the records are of different networks, or an index lies outside the images.
    """
    inner, auto, train = record.read(inner_test), record.read(autoattack_record), record.read(inner_train)
    for path, (_, about) in ((autoattack_record, auto), (inner_train, train)):
        if about["run"] != inner[1]["run"]:
            raise ValueError(f"{path}: the record of {about['run']}, but {inner_test} is of {inner[1]['run']}")
    run = inner[1]["run"]
    blocks = {
        "test": _rows(
            test_images, {"attack of the training": (inner_test, inner), "AutoAttack": (autoattack_record, auto)}
        ),
        "train": _rows(train_images, {"attack of the training": (inner_train, train)}),
    }
    there = {split: rows for split, rows in blocks.items() if len(rows["index"])}
    heights = [_HEAD + _ROW * -(-min(len(rows["index"]), _EXAMPLES[split]) // _ACROSS[split])
               for split, rows in there.items()]  # fmt: skip
    with style.drawing(paths, max(0.5 + sum(heights), 2.0)) as figure:
        figure.suptitle(f"The attack of the training on {style.short(run, 50)}")
        if not there:
            style.nothing(figure.subplots(), "no image was attacked")
        else:
            parts = figure.subfigures(len(there), 1, height_ratios=heights, squeeze=False)[:, 0]
            for part, (split, rows) in zip(parts, there.items(), strict=True):
                _block(part, split, rows)
        style.below(
            figure, lines=[*(_counts(split, rows) for split, rows in there.items()), _other_weights(inner, auto)]
        )


def _rows(images_path, attacks):
    """Return the outcomes on the images that all `attacks` (name -> (path, record)) met, in the order of the split."""
    images, labels = shards.read(images_path)
    index = None
    for _, (columns, _) in attacks.values():
        index = columns["index"] if index is None else np.intersect1d(index, columns["index"])
    index = np.sort(index)
    if len(index) and index[-1] >= len(images):
        path = next(path for path, (columns, _) in attacks.values() if index[-1] in columns["index"])
        raise ValueError(f"{path} index: image {index[-1]} wanted, {len(images)} in {images_path}")
    rows = {
        "index": index,
        "label": labels[index],
        "names": shards.attributes(images_path).get("class_names"),
        "versions": {"clean": images[index] / np.float32(255)},
        "given": {},
    }
    for name, (_, (columns, _)) in attacks.items():
        order = np.argsort(columns["index"], kind="stable")
        place = order[np.searchsorted(columns["index"], index, sorter=order)]
        rows["given"].setdefault("clean", columns["clean_prediction"][place])
        rows["given"][name] = columns["adversarial_prediction"][place]
        rows["versions"][name] = columns["adversarial"][place].astype(np.float32)
    return rows


def _shown(rows, most):
    """Return positions: first images that the last attack broke, one of each true class in turn, then others."""
    label = rows["label"]
    broken = (rows["given"]["clean"] == label) & (list(rows["given"].values())[-1] != label)
    turn, seen = np.zeros(len(label), dtype=int), {}
    for place, key in enumerate(zip(broken.tolist(), label.tolist(), strict=True)):
        turn[place] = seen[key] = seen.get(key, -1) + 1
    return np.lexsort((np.arange(len(label)), turn, ~broken))[:most]


def _block(part, split, rows):
    """Draw the examples of one split."""
    versions = list(rows["versions"])
    which = {"test": "test images", "train": "training images"}[split]
    part.suptitle(
        f"{which.capitalize()}: {', '.join(versions)}; below, the class given", x=0.01, ha="left", fontsize=10
    )
    shown = _shown(rows, _EXAMPLES[split])
    across = _ACROSS[split]
    grid = part.subplots(-(-len(shown) // across), across, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()

    def named(label):
        names = rows["names"]
        return style.short(names[label] if names and label < len(names) else label, 10)

    for axes, place in zip(grid, shown, strict=False):
        index, given = rows["index"][place], [named(rows["given"][version][place]) for version in versions]
        plotted_data.name(axes, f"{split} image {index}")
        tiles = [mosaics.as_rgb(rows["versions"][version][place][None])[0] for version in versions]
        meant = [(index, f"{version}: {name}") for version, name in zip(versions, given, strict=True)]
        heading = f"true: {named(rows['label'][place])}"
        mosaics.show(axes, [tiles], given, heading, [meant], series=which, gap=6, below=True)


def _counts(split, rows):
    """Return one sentence: how many images are right, clean and under each attack."""
    right = {version: int((given == rows["label"]).sum()) for version, given in rows["given"].items()}
    of = len(rows["index"])
    noun = {"test": "test image", "train": "training image"}[split]
    counts = [f"{number:,} {'clean' if version == 'clean' else f'under {_article(version)}'} "
            f"({numbers.percent(number / of)})" for version, number in right.items()]  # fmt: skip
    return f"{numbers.plural(of, noun)}, right of these: {', '.join(counts)}."


def _other_weights(*records):
    """Return a sentence where the records say that they are of different weights of the run; "" elsewhere."""
    known = {about["weights_sha256"] for _, about in records if "weights_sha256" in about}
    return "AutoAttack met other weights of the run than the attack of the training." if len(known) > 1 else ""


def _article(version):
    return version if version == "AutoAttack" else f"the {version}"
