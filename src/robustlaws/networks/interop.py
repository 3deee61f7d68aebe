"""Other people's checkpoints, in and out."""

from dataclasses import replace
from hashlib import file_digest

import torch

from robustlaws.networks import checkpoint, wrn


def import_checkpoint(*, checkpoint_path, weights_path, settings):
    """Write weights that somebody else trained as our safetensors, with the SHA-256 of their file.

    Parameters
    ----------
    checkpoint_path, weights_path : path
        File to import, safetensors file to write.
    settings : settings.Checkpoint
    """
    with open(checkpoint_path, "rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    state = torch.load(checkpoint_path, weights_only=True, map_location="cpu")
    network = wrn.build(settings.architecture)
    network.load_state_dict(state.get("state_dict", state))
    checkpoint.save(weights_path, network, replace(settings, sha256=digest))
