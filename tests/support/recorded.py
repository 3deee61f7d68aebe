"""Recorded numbers: their folder, their precisions and the network of an archive."""

import json
from pathlib import Path

import numpy as np
import torch

from robustlaws.networks import wrn

REFERENCE = Path(__file__).parents[1] / "reference" / "data"
PRECISIONS = {"f32": torch.float32, "f64": torch.float64}


def cases(name):
    """Return the numbers of the cases of an archive."""
    return range(len(json.loads(str(np.load(REFERENCE / f"{name}.npz")["meta"]))["cases"]))


def network(arrays, meta, dtype):
    """Return the WideResNet of an archive in train mode; float64 widens its float32 weights and constants."""
    built = wrn.WideResNet(meta["depth"], meta["width"], meta["num_classes"], 3, meta["mean"], meta["std"])
    built.load_state_dict({key[2:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("w.")})
    return built.to(dtype)
