"""The official pair of discriminator guidance loads bit for bit; another is refused in one line."""

import json
import re

import pytest
import torch

from robustlaws.generators import network_files
from robustlaws.generators.official import convert
from robustlaws.networks import discriminator
from robustlaws.settings import Encoder, EncoderImport
from robustlaws.storage.atomic import digest
from tests.support import official_checkpoints

CPU = torch.device("cpu")


def test_official_network_sizes_follow_from_arguments(fixture_arrays):
    shapes = json.loads((official_checkpoints.DATA / "state_dict_shapes.json").read_text())
    for name in ("dg_classifier_32x32", "dg_discriminator_cond"):
        table = {key: tuple(shape) for key, shape, _ in shapes[name]["tensors"]}
        with torch.device("meta"):
            built = discriminator.build(convert.encoder_of(table)).state_dict()
        assert {key: tuple(tensor.shape) for key, tensor in built.items()} == table
    assert convert.encoder_of(table) == Encoder(8, 512, 128, (1,), 2, (1,), 1, 1000)
    table.pop("label_emb.weight")
    assert convert.encoder_of(table).label_table == 0


# the pair of discriminator guidance


@pytest.fixture(scope="module")
def pair(fixture_arrays):
    arrays, _ = fixture_arrays("dg_nets")
    return {
        name: {
            key.removeprefix(f"{name}/"): torch.from_numpy(value)
            for key, value in arrays.items()
            if key.startswith(f"{name}/")
        }
        for name in ("extractor", "discriminator")
    }


def convert_pair(folder, pair, how="zip", **changes):
    for name, state in pair.items():
        official_checkpoints.write(folder / f"{name}.pt", state, how)
    outputs = {
        f"{name}_{part}_path": folder / f"{name}.{end}"
        for name in pair
        for part, end in (("config", "json"), ("weights", "safetensors"))
    }
    convert.import_pair(
        extractor_path=folder / "extractor.pt",
        discriminator_path=folder / "discriminator.pt",
        settings=EncoderImport("dg", **changes),
        **outputs,
    )


@pytest.mark.parametrize("how", ["zip", "before 1.6"])
def test_the_pair_gives_the_recorded_log_ratio(how, pair, fixture_arrays, tmp_path):
    arrays, _ = fixture_arrays("dg_nets")
    convert_pair(tmp_path, pair, how)
    loaded = {}
    for name, state in pair.items():
        loaded[name], about = network_files.load(tmp_path / f"{name}.json", tmp_path / f"{name}.safetensors", CPU)
        assert official_checkpoints.same(loaded[name], state)
        assert (about["kind"], about["source"]["sha256"]) == (name, digest(tmp_path / f"{name}.pt"))
        assert "non-commercial" in about["licence"]
    x, t, labels = (torch.from_numpy(arrays[name]) for name in ("x_scaled", "tau", "labels"))
    with torch.no_grad():
        ratio = discriminator.log_ratio(loaded["extractor"], loaded["discriminator"], x, t.float(), labels)
    off = float((ratio - torch.from_numpy(arrays["log_ratio"])).abs().max())
    print(f"log ratio off by {off:.1e}")
    assert off < 1e-5


def test_a_discriminator_without_classes_loads(pair, tmp_path):
    state = {key: tensor for key, tensor in pair["discriminator"].items() if key != "label_emb.weight"}
    convert_pair(tmp_path, pair | {"discriminator": state})
    module, _ = network_files.load(tmp_path / "discriminator.json", tmp_path / "discriminator.safetensors", CPU)
    assert official_checkpoints.same(module, state)
    assert module.settings.label_table == 0


def changed(which, change):
    def apply(pair):
        state = dict(pair[which])
        return pair | {which: change(state) or state}

    return apply


KEY = "middle_block.0.in_layers.0.weight"
BROKEN_PAIRS = {
    "swapped": (
        lambda pair: {"extractor": pair["discriminator"], "discriminator": pair["extractor"]},
        "extractor.pt: a discriminator, not the feature extractor; are the two files swapped",
    ),
    "two extractors": (lambda pair: pair | {"discriminator": pair["extractor"]}, "discriminator.pt: has 10 outputs"),
    "of another pair": (
        changed("discriminator", lambda s: s.update({"input_blocks.0.0.weight": torch.zeros(64, 64, 3, 3)})),
        "discriminator.pt: takes 64 channels of 8x8; the features of .*extractor.pt are 128 of 8x8",
    ),
    "a missing key": (changed("extractor", lambda s: s.pop(KEY) is None), f"{re.escape(KEY)} is missing"),
    "no time": (changed("extractor", lambda s: s.pop("time_embed.0.weight") is None), "time_embed.0.weight is missing"),
    "a key too many": (changed("discriminator", lambda s: s.update(x=torch.ones(1))), "x is no part of an encoder"),
    "float16": (changed("discriminator", lambda s: s.update({KEY: s[KEY].half()})), "is of float16"),
    "not finite": (changed("extractor", lambda s: s.update({KEY: s[KEY] / 0})), "not finite"),
    "another shape": (changed("extractor", lambda s: s.update({KEY: s[KEY][:5]})), r"has the shape \[5\]"),
    "no tensor": (changed("extractor", lambda s: s.update(epoch=3)), "epoch is 3, not a tensor"),
    "in a dict": (
        changed("extractor", lambda s: {"state_dict": s}),
        "state_dict is a value of type dict, not a tensor",
    ),
    "a payload": (
        changed("extractor", lambda s: s.update(x=official_checkpoints.Payload("/nowhere/x"))),
        r"asks for posix\.mkdir",
    ),
    "another network": (changed("extractor", lambda s: {"conv1.weight": torch.ones(2)}), "is missing, .* conv1.weight"),
}


@pytest.mark.parametrize("broken", BROKEN_PAIRS)
def test_another_pair_gets_one_clear_line(broken, pair, tmp_path):
    change, says = BROKEN_PAIRS[broken]
    with pytest.raises(ValueError, match=says) as caught:
        convert_pair(tmp_path, change(pair))
    assert "\n" not in str(caught.value)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pt", ".pt"]


def test_a_pair_that_is_not_the_one_meant_is_refused(pair, tmp_path):
    with pytest.raises(ValueError, match=r"discriminator\.pt: has the SHA-256 .*; dg asks for ff"):
        convert_pair(tmp_path, pair, sha256_discriminator="f" * 64)
