"""Figure: test images, the attacked images that fooled the network, and the difference."""

import numpy as np

from robustlaws.attacks import record
from robustlaws.data import shards as shard_files
from robustlaws.figures.drawing import mosaics, plotted_data, style
from robustlaws.formatting import numbers

_COLUMNS = ("index", "label", "clean_prediction", "adversarial_prediction", "robust", "broken_by")
_EXAMPLES = 6
_RUNS_IN_NOTES = 6


def _read(path):
    """Return the record of an attack without its images: a test split of them is large, and one run's are drawn."""
    columns, attributes = record.read(path)
    try:
        attack = {name: columns[name] for name in _COLUMNS}
        attack |= {name: attributes[name] for name in ("run", "epsilon", "attacks")}
    except KeyError as error:
        raise ValueError(f"{path}: the record has no {error.args[0]}") from None
    return attack | {"path": path}


def _right_when_clean(attack):
    return attack["clean_prediction"] == attack["label"]


def _counts(attack):
    """Return one sentence: how many images each attack broke."""
    right = _right_when_clean(attack)
    broken = [f"{name} {int((right & (attack['broken_by'] == i)).sum())}" for i, name in enumerate(attack["attacks"])]
    return (
        f"{attack['run']}: {numbers.plural(len(right), 'test image')}, {int(right.sum())} right when clean; "
        f"broken by {', '.join(broken)}; {int((right & attack['robust']).sum())} right under all "
        f"({numbers.percent(float((right & attack['robust']).mean()))})."
    )


def _chosen(attack):
    """Return positions of fooling images, one of each true class in turn."""
    fooled = np.flatnonzero(_right_when_clean(attack) & ~attack["robust"])
    turn = np.zeros(len(fooled), dtype=int)
    seen = {}
    for i, label in enumerate(attack["label"][fooled]):
        turn[i] = seen[label] = seen.get(label, -1) + 1
    return fooled[np.argsort(turn, kind="stable")][:_EXAMPLES]


def _heading(attack, position, names):
    """Return the true class, the class given to the attacked image, and the attack that broke it."""
    classes = [
        str(names[label] if names is not None and label < len(names) else label)
        for label in (attack[column][position] for column in ("label", "adversarial_prediction"))
    ]
    by = int(attack["broken_by"][position])
    return *classes, f" ({attack['attacks'][by]})" if 0 <= by < len(attack["attacks"]) else ""


def draw(*, paths, test_images, autoattack):
    """Draw clean image, attacked image and amplified difference of images that fooled a network.

    Parameters
    ----------
    test_images : path
        Shard of the real test images; "index" of the attack files counts in it.
    autoattack : list of paths
        HDF5 results of the attacked runs; the examples come from the most robust one.

    Raises
    ------
    ValueError
        If a file cannot be read, or an index lies outside the test images.
    """
    attacks = sorted(map(_read, autoattack), key=lambda attack: -(attack["robust"] & _right_when_clean(attack)).mean())
    shown = _chosen(attacks[0]) if attacks else np.zeros(0, dtype=int)
    rows = -(-len(shown) // 2)
    with style.drawing(paths, max(1.62 * rows + 0.7, 2.0)) as figure:
        figure.suptitle("Attacked test images that fooled the network")
        if not len(shown):
            why = f"AutoAttack fooled {attacks[0]['run']} on no image" if attacks else "no run was attacked"
            style.nothing(figure.subplots(), why)
        else:
            _examples(figure, attacks[0], shown, test_images)
        remarks = [_counts(attack) for attack in attacks[:_RUNS_IN_NOTES]]
        if len(attacks) > _RUNS_IN_NOTES:
            remarks.append(f"{len(attacks) - _RUNS_IN_NOTES} more attacked runs are not listed.")
        style.below(figure, lines=remarks)


def _examples(figure, attack, shown, test_images):
    images, _ = shard_files.read(test_images)
    index = attack["index"][shown]
    if index.max() >= len(images):
        raise ValueError(f"{attack['path']} index: image {index.max()} wanted, {len(images)} in {test_images}")
    attacked = record.read(attack["path"])[0]["adversarial"][shown].astype(np.float32)
    clean = images[index] / np.float32(255)
    # the radius fills the scale from grey to black or white
    gain = 0.5 / attack["epsilon"] if attack["epsilon"] > 0 else 1.0
    triples = [mosaics.as_rgb(x) for x in (clean, attacked, 0.5 + gain * (attacked - clean))]
    names = shard_files.attributes(test_images).get("class_names")
    for i, axes in enumerate(style.panels(figure, len(shown), 2)):
        labels = ["clean", "attacked", f"difference {numbers.TIMES}{gain:.3g}"]
        true, given, attacker = _heading(attack, shown[i], names)
        plotted_data.name(axes, f"test image {index[i]}")
        meant = [(index[i], f"clean: {true}"), (index[i], f"attacked: {given}{attacker}"), (index[i], labels[2])]
        heading = f"{style.short(true, 16)} → {style.short(given, 16)}{attacker}"
        tiles = [[images[i] for images in triples]]
        mosaics.show(axes, tiles, labels, heading, [meant], series=attack["run"], gap=6, below=True)
