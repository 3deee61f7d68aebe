"""Official checkpoints load bit for bit; networks of another kind are refused in one line."""

import collections
import json
import logging
import re

import numpy as np
import pytest
import torch

from robustlaws.generators import network_files
from robustlaws.storage.atomic import digest
from tests.support import official_checkpoints

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def edm(fixture_arrays):
    return fixture_arrays("edm_tiny")[0]


@pytest.mark.parametrize(
    ("how", "scalar"),
    [(how, np.float64) for how in official_checkpoints.CONTAINERS]
    + [(how, official_checkpoints.OldScalar) for how in ("pickle 2", "pickle 4", "zip")],
)
@pytest.mark.parametrize("kind", ["edm", "pfgmpp"])
def test_official_file_gives_the_recorded_network(kind, how, scalar, fixture_arrays, tmp_path):
    arrays, _ = fixture_arrays(f"{kind}_tiny")
    checkpoint = official_checkpoints.Checkpoint.recorded(arrays)
    checkpoint.scalar = scalar
    with official_checkpoints.registered():
        official_checkpoints.write(tmp_path / "a.pkl", checkpoint.content(), how)
    official_checkpoints.convert(tmp_path, kind=kind, sha256=digest(tmp_path / "a.pkl"))
    module, about = network_files.load(tmp_path / "config.json", tmp_path / "w.safetensors", CPU)
    assert official_checkpoints.same(module, checkpoint.tensors)
    assert about.get("augmented_dimension") == {"edm": None, "pfgmpp": 2048}[kind]
    x, sigma, onehot = (torch.from_numpy(arrays[name]) for name in ("x", "sigma", "onehot"))
    with torch.no_grad():
        off = float((module(x, sigma, onehot) - torch.from_numpy(arrays["D"])).abs().max())
    print(f"{len(checkpoint.tensors)} tensors bit for bit, D off by {off:.1e}")
    assert off < 1e-5


def test_import_records_origin_and_licence_of_weights(edm, tmp_path, caplog):
    checkpoint = official_checkpoints.Checkpoint.recorded(edm)
    with official_checkpoints.registered():
        official_checkpoints.write(tmp_path / "a.pkl", checkpoint.content(), "pickle 4")
    with caplog.at_level(logging.INFO, "robustlaws"):
        official_checkpoints.convert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    source = config["source"]
    assert (source["sha256"], source["bytes"]) == (digest(tmp_path / "a.pkl"), (tmp_path / "a.pkl").stat().st_size)
    assert [entry["length"] for entry in source["module_src"]] == [len(official_checkpoints.SOURCE)]
    assert source["classes"] == ["EDMPrecond", "GroupNorm", "Linear", "SongUNet", "UNetBlock"]
    assert source["arguments"] == checkpoint.arguments
    assert "CC BY-NC-SA 4.0 (non-commercial" in config["licence"]
    assert config["licence"] in caplog.text
    once = [(tmp_path / name).read_bytes() for name in ("config.json", "w.safetensors")]
    assert not any(b"the text of the module" in content for content in once)
    official_checkpoints.convert(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in ("config.json", "w.safetensors")] == once


def test_the_training_state_of_pfgmpp_gives_its_average(tmp_path):
    raw, averaged = official_checkpoints.small(pfgmpp=True, D=128), official_checkpoints.small(pfgmpp=True, D=128)
    raw.tensors = {key: tensor + 1 for key, tensor in raw.tensors.items()}
    moments = {"step": 3, "exp_avg": torch.ones(4), "exp_avg_sq": torch.ones(4)}
    optimizer = {"state": {0: moments}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]}
    with official_checkpoints.registered():
        content = {"optimizer_state": optimizer, "step": 3, "ema": averaged.network(D=128), "net": raw.network()}
        official_checkpoints.write(tmp_path / "training-state-000003.pt", content, "zip")
    official_checkpoints.convert(tmp_path, "training-state-000003.pt", "pfgmpp")
    module, about = network_files.load(tmp_path / "config.json", tmp_path / "w.safetensors", CPU)
    assert official_checkpoints.same(module, averaged.tensors)
    assert about["augmented_dimension"] == 128


# files that are not what they should be


class Rebuilt:
    """A tensor with the metadata of a file's choice, over a storage of 8 numbers."""

    def __init__(self, offset, shape, stride):
        self.arguments = offset, shape, stride

    def __reduce__(self):
        numbers = torch.arange(8.0)._typed_storage()
        return torch._utils._rebuild_tensor_v2, (numbers, *self.arguments, False, collections.OrderedDict())


def with_buffer(value):
    def change(checkpoint):
        content = checkpoint.content()
        official_checkpoints.model(content)["_buffers"]["x"] = value
        return content

    return change


def with_tensor(name, change):
    def changed(checkpoint):
        new = change(checkpoint.tensors.pop(name))
        checkpoint.tensors |= {} if new is None else {name: new}
        return checkpoint.content()

    return changed


def with_argument(**arguments):
    def changed(checkpoint):
        checkpoint.arguments = {k: v for k, v in (checkpoint.arguments | arguments).items() if v != "absent"}
        return checkpoint.content()

    return changed


def poked(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[-1] = value
        return tensor

    return change


NORM, FILTER = "model.dec.8x8_aux_norm.weight", "model.enc.4x4_down.conv0.resample_filter"
BROKEN = {
    "another class": (
        lambda c: c.content(outer={"class_name": "VPPrecond"}),
        "class_name VPPrecond; known: EDMPrecond",
    ),
    "another inner class": (lambda c: c.content(model={"class_name": "DhariwalUNet"}), "DhariwalUNet; known: SongUNet"),
    "another type": (lambda c: c.content(outer={"type": "function"}), "has the type function; known: class"),
    "another version": (lambda c: c.content(outer={"version": 7}), "ema has the version 7; known: 6"),
    "another inner version": (lambda c: c.content(model={"version": 5}), "model has the version 5; known: 6"),
    "no version": (lambda c: c.content(outer={"version": None}), "ema has the version None; known: 6"),
    "no source": (lambda c: c.content(model={"module_src": None}), "has no class_name, module_src or state"),
    "no state": (lambda c: c.content(outer={"state": [1]}), "has no class_name, module_src or state"),
    "no model_type": (with_argument(model_type="absent"), "arguments have no model_type"),
    "another model_type": (with_argument(model_type="DhariwalUNet"), "model_type is DhariwalUNet; known: SongUNet"),
    "an unknown argument": (with_argument(flash=True), r"argument flash \(True\) is unknown"),
    "no resolution": (with_argument(img_resolution="absent"), "have no img_resolution"),
    "another decoder": (with_argument(decoder_type="skip"), "decoder_type: 'skip'; known: standard"),
    "an argument of another type": (with_argument(channel_mult="2"), "Network.channel_mult: '2' is not a list"),
    "a nested argument": (with_argument(channel_mult=[[2], 2]), "channel_mult of ema is .*, no plain value"),
    "a huge argument": (with_argument(num_blocks=10**9), "num_blocks is 1000000000; known: 0 to 64"),
    "a number that is none": (with_argument(dropout=float("nan")), "dropout of ema is nan"),
    "a number without end": (with_argument(dropout=float("inf")), "dropout is inf"),
    "a number of many digits": (with_argument(D=10**5000), "D of ema is a value of type int"),
    "a negative size": (with_argument(label_dim=-1), "label_dim is -1"),
    "odd channels": (
        lambda c: c.inner.update(model_channels=9) or with_argument(model_channels=9)(c),
        "no network known here",
    ),
    "another range": (with_argument(sigma_max=80), "sigma_max is 80; known: inf"),
    "arguments without names": (lambda c: c.content(_init_args=(32, 3)), "arguments without names"),
    "no arguments": (lambda c: c.content(_init_kwargs=None), "no dict _init_kwargs"),
    "an attribute that differs": (
        lambda c: c.content(label_dim=11),
        "label_dim is 10 in the arguments of ema and 11 in its attr",
    ),
    "other inner arguments": (
        lambda c: c.inner.update(dropout=0.5) or c.content(),
        "dropout is 0.13 in the arguments of ema and 0.5 in those of its model",
    ),
    "an unknown inner argument": (lambda c: c.inner.update(x=1) or c.content(), r"argument x \(1\) of its model"),
    "other arguments": (with_argument(num_blocks=2), "num_blocks is 2 in the arguments of ema and 1 in those of"),
    "a missing tensor": (with_tensor(NORM, lambda t: None), f"{re.escape(NORM)} is missing"),
    "a surplus tensor": (with_buffer(torch.ones(2)), "model.x is no part of a network of its arguments"),
    "another shape": (with_tensor(NORM, lambda t: t[:4]), r"has the shape \[4\]; a network of its arguments has \[8\]"),
    "float16": (with_tensor(NORM, lambda t: t.half()), "is of float16; a network of its arguments has float32"),
    "float64": (with_tensor(NORM, lambda t: t.double()), "is of float64; a network of its arguments has float32"),
    "bfloat16": (with_tensor(NORM, lambda t: t.bfloat16()), "is of bfloat16; a network"),
    "not a number": (with_tensor(NORM, poked(float("nan"))), f"{re.escape(NORM)} holds numbers that are not finite"),
    "an infinite weight": (with_tensor(NORM, poked(float("-inf"))), "holds numbers that are not finite"),
    "another filter": (with_tensor(FILTER, poked(0.3)), r"resample_filter is not the filter \[1, 1\] of its arguments"),
    "no tensor": (with_buffer([1.0]), r"model.x is \[1.0\], not a tensor"),
    "an offset too far": (with_buffer(Rebuilt(6, (3,), (1,))), "out of the bounds of its storage of 8 numbers"),
    "a stride too long": (with_buffer(Rebuilt(0, (2, 2), (7, 1))), "stride .7, 1. .* out of the bounds"),
    "a negative offset": (with_buffer(Rebuilt(-1, (2,), (1,))), "size, stride or offset out of bounds"),
    "a negative stride": (with_buffer(Rebuilt(3, (2,), (-1,))), "size, stride or offset out of bounds"),
    "a size too large": (with_buffer(Rebuilt(0, (1 << 62,), (0,))), "size, stride or offset out of bounds"),
    "a large one of nothing": (with_buffer(Rebuilt(0, (1 << 20, 1 << 20), (0, 0))), "out of the bounds of its storage"),
    "a fractional size": (with_buffer(Rebuilt(0, (1.5,), (1,))), "size, stride or offset out of bounds"),
    "strides for no axis": (with_buffer(Rebuilt(0, (2,), (1, 1))), "size, stride or offset out of bounds"),
    "no average": (
        lambda c: {"net": c.network(), "optimizer_state": {}},
        "a training state with net but no ema: .* take the network-snapshot",
    ),
    "neither": (lambda c: {"G": 1, "D": 2}, "no network under ema; it holds G, D"),
    "nothing": (lambda c: {}, "no network under ema; it holds nothing"),
    "a state dict": (lambda c: {"ema": c.tensors}, "ema is a value of type dict, not a network"),
    "None": (lambda c: {"ema": None}, "ema is None, not a network"),
    "a list": (lambda c: [1, 2], "holds .1, 2.; a checkpoint is a dict"),
    "a module of torch": (lambda c: {"ema": torch.nn.ModuleDict()}, "ema has the type None; known: class"),
}


@pytest.mark.parametrize("how", ["pickle 4", "zip"])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_network_of_another_kind_gets_one_clear_line(broken, how, tmp_path):
    change, says = BROKEN[broken]
    with official_checkpoints.registered():
        official_checkpoints.write(tmp_path / "a.pkl", change(official_checkpoints.small()), how)
    official_checkpoints.refused(tmp_path, says)


@pytest.mark.parametrize(
    ("more", "kind", "says"),
    [
        ({}, "pfgmpp", "asked for as pfgmpp, but its arguments have no D; .* its kind is edm"),
        ({"pfgmpp": False, "D": 128}, "pfgmpp", "its arguments have pfgmpp off"),
        ({"pfgmpp": True}, "pfgmpp", "its arguments have no D"),
        ({"pfgmpp": True, "D": 0}, "pfgmpp", "its argument D is 0"),
        ({"pfgmpp": True, "D": 128}, "edm", r"a network of PFGM\+\+ \(D 128\), but asked for as edm"),
    ],
)
def test_a_network_of_the_other_method_is_refused(more, kind, says, tmp_path):
    with official_checkpoints.registered():
        official_checkpoints.write(tmp_path / "a.pkl", official_checkpoints.small(**more).content(), "pickle 4")
    official_checkpoints.refused(tmp_path, says, kind=kind)


def test_a_file_that_is_not_the_one_meant_is_refused(tmp_path):
    with official_checkpoints.registered():
        official_checkpoints.write(tmp_path / "a.pkl", official_checkpoints.small().content(), "pickle 4")
    official_checkpoints.refused(tmp_path, "has the SHA-256 .*; the generator asks for 0000", sha256="0" * 64)
