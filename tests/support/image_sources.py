"""Files of real images, good and hostile."""

import os

import numpy as np
from PIL import Image

from robustlaws.data import shards, sources
from robustlaws.settings import Import

RNG = np.random.default_rng(0)


def some_images(count, size=4, channels=1):
    return RNG.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def import_files(folder, source, train_files, test_files=(), **changes):
    asked = {"train_images": None, "test_images": None, "image_column": None, "label_column": None}
    asked |= {"size": 8, "channels": 1, "classes": 12, **changes}
    paths = folder / "train.h5", folder / "test.h5"
    sources.import_source(
        train_path=paths[0],
        test_path=paths[1],
        train_files=train_files,
        test_files=test_files,
        settings=Import(source=source, seed=1, **asked),
    )
    return [shards.read(path) for path in paths]


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def picture(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.squeeze())
    (image.convert(mode) if mode else image).save(path)


def picture_folders(root, images, names=("cat", "dog")):
    for k, image in enumerate(images):
        picture(root / names[k % len(names)] / f"{k:03}.png", image)
    return root
