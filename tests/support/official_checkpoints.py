"""Files in the format of the official checkpoints, made without any of their code (spec/generators.md 10.6).

The classes of the originals are stood in for by one that is pickled as they are: as a call of
`torch_utils.persistence._reconstruct_persistent_obj` with one dict.
"""

import json
import os
import pickle
import struct
import sys
import types
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from robustlaws.generators.official import convert as checkpoints
from robustlaws.networks import ddpmpp
from robustlaws.settings import GeneratorImport, Network

DATA = Path(__file__).parents[1] / "reference/data"
SMALL = Network(8, 3, 3, 10, 9, 8, (1, 1), 4, 1, (4,), 0.13, 0.0, "positional", 1, "standard", "standard", (1, 1))
CONTAINERS = ["pickle 2", "pickle 3", "pickle 4", "pickle 5", "zip", "before 1.6"]
SOURCE = "# the text of the module that defines the network\n" * 400


class Persistent:
    """Pickled as one object of a checkpoint."""

    def __init__(self, class_name, state):
        self.content = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": class_name, "state": state}

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.content,)


class Payload:
    """Makes the folder `trace` when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


class OldScalar:
    """A NumPy float64 as NumPy before 2 pickles it."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        made = sys.modules["numpy.core.multiarray"].scalar
        return made, (np.dtype("f8"), np.float64(self.number).tobytes())


def _module(name, **content):
    module = types.ModuleType(name)
    for key, value in content.items():
        value.__module__, value.__name__, value.__qualname__ = name, key, key
        setattr(module, key, value)
    return module


@contextmanager
def registered():
    """Make the names that such files hold importable, as pickling needs; they do nothing."""
    stand_ins = [
        _module("torch_utils"),
        _module("torch_utils.persistence", _reconstruct_persistent_obj=lambda content: None),
        _module("dnnlib"),
        _module("dnnlib.util", EasyDict=type("EasyDict", (dict,), {})),
        _module("numpy.core.multiarray", scalar=lambda kind, number: None),
    ]
    before = {module.__name__: sys.modules.get(module.__name__) for module in stand_ins}
    sys.modules |= {module.__name__: module for module in stand_ins}
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def state_of(tensors, **attributes):
    """Return the `__dict__` of a module of torch with parameters, and buffers where they are constants."""
    state = dict(torch.nn.Module().__dict__, training=False)
    constants = {name for name in tensors if name in ("resample_filter", "freqs")}
    state["_parameters"] = {
        name: torch.nn.Parameter(tensor, requires_grad=False)
        for name, tensor in tensors.items()
        if name not in constants
    }
    state["_buffers"] = {name: tensors[name] for name in tensors if name in constants}
    return state | attributes


def _tree(tensors):
    tree = {}
    for name, tensor in tensors.items():
        *folders, last = name.split(".")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[last] = tensor
    return tree


def _object(name, node, scalar):
    """Return what stands for the module `node` (dict of tensors and modules) of the network."""
    children = {key: _object(key, child, scalar) for key, child in node.items() if isinstance(child, dict)}
    if name in ("enc", "dec"):
        module = torch.nn.ModuleDict()
        module._modules.update(children)
        return module
    tensors = {key: tensor for key, tensor in node.items() if not isinstance(tensor, dict)}
    state = state_of(tensors, _init_args=(), _init_kwargs={})
    state["_modules"] = {**children, "absent": None}
    state["_buffers"]["scratch"] = torch.zeros(3)
    state["_non_persistent_buffers_set"] = {"scratch"}
    if "norm0" in children:
        state |= {"skip_scale": scalar(np.sqrt(0.5)), "dropout": 0.13, "adaptive_scale": False}
    return Persistent({"norm0": "GroupNorm", "affine": "Linear"}.get(name, "UNetBlock"), state)


class Checkpoint:
    """A network as the originals keep it, to be changed by a test and written.

    Attributes
    ----------
    arguments, inner : dict
        `_init_kwargs` of the wrapper and of the network in it.
    tensors : dict of str to tensor
        Under the official keys.
    """

    def __init__(self, tensors, arguments):
        self.tensors, self.arguments = dict(tensors), dict(arguments)
        outer = ("img_resolution", "label_dim")
        own = (*outer, "img_channels", "model_type", "use_fp16", "pfgmpp", "D")
        self.inner = {key: value for key, value in arguments.items() if key not in own or key in outer}
        self.inner |= {"in_channels": arguments["img_channels"], "out_channels": arguments["img_channels"]}
        self.scalar = np.float64

    @classmethod
    def recorded(cls, arrays):
        """Return the network of a fixture: its `sd/*` and the arguments in its `config`."""
        config = json.loads(str(arrays["config"]))
        tensors = {key[3:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("sd/")}
        return cls(tensors, config["inner"] | {"use_fp16": False} | config["outer"])

    def network(self, outer=None, model=None, **attributes):
        """Return the object; `outer` and `model` change what its two outer objects are made from."""
        inner = _object("model", _tree(self.tensors)["model"], self.scalar)
        inner.content |= {"class_name": "SongUNet"} | (model or {})
        inner.content["state"] |= {"_init_kwargs": self.inner, "label_dropout": 0}
        state = state_of({}, _init_args=(), _init_kwargs=self.arguments)
        state |= {"sigma_min": 0, "sigma_max": float("inf"), "sigma_data": 0.5, "label_dim": 10} | attributes
        state["_modules"] = {"model": inner}
        wrapper = Persistent("EDMPrecond", state)
        wrapper.content |= outer or {}
        return wrapper

    def content(self, **network):
        """Return what the training loop of EDM writes."""
        loss = Persistent("EDMLoss", {"P_mean": -1.2, "P_std": 1.2, "sigma_data": 0.5, "_init_args": ()})
        options = sys.modules["dnnlib.util"].EasyDict(class_name="training.loss.EDMLoss", xflip=False)
        return {"ema": self.network(**network), "loss_fn": loss, "augment_pipe": None, "dataset_kwargs": options}


def write(path, content, how):
    """Write `content` as "pickle 2", 3, 4 or 5, as what `torch.save` writes ("zip"), or wrote ("before 1.6")."""
    if how.startswith("pickle"):
        path.write_bytes(pickle.dumps(content, int(how.split()[1])))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")


def model(content):
    """Return the attributes of the network within the wrapper of `content`."""
    return content["ema"].content["state"]["_modules"]["model"].content["state"]


def convert(folder, name="a.pkl", kind="edm", **changes):
    """Import the file `name` of `folder`."""
    checkpoints.import_generator(
        checkpoint_path=folder / name,
        config_path=folder / "config.json",
        weights_path=folder / "w.safetensors",
        settings=GeneratorImport("the generator", kind, **changes),
    )


def refused(folder, says, trace=None, **changes):
    """Check that `a.pkl` is refused as it should be: in one short line that names it, writing and running nothing."""
    before = sorted(folder.rglob("*"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=says) as caught:
            convert(folder, **changes)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'a.pkl'}: ")
    assert len(line.splitlines()) == 1
    assert len(line) < 300 + len(str(folder / "a.pkl"))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert sorted(folder.rglob("*")) == before
    assert trace is None or not trace.exists()


def small(**more):
    """Return the checkpoint of a network of a few thousand weights, with `more` arguments."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = ddpmpp.Preconditioned(ddpmpp.build(SMALL), 0.5).state_dict()
    arguments = {"model_type": "SongUNet", "model_channels": 8, "channel_mult": [1, 1], "num_blocks": 1}
    arguments |= {"attn_resolutions": [4], "augment_dim": 9, "dropout": 0.13}
    arguments |= {"img_resolution": 8, "img_channels": 3, "label_dim": 10}
    return Checkpoint(state, arguments | more)


def same(module, tensors):
    state = module.state_dict()
    return list(state) == list(tensors) and all(torch.equal(state[key], tensors[key]) for key in state)


def text(value):
    """Return the instruction that pushes the text `value`."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw
