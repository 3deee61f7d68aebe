"""Real images in plain `.npy` files: one of images, one of classes, for each split."""

import numpy as np

from robustlaws.data.sources import Split


def npy(train_files, test_files, settings):
    """Return the splits of two `.npy` files each: uint8 (count, height, width, channels), and integers (count,)."""
    return tuple(_split(files, settings) for files in (train_files, test_files))


def _split(files, settings):
    if len(files) != 2:
        raise ValueError(f"source: {len(files)} files for a split; the source npy takes images.npy and labels.npy")
    images, labels = (np.load(path, allow_pickle=False) for path in files)
    return Split(images, labels.astype(np.int64), tuple(str(label) for label in range(settings.classes)))
