"""Generators on disk, in diffusers' own format: config.json beside safetensors."""

import json
from pathlib import Path

from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file

from robustlaws.files import replacing, write_json

EXTRA = "robustlaws"


def save(config_path, weights_path, network, about):
    """Write `network` as `UNet2DModel.from_pretrained` reads it.

    Parameters
    ----------
    config_path, weights_path : path
        ``config.json`` and ``diffusion_pytorch_model.safetensors`` of one folder.
    network : UNet2DModel
    about : dict
        What the network is used with (preconditioning, training); kept under the key "robustlaws" of
        the config, which diffusers passes over.
    """
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in network.state_dict().items()}
    with replacing(weights_path) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
    config = {name: value for name, value in network.config.items() if not name.startswith("_")}
    write_json(config_path, {"_class_name": "UNet2DModel", **config, EXTRA: about})


def load(config_path, weights_path, where):
    """Return (UNet2DModel in eval mode on device `where`, the dict it is used with).

    Raises
    ------
    ValueError
        If the two files do not hold one such network.
    """
    config = json.loads(Path(config_path).read_text(encoding="utf-8"))
    about = config.pop(EXTRA, None)
    if about is None:
        raise ValueError(f"{config_path}: no key {EXTRA!r}; not a generator trained here")
    network = UNet2DModel.from_config(config)
    try:
        network.load_state_dict(load_file(weights_path))
    except RuntimeError as error:
        raise ValueError(f"{weights_path}: not the weights of {config_path} ({str(error).splitlines()[0]})") from None
    return network.to(where).eval().requires_grad_(False), about
