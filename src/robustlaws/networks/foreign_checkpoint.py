"""Import of other people's WideResNet checkpoints.

In: our safetensors and the `.pt` layouts of RobustBench and of the paper's code, none of which gets to run
code of its own. Out: the `.pt` that RobustBench's loader takes, with the `model_info` that its
leaderboard asks for. The bare keys are those of RobustBench's DMWideResNet, which are ours.

Source: spec/interop.md 4a; spec/training.md 1, 6.
"""

import pickletools
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from robustlaws.networks import checkpoint, wrn
from robustlaws.runtime.logger import log
from robustlaws.storage.atomic import digest

# distributed training adds module., a wrapper with a normalisation layer model., the paper's Sequential 0.
_PREFIX = re.compile(r"(?:module\.)?(?:model\.)?(?:0\.)?")
_NORMALISATION = ("mean", "std")


class Shape(NamedTuple):
    """The shape of a WideResNet, read from its tensors."""

    depth: int
    width: int
    classes: int
    channels: int

    def __str__(self):
        return f"WRN-{self.depth}-{self.width} ({self.classes} classes, {self.channels} channels)"


def read(path, unaveraged=False):
    """Return the state dict of the file at `path` under the bare names.

    Parameters
    ----------
    path : path
        `.safetensors` of this project, or what torch reads: a bare state dict, one under `state_dict`,
        or the paper's pair of `model_state_dict` (averaged) and `unaveraged_model_state_dict`; its keys
        bare or all behind one chain of `module.`, `model.`, `0.`.
    unaveraged : bool
        Take the raw weights of the pair.

    Returns
    -------
    dict of str to tensor on the CPU
        In the order of the file, which they may be mapped from; `mean` and `std` (any shape) are there
        if the file has them.

    Raises
    ------
    ValueError
        One line with the file and what is wrong, also for a file that would run code; nothing of it runs.
    """
    if Path(path).suffix == ".safetensors":
        try:
            content = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: not a readable safetensors file ({_first(error)})") from None
    else:
        content = _unpickled(path)
    return _bare(_state_in(content, unaveraged, path), path)


def architecture_of(state, path="state dict"):
    """Return the :class:`Shape` of the WideResNet that `state` belongs to.

    Parameters
    ----------
    state : dict of str to tensor
        Bare names; `mean`, `std` and the counters of BatchNorm may be there or not.
    path : path
        Where it comes from, for the error.

    Raises
    ------
    ValueError
        If it is no whole WideResNet: with the first key that is missing, of another shape or too many.
    """
    for key, axes in (("init_conv.weight", 4), ("logits.weight", 2)):
        if key not in state or state[key].ndim != axes:
            how = f"has {state[key].ndim} axes, not {axes}" if key in state else f"is missing; it holds {_some(state)}"
            raise ValueError(f"{path}: no WideResNet of this kind, {key} {how}")
    blocks = {key.split(".")[3] for key in state if key.startswith("layer.0.block.")}
    (classes, last), channels = state["logits.weight"].shape[:2], state["init_conv.weight"].shape[1]
    shape = Shape(4 + 6 * len(blocks), last // 64, classes, channels)
    if not blocks or not shape.width:
        raise ValueError(f"{path}: no WideResNet of this kind; it holds {_some(state)}")
    with torch.device("meta"):
        expected = {key: tuple(tensor.shape) for key, tensor in wrn.WideResNet(*shape).state_dict().items()}
    for key, wanted in expected.items():
        if key not in state and not key.endswith(".num_batches_tracked"):
            raise ValueError(f"{path}: {key} is missing; it looks like a {shape}")
        if key in state and tuple(state[key].shape) != wanted:
            given = tuple(state[key].shape)
            raise ValueError(f"{path}: {key} has the shape {given}; a {shape} has {wanted}")
    others = [key for key in state if key not in expected and key not in _NORMALISATION]
    if others:
        raise ValueError(f"{path}: {others[0]} is no part of a {shape}")
    return shape


def import_checkpoint(*, checkpoint_path, weights_path, settings):
    """Write weights from elsewhere as safetensors of this project, with the SHA-256 of their file.

    Weights of another precision become float32. Counters of BatchNorm that the file leaves out become 0:
    they decide nothing. A `mean` and `std` of the file must be those of the settings.

    Parameters
    ----------
    checkpoint_path, weights_path : path
        File to import (:func:`read`), safetensors file to write.
    settings : settings.Checkpoint

    Raises
    ------
    ValueError
        If the file is not the one meant, holds another network or weights that are not finite.
    """
    try:
        found_digest = digest(checkpoint_path)
    except OSError as error:
        raise ValueError(f"{checkpoint_path}: not a readable file ({error.strerror})") from None
    if settings.sha256 not in (None, found_digest):
        raise ValueError(
            f"{checkpoint_path}: has the SHA-256 {found_digest}; {settings.name} asks for {settings.sha256}"
        )
    state = read(checkpoint_path, settings.unaveraged)
    a = settings.architecture
    wanted, actual = Shape(a.depth, a.width, a.classes, a.channels), architecture_of(state, checkpoint_path)
    if actual != wanted:
        raise ValueError(f"{checkpoint_path}: {settings.name} says {wanted}, the file holds {actual}")
    _check_normalisation(state, a, checkpoint_path)
    with torch.device("meta"):  # 366 million parameters need not be there twice
        network = wrn.build(a)
    network.load_state_dict(_completed(state, network, checkpoint_path), strict=True, assign=True)
    checkpoint.save(weights_path, network, replace(settings, sha256=found_digest))
    log.info("%s: %s from %s, SHA-256 %s", settings.name, actual, checkpoint_path, found_digest)


def _first(error):
    message = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return re.split(r"\n|\. ", message)[0][:160] or type(error).__name__


def _some(state):
    names = list(state)
    return ", ".join(names[:3]) + (", ..." if names[3:] else "") or "nothing"


def _unpickled(path):
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        # a zip archive can be mapped into memory, the format before it cannot
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle may raise anything
        named = re.search(r"GLOBAL ([\w.]+\w)", str(error))
        name = named[1] if named else _foreign_global(path)
        if name:
            raise ValueError(f"{path}: refused, it asks for {name}; only tensors are read, no code is run") from None
        raise ValueError(f"{path}: damaged, or no checkpoint that torch reads ({_first(error)})") from None


def _foreign_global(path):
    """Return the first name beyond torch that the bare pickle at `path` would import, without running it.

    Torch itself names it only for the pickle protocols that it reads; None if there is none.
    """
    strings = [""]
    try:
        with open(path, "rb") as file:
            for code, argument, _ in pickletools.genops(file):
                name = {"GLOBAL": str(argument), "STACK_GLOBAL": " ".join(strings[-2:])}.get(code.name, "torch")
                if not name.startswith(("torch", "collections")):
                    return name.replace(" ", ".")
                if isinstance(argument, str):
                    strings.append(argument)
    except Exception:  # not even a pickle
        return None


def _state_in(content, unaveraged, path):
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, not a dict of tensors")
    averaged, raw = "model_state_dict", "unaveraged_model_state_dict"
    if unaveraged and raw not in content:
        raise ValueError(f"{path}: no {raw}, so no raw weights beside the averaged ones; it holds {_some(content)}")
    key = raw if unaveraged else next((key for key in (averaged, "state_dict") if key in content), None)
    state = content if key is None else content[key]
    if not isinstance(state, dict):
        raise ValueError(f"{path}: {key} is a {type(state).__name__}, not a dict of tensors")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            where = f"{key}.{name}" if key else name
            raise ValueError(f"{path}: {where} is a {type(tensor).__name__}, not a tensor; it holds {_some(state)}")
    return state


def _bare(state, path):
    stems = [name.removesuffix("init_conv.weight") for name in state if name.endswith("init_conv.weight")]
    if len(stems) != 1 or not _PREFIX.fullmatch(stems[0]):
        which = "no" if not stems else " and ".join(f"{stem}init_conv.weight" for stem in stems) + ", not one"
        raise ValueError(f"{path}: {which} init_conv.weight, so no WideResNet of this kind; it holds {_some(state)}")
    for name in state:
        if not name.startswith(stems[0]):
            raise ValueError(f"{path}: {name} has no {stems[0]!r} before it, as {stems[0]}init_conv.weight has")
    return {name.removeprefix(stems[0]): tensor for name, tensor in state.items()}


def _check_normalisation(state, architecture, path):
    for name, neutral in zip(_NORMALISATION, (0.0, 1.0), strict=True):
        if name not in state:
            continue
        wanted = getattr(architecture, name) or (neutral,) * architecture.channels
        given = state[name].flatten().tolist()
        if len(given) != len(wanted) or not np.allclose(given, wanted, rtol=0, atol=1e-6):
            raise ValueError(f"{path}: {name} is {[round(v, 6) for v in given]}, the settings say {list(wanted)}")
        log.info("%s: its %s is that of the settings", path, name)


def _completed(state, network, path):
    """Return `state` with the entries of `network`, in its order, as float32 and finite."""
    complete, rounded, counters = {}, 0, 0
    for name, expected in network.state_dict().items():
        if name not in state:
            counters += 1
            complete[name] = torch.zeros((), dtype=expected.dtype)
            continue
        tensor = state[name].to(expected.dtype)
        rounded += tensor.dtype != state[name].dtype
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: {name} holds numbers that are not finite")
        complete[name] = tensor
    if rounded:
        log.info("%s: %d tensors of another type became float32 or, the counters, int64", path, rounded)
    if counters:
        log.info("%s: %d counters of BatchNorm are left out; set to 0", path, counters)
    return complete
