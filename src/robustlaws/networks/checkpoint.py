"""Weights of a trained network, as safetensors."""

import json

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from robustlaws.networks import wrn
from robustlaws.settings import as_params
from robustlaws.storage import embedded, provenance
from robustlaws.storage.atomic import replacing


def save(path, network, settings):
    """Write the state dict of `network` with the settings it was trained under."""
    tensors = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    with replacing(path) as partial:
        about = json.dumps(as_params(settings))
        embedded.save_tensors(save_file, tensors, partial, "settings", about, provenance.current(path))


def load(path, architecture, where):
    """Return the network at `path` in eval mode, its parameters frozen, on device `where`.

    Raises
    ------
    ValueError
        If the file is no safetensors file or holds another network.
    """
    network = wrn.build(architecture)
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        shape = f"WRN-{architecture.depth}-{architecture.width}"
        raise ValueError(f"{path}: not the weights of a {shape} ({str(error).splitlines()[0]})") from None
    return network.to(where).eval().requires_grad_(False)


def settings_of(path):
    """Return the settings (dict) that the network at `path` was trained or imported under."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["settings"])
