"""Generator networks with the weights of a recorded archive."""

import json

import torch

from robustlaws import settings
from robustlaws.networks import ddpmpp

NETWORK = settings.Network.__dataclass_fields__


def network_settings(given):
    """Return the `settings.Network` of an official file's arguments; those it does not store are the defaults."""
    defaults = {"in_channels": 3, "out_channels": 3, "channel_mult_emb": 4, "num_blocks": 4, "attn_resolutions": (16,)}
    every = defaults | {"label_dropout": 0.0} | given
    return settings.Network(**{name: every[name] for name in NETWORK})


def denoiser(arrays):
    """Return the preconditioned network of an archive, with its weights."""
    config = json.loads(str(arrays["config"]))
    network = network_settings(config["effective"] | config["inner"] | config["outer"])
    built = ddpmpp.Preconditioned(ddpmpp.build(network), config["effective"]["sigma_data"])
    weights = {key[3:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("sd/")}
    assert list(weights) == list(built.state_dict())
    built.load_state_dict(weights)
    return built.eval()
