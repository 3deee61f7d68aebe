"""Generators on disk: a JSON describing the network, and its weights as safetensors under the official keys.

Nothing in either file is executed. The same weights give the same bytes.
"""

import math

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from robustlaws import settings
from robustlaws.networks import ddpmpp, discriminator
from robustlaws.storage import embedded, provenance
from robustlaws.storage.atomic import read_json, replacing, write_json

FORMAT = "robustlaws-generator-1"
DENOISERS = ("edm", "pfgmpp")
KINDS = (*DENOISERS, "extractor", "discriminator")


def save(config_path, weights_path, module, about):
    """Write `module` and what it is used with.

    Parameters
    ----------
    config_path, weights_path : path
        JSON and safetensors to write.
    module : networks.ddpmpp.Preconditioned or networks.discriminator.EncoderUnet
    about : dict
        Its `kind` (edm, pfgmpp, extractor or discriminator), for pfgmpp `augmented_dimension`, and whatever
        else is worth keeping (JSON values). Of `format`, `network` and `sigma_data` the module's own count.

    Raises
    ------
    ValueError
        If `about` does not say the kind, or a kind that `module` is not.
    """
    denoiser = isinstance(module, ddpmpp.Preconditioned)
    config = {"format": FORMAT, "kind": about.get("kind")}
    config["network"] = settings.as_params(module.model.settings if denoiser else module.settings)
    if denoiser:
        config["sigma_data"] = module.sigma_data
    config |= {name: value for name, value in about.items() if name not in config}
    _check(config, config_path)
    if denoiser != (config["kind"] in DENOISERS):
        raise ValueError(f"{config_path} kind: a {type(module).__name__} is no {config['kind']}")
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in module.state_dict().items()}
    with replacing(weights_path) as partial:
        embedded.save_tensors(save_file, tensors, partial, "format", "pt", provenance.current(weights_path))
    write_json(config_path, config)


def load(config_path, weights_path, where):
    """Return (module, about) of two files that :func:`save` wrote.

    Parameters
    ----------
    config_path, weights_path : path
    where : torch.device

    Returns
    -------
    module : networks.ddpmpp.Preconditioned or networks.discriminator.EncoderUnet
        In eval mode, its parameters frozen.
    about : dict
        The metadata saved with it: `kind`, for edm and pfgmpp `sigma_data`, and so on.

    Raises
    ------
    ValueError
        If the two files do not hold one such network.
    """
    config = _read(config_path)
    module = _described(config, config_path)
    try:
        tensors = load_file(weights_path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{weights_path}: no safetensors file ({str(error).splitlines()[0]})") from None
    _compare(tensors, module, weights_path, config_path)
    module.load_state_dict(tensors)
    about = {name: value for name, value in config.items() if name not in ("format", "network")}
    return module.to(where).eval().requires_grad_(False), about


def _read(path):
    try:
        config = read_json(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        given_format = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ValueError(f"{path} format: {given_format!r}; a generator of this project says {FORMAT!r}")
    _check(config, path)
    return config


def _check(config, path):
    """Raise ValueError unless `config` says what its kind needs."""
    kind = config.get("kind")
    if kind not in KINDS:
        raise ValueError(f"{path} kind: unknown {kind!r}; known: {', '.join(KINDS)}")
    needed = {"edm": ("sigma_data",), "pfgmpp": ("sigma_data", "augmented_dimension")}.get(kind, ())
    for name in needed:
        value = config.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"{path} {name}: {value!r}; a positive number is needed")


def _described(config, path):
    """Return the network of `config`, with weights that mean nothing yet."""
    try:
        with torch.random.fork_rng(devices=[]):  # they draw no random numbers of others
            if config["kind"] in DENOISERS:
                network = settings.Network(**config["network"])
                return ddpmpp.Preconditioned(ddpmpp.build(network), config["sigma_data"])
            return discriminator.build(settings.Encoder(**config["network"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # RuntimeError: sizes beyond all memory
        raise ValueError(f"{path} network: {str(error).splitlines()[0]}") from None


def _compare(tensors, module, weights, config_path):
    """Raise ValueError unless `tensors` are exactly those of `module`, and finite."""
    wanted = module.state_dict()
    taps = module.model.settings.resample_filter if isinstance(module, ddpmpp.Preconditioned) else None
    for name in sorted(wanted.keys() | tensors.keys()):
        given = tensors.get(name)
        if given is None:
            raise ValueError(f"{weights}: no tensor {name}, which {config_path} needs")
        if name not in wanted:
            raise ValueError(f"{weights}: tensor {name}, which {config_path} has no place for")
        shape, dtype = list(wanted[name].shape), wanted[name].dtype
        if list(given.shape) != shape or given.dtype != dtype:
            actual = f"{list(given.shape)} {given.dtype}".replace("torch.", "")
            raise ValueError(f"{weights} {name}: {actual}; {config_path} needs {shape} {dtype}".replace("torch.", ""))
        if not torch.isfinite(given).all():
            raise ValueError(f"{weights} {name}: holds infinite or undefined numbers")
        if name.endswith("resample_filter") and not torch.equal(given, ddpmpp.resample_filter(taps)):
            raise ValueError(f"{weights} {name}: not the filter {list(taps)} that {config_path} says")
