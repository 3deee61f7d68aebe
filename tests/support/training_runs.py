"""Training runs of a tiny network, and the batches that they see."""

import torch

from robustlaws.data import shards
from robustlaws.settings import Architecture, Compute, Curve, Threat, Training
from robustlaws.training import loop
from robustlaws.training.batches import Batches, ImagesInMemory

ARCHITECTURE = Architecture(10, 1, 10, 1, 8, (0.3,), (0.38,))


def training_settings(**changes):
    given = {
        "run": "wrn-10-1/edm-3/128/1", "architecture": ARCHITECTURE, "threat": Threat("Linf", 0.15), "seed": 3,
        "images": 128, "real_fraction": 0.125, "batch": 16, "beta": 5, "label_smoothing": 0.1, "attack_steps": 1,
        "attack_step_size": 0.1, "crop_padding": 1, "mirror": False, "learning_rate": 0.1, "warmup_fraction": 0.1,
        "momentum_low": 0.85, "momentum_high": 0.95, "weight_decay": 5e-4, "average_decay": 0.9,
        "batchnorm_momentum": 0.1,
        "curve": Curve((0.5, 1.0), 20, 2, 0.1, 4),
    }  # fmt: skip
    return Training(**(given | changes))


def train(folder, name, settings=None, shard_names=("shard",), **compute):
    paths = folder / f"{name}.safetensors", folder / f"{name}-best.safetensors", folder / f"{name}.parquet"
    loop.train(
        real_path=folder / "real.h5",
        test_path=folder / "test.h5",
        shard_paths=[folder / f"{shard}.h5" for shard in shard_names],
        weights_path=paths[0],
        best_path=paths[1],
        curve_path=paths[2],
        state_path=folder / f"{name}.partial",
        settings=settings or training_settings(),
        revision="train-r1",
        compute=Compute(**compute),
    )
    return [path.read_bytes() for path in paths]


def _batches(folder, settings, held_out=0):
    images, labels = (torch.from_numpy(part) for part in shards.read(folder / "shard.h5"))
    drawn = settings.synthetic_images
    return Batches(
        ImagesInMemory(images[:drawn], labels[:drawn], settings.seed, "synthetic order"),
        ImagesInMemory(images[held_out:], labels[held_out:], settings.seed, "real order"),
        settings,
    )
