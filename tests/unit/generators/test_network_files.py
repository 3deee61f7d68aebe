"""Generators on disk: the same bytes for the same weights, and one line for a wrong file."""

import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from robustlaws import settings
from robustlaws.generators import network_files
from robustlaws.networks import ddpmpp, discriminator
from tests.support.generator_zoo import DDPMPP, ENCODER, JUDGE, NCSNPP, awake

CPU = torch.device("cpu")
KINDS = {
    "edm": (lambda: ddpmpp.Preconditioned(ddpmpp.build(DDPMPP), 0.5), {"updates": 3}),
    "pfgmpp": (lambda: ddpmpp.Preconditioned(ddpmpp.build(NCSNPP), 0.25), {"augmented_dimension": 128}),
    "extractor": (lambda: discriminator.build(ENCODER), {"from": {"file": "x.pt"}}),
    "discriminator": (lambda: discriminator.build(JUDGE), {}),
}


@pytest.fixture(params=KINDS)
def saved(request, tmp_path):
    """Return what was saved, and the two files."""
    build, about = KINDS[request.param]
    about = {"kind": request.param} | about
    files = tmp_path / "network.json", tmp_path / "weights.safetensors"
    module = awake(build())
    network_files.save(*files, module, about)
    return module, about, files


def test_network_files_round_trip_to_the_same_bytes(saved, tmp_path):
    module, about, files = saved
    before = torch.get_rng_state()
    again, options = network_files.load(*files, CPU)
    assert torch.equal(before, torch.get_rng_state())  # no random weights were drawn for it
    assert options == about | ({"sigma_data": module.sigma_data} if hasattr(module, "sigma_data") else {})
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    theirs = module.state_dict()
    assert list(again.state_dict()) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in again.state_dict().items())
    copies = tmp_path / "again.json", tmp_path / "again.safetensors"
    for other in (again, module.to(memory_format=torch.channels_last)):
        network_files.save(*copies, other, options)
        assert [copy.read_bytes() for copy in copies] == [file.read_bytes() for file in files]


def test_a_file_says_what_it_is(saved):
    _, about, (config, weights) = saved
    options = json.loads(config.read_text())
    assert options["format"] == "robustlaws-generator-1"
    assert options["kind"] == about["kind"]
    family = settings.Network if about["kind"] in ("edm", "pfgmpp") else settings.Encoder
    assert set(options["network"]) <= {field.name for field in dataclasses.fields(family)}
    assert all(key.startswith("model.") for key in load_file(weights)) == (family is settings.Network)


def rewritten(files, change):
    """Change the JSON of two files."""
    config = json.loads(files[0].read_text())
    change(config)
    files[0].write_text(json.dumps(config))


def retensored(files, change):
    """Change the tensors of two files."""
    tensors = load_file(files[1])
    change(tensors)
    save_file(tensors, files[1])


NAME = "model.map_layer0.bias"
WRONG = {
    "no JSON": (lambda f: f[0].write_text("{"), r"network.json: no JSON"),
    "bytes": (lambda f: f[0].write_bytes(b"\x80\x04"), r"network.json: no JSON"),
    "list": (lambda f: f[0].write_text("[]"), r"network.json format: 'list'"),
    "missing JSON": (lambda f: f[0].unlink(), r"network.json: no JSON .*No such file"),
    "format": (lambda f: rewritten(f, lambda c: c.pop("format")), r"format: None; .*'robustlaws-generator-1'"),
    "no kind": (lambda f: rewritten(f, lambda c: c.pop("kind")), r"kind: unknown None; known: edm"),
    "kind": (lambda f: rewritten(f, lambda c: c.update(kind="emd")), r"kind: unknown 'emd'; known: edm, pfgmpp"),
    "sigma": (lambda f: rewritten(f, lambda c: c.update(sigma_data=0)), r"sigma_data: 0; a positive number"),
    "dimension": (lambda f: rewritten(f, lambda c: c.pop("augmented_dimension")), r"augmented_dimension: None"),
    "argument": (lambda f: rewritten(f, lambda c: c["network"].pop("dropout")), r"network.json network: .*'dropout'"),
    "surplus": (lambda f: rewritten(f, lambda c: c["network"].update(x=1)), r"network.json network: .*'x'"),
    "type": (
        lambda f: rewritten(f, lambda c: c["network"].update(num_blocks="1")),
        r"network: Network.num_blocks: '1'",
    ),
    "no network": (lambda f: rewritten(f, lambda c: c.pop("network")), r"network.json network: 'network'"),
    "other network": (
        lambda f: rewritten(f, lambda c: c["network"].update(num_blocks=2)),
        r"weights.safetensors model.dec.4x4_block1",
    ),
    "filter": (
        lambda f: rewritten(f, lambda c: c["network"].update(resample_filter=[1, 2, 2, 1])),
        r"resample_filter: not the filter \[1, 2, 2, 1\]",
    ),
    "no weights": (lambda f: f[1].unlink(), r"weights.safetensors: no safetensors file"),
    "half": (lambda f: f[1].write_bytes(f[1].read_bytes()[:-9]), r"weights.safetensors: no safetensors file"),
    "missing": (lambda f: retensored(f, lambda t: t.pop(NAME)), rf"weights.safetensors: no tensor {NAME}"),
    "more": (lambda f: retensored(f, lambda t: t.update(more=torch.zeros(1))), r"tensor more, which .* no place for"),
    "shape": (lambda f: retensored(f, lambda t: t.update({NAME: torch.ones(3)})), rf"{NAME}: \[3\] float32; .*\[64\]"),
    "half precision": (lambda f: retensored(f, lambda t: t.update({NAME: t[NAME].half()})), rf"{NAME}: \[64\] float16"),
    "infinite": (lambda f: retensored(f, lambda t: t[NAME].fill_(math.inf)), rf"{NAME}: holds infinite"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_refused_in_one_line_that_names_it(wrong, tmp_path):
    spoil, output = WRONG[wrong]
    build, about = KINDS["pfgmpp"]
    files = tmp_path / "network.json", tmp_path / "weights.safetensors"
    network_files.save(*files, build(), {"kind": "pfgmpp"} | about)
    spoil(files)
    with pytest.raises(ValueError, match=output) as caught:
        network_files.load(*files, CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["extractor", "pipeline", None])
def test_a_denoiser_is_saved_as_one(kind, tmp_path):
    files = tmp_path / "network.json", tmp_path / "weights.safetensors"
    with pytest.raises(ValueError, match=r"network.json kind: (a Preconditioned is no extractor|unknown)"):
        network_files.save(*files, KINDS["edm"][0](), {"kind": kind})
    assert not list(tmp_path.iterdir())
