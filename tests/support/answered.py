"""Small human studies for the tests: stimuli, records of an attack, and answers given by hand."""

import h5py
import numpy as np
import pandas as pd

from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.humans import VARIANTS
from robustlaws.settings import Judging
from robustlaws.storage import human_tables, tables

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def stimulus(index, label, prediction, variant, split="test", check=False, part=1):
    """Return one row of the key; the clean prediction is the label."""
    return {
        "id": f"{split}-{index}-{variant}-{part}", "split": split, "index": int(index), "variant": variant,
        "is_attn_check": check, "label": int(label), "clean_prediction": int(label),
        "adversarial_prediction": int(prediction),
    }  # fmt: skip


def key_of(labels, predictions, images=None, split="test"):
    """Return the key of both variants of images (their positions; all of them) as a data frame."""
    images = np.arange(len(labels)) if images is None else images
    rows = [stimulus(index, labels[index], predictions[index], variant, split) for variant in VARIANTS
            for index in images]  # fmt: skip
    return tables.table(rows, human_tables.STIMULUS_KEY)


def answer(who, index, label, chosen, *, kind="person", variant="adversarial", confidence=None, split="test", **more):
    """Return one row of answers; `chosen` None: no class."""
    status = "refused" if chosen is None else "answered"
    return {
        "annotator_id": who, "kind": kind, "is_attn_check": 0, "true_category": CLASSES[label],
        "chosen_category": None if chosen is None else CLASSES[chosen], "true_label": int(label),
        "chosen_label": None if chosen is None else int(chosen), "correct_guess": int(chosen == label),
        "cifar10_test_test_idx": int(index), "split": split, "variant": variant, "confidence": confidence,
        "status": status,
    } | more  # fmt: skip


def table_of(rows):
    """Return answers as the checked data frame."""
    return tables.table(rows, human_tables.ANSWERS)


def attack_record(path, labels, predictions):
    """Write the record of an attack under which the network answers `predictions`."""
    results = {
        "index": np.arange(len(labels)), "label": labels, "clean_prediction": labels,
        "adversarial_prediction": predictions, "robust": predictions == labels,
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, values in results.items():
            file[name] = values
        file.attrs["format"] = record.FORMAT


def shard_of(path, labels, class_names=CLASSES):
    """Write a shard of grey images of two pixels a side."""
    attributes = {} if class_names is None else {"class_names": list(class_names)}
    shards.write(path, np.full((len(labels), 2, 2, 1), 128, "uint8"), np.asarray(labels), attributes)


def judging(**changes):
    """Return the paper's rule, with few resamples."""
    return Judging(**{"votes": 2, "confident": 1, "level": 0.95, "resamples": 200, "seed": 1} | changes)


def same(first, second):
    """Assert that two tables are equal, whatever their order."""
    order = ["annotator_id", "split", "variant", "cifar10_test_test_idx"]
    first, second = (frame.sort_values(order).reset_index(drop=True) for frame in (first, second))
    pd.testing.assert_frame_equal(first, second)
