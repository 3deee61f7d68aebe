"""Training on several processes: settings and programs for the ranks."""

import numpy as np
from safetensors.torch import load_file

from robustlaws.settings import Curve
from robustlaws.storage import tables
from tests.support.training_runs import training_settings


def off(folder, item, other):
    """Return how far two runs are apart: losses of their curves, and weights."""
    curves = [tables.read(folder / f"{name}.parquet", tables.CURVES) for name in (item, other)]
    losses = [curve[["adv_loss", "clean_loss", "train_loss"]].to_numpy() for curve in curves]
    weights = [load_file(folder / f"{name}.safetensors") for name in (item, other)]
    apart = [(weights[0][key].double() - weights[1][key].double()).abs().max().item() for key in weights[0]]
    return np.nanmax(np.abs(losses[0] - losses[1])), max(apart)


# Real images mixed in, a smaller last batch, held-out images measured by both.
SETTINGS = {"images": 120, "validation_images": 32, "attack_steps": 3}


def long():
    """Return settings of a run of 60 steps, so that a signal finds the processes at work."""
    return training_settings(images=480, batch=8, real_fraction=0, curve=Curve((0.5, 1.0), 20, 2, 0.1, 4))
