"""A trained network's files and the measurement of its training attack."""

import numpy as np
import torch

from robustlaws.data import shards
from robustlaws.networks import checkpoint, wrn
from robustlaws.settings import Architecture, Compute, InnerAttack, Threat
from tests.support.training_runs import training_settings

EPSILON, STEP, STEPS, SEED = 0.1, 0.03, 7, 11


ARCHITECTURE = Architecture(10, 1, 10, 1, 8, (0.3,), (0.38,))


def files(folder, count=40):
    """Write weights of a small network and a shard; return the arguments of the attack but for its settings."""
    torch.manual_seed(1)
    network = wrn.build(ARCHITECTURE)
    network.train()(torch.rand(64, 1, 8, 8))  # statistics that are not those of the start
    network.eval()
    checkpoint.save(folder / "weights.safetensors", network, training_settings(architecture=ARCHITECTURE))
    images = np.random.default_rng(3).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    with torch.no_grad():
        labels = network(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).argmax(1).numpy()
    labels[:4] = (labels[:4] + 1) % 10  # four that are wrong from the start
    shards.write(folder / "images.h5", images, labels, {})
    paths = {"weights_path": folder / "weights.safetensors", "images_path": folder / "images.h5"}
    return paths | {"outcome_path": folder / "inner.h5", "compute": Compute()}


def attack(**changes):
    given = {"run": "a/run", "architecture": ARCHITECTURE, "threat": Threat("Linf", 0.02), "seed": SEED, "steps": 5,
             "step_size": 0.008, "objective": "kl", "images": None, "batch": 16}  # fmt: skip
    return InnerAttack(**(given | changes))
