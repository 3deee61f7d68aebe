"""Checkpoints of others come in and ours go out with the same logits; a file with a payload does nothing."""

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from robustlaws.networks import checkpoint, foreign_checkpoint, wrn
from robustlaws.settings import Checkpoint
from tests.support import zoo
from tests.support.exported_networks import CIFAR, DIGITS, exported, settings_of, trained


@pytest.fixture(scope="module")
def network():
    return trained(DIGITS)


def prefixed(state, prefix):
    return {prefix + key: tensor for key, tensor in state.items()}


def same(a, b):
    return list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


LAYOUTS = {
    "bare": lambda state, raw: state,
    "state_dict": lambda state, raw: {"state_dict": state, "epoch": 3},
    "module.": lambda state, raw: {"state_dict": prefixed(state, "module.")},
    "model.": lambda state, raw: prefixed(state, "model."),
    "module.model.": lambda state, raw: prefixed(state, "module.model."),
    "one process": lambda state, raw: {"model_state_dict": prefixed(state, "0.")},
    "the paper's": lambda state, raw: {
        "model_state_dict": prefixed(state, "module.0."),
        "unaveraged_model_state_dict": prefixed(raw, "module.0."),
    },
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_bare_names(layout, zipped, network, tmp_path):
    state, raw = network.state_dict(), trained(DIGITS, seed=2).state_dict()
    torch.save(layout(state, raw), tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert same(foreign_checkpoint.read(tmp_path / "a.pt"), state)


def test_the_raw_weights_of_the_papers_pair_can_be_had(network, tmp_path):
    state, raw = network.state_dict(), trained(DIGITS, seed=2).state_dict()
    torch.save(LAYOUTS["the paper's"](state, raw), tmp_path / "a.pt")
    assert same(foreign_checkpoint.read(tmp_path / "a.pt", unaveraged=True), raw)


@given(
    depth=st.sampled_from([10, 16, 22]),
    width=st.integers(1, 3),
    classes=st.integers(1, 30),
    channels=st.integers(1, 5),
)
@hypothesis_settings(max_examples=20, deadline=None)
def test_the_shape_of_a_network_is_read_off_its_tensors(depth, width, classes, channels):
    with torch.device("meta"):
        state = wrn.WideResNet(depth, width, classes, channels).state_dict()
    assert foreign_checkpoint.architecture_of(state) == (depth, width, classes, channels)


@pytest.mark.parametrize(
    ("depth", "width", "entries", "params"), [(94, 16, 551, 365_915_610), (82, 8, 479, 79_125_466)]
)
def test_the_zoos_own_entries_have_our_keys_and_sizes(depth, width, entries, params):
    with torch.device("meta"):
        ours, theirs = wrn.WideResNet(depth, width), zoo.ZooNet(depth, width)
    sizes = [{key: tuple(tensor.shape) for key, tensor in net.state_dict().items()} for net in (ours, theirs)]
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) == entries
    assert sum(parameter.numel() for parameter in ours.parameters()) == params
    assert str(foreign_checkpoint.architecture_of(ours.state_dict())).startswith(f"WRN-{depth}-{width} ")


# out, and back


@pytest.mark.parametrize("architecture", [DIGITS, CIFAR], ids=["8x8x1", "32x32x3"])
def test_export_loads_strictly_in_the_zoo_with_equal_logits(architecture, tmp_path):
    a, path = architecture, exported(architecture, tmp_path)
    theirs = zoo.load(path, zoo.ZooNet(a.depth, a.width, a.classes, a.channels, a.mean, a.std))
    ours = checkpoint.load(tmp_path / "ours.safetensors", a, "cpu")
    images = torch.rand(6, a.channels, a.image_size, a.image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        off = float((theirs(images) - ours(images)).abs().max())
    print(f"\nlogits off by {off:.1e}")
    assert off < 1e-5
    settings = Checkpoint("back", a)
    foreign_checkpoint.import_checkpoint(
        checkpoint_path=path, weights_path=tmp_path / "back.safetensors", settings=settings
    )
    assert same(
        foreign_checkpoint.read(tmp_path / "back.safetensors"), foreign_checkpoint.read(tmp_path / "ours.safetensors")
    )


def test_an_export_has_the_same_bytes_again(tmp_path):
    once = exported(DIGITS, tmp_path).read_bytes()
    code = (
        "import sys, pathlib; from tests.support import exported_networks as networks;"
        "networks.exported(networks.DIGITS, pathlib.Path(sys.argv[1]), 'other name.pt')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "other name.pt").read_bytes() == once


def test_an_import_says_where_the_weights_come_from(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "a.pt")
    path, settings = tmp_path / "w.safetensors", Checkpoint("zoo", DIGITS)
    foreign_checkpoint.import_checkpoint(checkpoint_path=tmp_path / "a.pt", weights_path=path, settings=settings)
    known = checkpoint.settings_of(path)
    assert (known["name"], len(known["sha256"])) == ("zoo", 64)
    again = replace(settings, sha256=known["sha256"])
    first = path.read_bytes()
    foreign_checkpoint.import_checkpoint(checkpoint_path=tmp_path / "a.pt", weights_path=path, settings=again)
    assert path.read_bytes() == first
    images = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(checkpoint.load(path, DIGITS, "cpu")(images), network(images))


def test_what_decides_nothing_may_differ(network, tmp_path):
    state = {k: v.double() for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    state |= {"mean": torch.tensor(DIGITS.mean).view(1, 1, 1, 1), "std": torch.tensor(DIGITS.std)}
    torch.save({"state_dict": prefixed(state, "module.")}, tmp_path / "a.pt")
    settings = Checkpoint("zoo", DIGITS)
    foreign_checkpoint.import_checkpoint(
        checkpoint_path=tmp_path / "a.pt", weights_path=tmp_path / "w.safetensors", settings=settings
    )
    loaded = checkpoint.load(tmp_path / "w.safetensors", DIGITS, "cpu").state_dict()
    assert all(torch.equal(loaded[key], network.state_dict()[key]) for key in loaded if "tracked" not in key)
    assert {int(loaded[key]) for key in loaded if "tracked" in key} == {0}


# what is refused


class Payload:
    """Would make the file `path` if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


PAYLOADS = {
    "zip": lambda thing, path: torch.save(thing, path),
    "before 1.6": lambda thing, path: torch.save(thing, path, _use_new_zipfile_serialization=False),
    "pickle 2": lambda thing, path: path.write_bytes(pickle.dumps(thing, 2)),
    "pickle 5": lambda thing, path: path.write_bytes(pickle.dumps(thing, 5)),
}


@pytest.mark.parametrize("write", PAYLOADS.values(), ids=PAYLOADS)
def test_a_file_that_would_run_code_is_refused_and_does_nothing(write, tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "a.pt"
    write({"state_dict": {"init_conv.weight": Payload(trace)}}, path)
    with pytest.raises(ValueError, match=r"refused, it asks for posix\.mkdir") as caught:
        foreign_checkpoint.read(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.exists(), "the payload is harmless, so the test shows nothing"
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def truncated(path, state):
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without(state, *keys):
    return {key: tensor for key, tensor in state.items() if key not in keys}


BROKEN = {
    "half a file": (truncated, "damaged, or no checkpoint"),
    "an empty file": (lambda path, state: path.write_bytes(b""), "damaged, or no checkpoint"),
    "a text": (lambda path, state: path.write_text("hello, this is text\n"), "damaged, or no checkpoint"),
    "a folder": (lambda path, state: path.mkdir(), "not a readable file"),
    "no file": (lambda path, state: None, "not a readable file"),
    "a tensor": (lambda path, state: torch.save(torch.zeros(3), path), "holds a Tensor, not a dict"),
    "a dict of numbers": (lambda path, state: torch.save({"a": 1}, path), "a is a int, not a tensor; it holds a"),
    "an inner list": (lambda path, state: torch.save({"state_dict": [1]}, path), "state_dict is a list, not a dict"),
    "nothing": (lambda path, state: torch.save({}, path), "no init_conv.weight, .* it holds nothing"),
    "another network": (
        lambda path, state: torch.save({"conv1.weight": torch.zeros(3, 3)}, path),
        "no init_conv.weight, so no WideResNet of this kind; it holds conv1.weight",
    ),
    "half a prefix": (
        lambda path, state: torch.save(prefixed(state, "module.") | {"logits.bias": torch.zeros(10)}, path),
        "logits.bias has no 'module.' before it",
    ),
    "a prefix twice": (
        lambda path, state: torch.save(prefixed(state, "module.module."), path),
        "module.module.init_conv.weight, not one init_conv.weight",
    ),
    "two networks": (
        lambda path, state: torch.save(prefixed(state, "module.") | state, path),
        "module.init_conv.weight and init_conv.weight, not one",
    ),
    "a missing key": (
        lambda path, state: torch.save(without(state, "layer.1.block.0.shortcut.weight"), path),
        "layer.1.block.0.shortcut.weight is missing; it looks like a WRN-10-1",
    ),
    "no last layer": (
        lambda path, state: torch.save(without(state, "logits.weight"), path),
        "logits.weight is missing",
    ),
    "a key too many": (
        lambda path, state: torch.save(state | {"head.bias": torch.zeros(2)}, path),
        "head.bias is no part of a WRN-10-1",
    ),
    "a wrong shape": (
        lambda path, state: torch.save(state | {"batchnorm.bias": torch.zeros(63)}, path),
        r"batchnorm.bias has the shape \(63,\); a WRN-10-1 .* has \(64,\)",
    ),
    "not finite": (
        lambda path, state: torch.save(state | {"batchnorm.bias": torch.full((64,), np.nan)}, path),
        "batchnorm.bias holds numbers that are not finite",
    ),
    "other weights": (
        lambda path, state: torch.save(trained(replace(DIGITS, depth=16)).state_dict(), path),
        r"zoo says WRN-10-1 \(10 classes, 1 channels\), the file holds WRN-16-1",
    ),
    "another normalisation": (
        lambda path, state: torch.save(state | {"mean": torch.tensor([0.5])}, path),
        r"mean is \[0.5\], the settings say \[0.305\]",
    ),
}


@pytest.mark.parametrize(("write", "says"), BROKEN.values(), ids=BROKEN)
def test_a_file_of_another_kind_gets_one_clear_line(write, says, network, tmp_path):
    path, target = tmp_path / "a.pt", tmp_path / "w.safetensors"
    write(path, network.state_dict())
    with pytest.raises(ValueError, match=says) as caught:
        foreign_checkpoint.import_checkpoint(
            checkpoint_path=path, weights_path=target, settings=Checkpoint("zoo", DIGITS)
        )
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert len(line) < 300 + len(str(path))
    assert not target.exists()


@pytest.mark.parametrize(
    ("changes", "says"), [({"sha256": "0" * 64}, "has the SHA-256"), ({"unaveraged": True}, "no raw weights")]
)
def test_a_file_that_is_not_the_one_meant_is_refused(changes, says, network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=says):
        foreign_checkpoint.import_checkpoint(
            checkpoint_path=tmp_path / "a.pt",
            weights_path=tmp_path / "w.safetensors",
            settings=Checkpoint("zoo", DIGITS, **changes),
        )


def test_half_of_our_own_file_is_refused(network, tmp_path):
    path = tmp_path / "w.safetensors"
    checkpoint.save(path, network, settings_of(DIGITS))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: not a readable safetensors file")):
        foreign_checkpoint.read(path)
