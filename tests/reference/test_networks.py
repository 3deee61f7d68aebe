"""The network and its cost against numbers recorded from the paper's code, and against what torch counts."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from robustlaws.networks import wrn, wrn_flops
from tests.support.recorded import PRECISIONS, REFERENCE, network

LIMIT = {"f32": 1e-5, "f64": 1e-9}
TABLE = json.loads((REFERENCE / "flops.json").read_text())["models"]

# the ten shapes of the paper and the multiply-adds of one forward pass; the first eight from spec/interop.md 4b
PAPER = {
    (28, 4): 845_597_184,
    (40, 4): 1_298_582_016,
    (82, 4): 2_884_028_928,
    (28, 12): 7_543_905_792,
    (58, 12): 17_736_064_512,
    (82, 12): 25_889_791_488,
    (70, 16): 38_764_210_176,
    (82, 16): 46_011_967_488,
    (82, 8): TABLE["wrn-82-8"]["forward_macs"],
    (94, 16): TABLE["wrn-94-16"]["forward_macs"],
}


@pytest.fixture(params=["wrn_tiny", "wrn_tiny16"])
def recorded(request, fixture_arrays):
    return fixture_arrays(request.param)


@pytest.fixture(params=PRECISIONS)
def precision(request):
    return request.param


def off(ours, theirs):
    """Return the largest difference; shapes must agree."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours.numpy() - theirs).max())


def test_logits_are_those_of_the_papers_network(recorded, precision):
    arrays, meta = recorded
    net, images = network(arrays, meta, PRECISIONS[precision]), torch.from_numpy(arrays["x"])
    images = images.to(PRECISIONS[precision])
    with torch.no_grad():
        evaluated = off(net.eval()(images), arrays[f"logits_eval_{precision}"])
        trained = off(net.train()(images), arrays[f"logits_train_{precision}"])
    print(f"\n{precision}: logits off by {evaluated:.1e} (eval), {trained:.1e} (train)")
    assert max(evaluated, trained) < LIMIT[precision]


def test_one_training_pass_leaves_the_papers_statistics(recorded, precision):
    arrays, meta = recorded
    net = network(arrays, meta, PRECISIONS[precision]).train()
    with torch.no_grad():
        net(torch.from_numpy(arrays["x"]).to(PRECISIONS[precision]))
    prefix, state = f"after_train_forward_{precision}.", net.state_dict()
    after = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    buffers = {name for name, _ in net.named_buffers() if name in state}
    assert set(after) == buffers
    reached = max(off(state[name], value) for name, value in after.items())
    print(f"\n{precision}: {len(after)} buffers off by {reached:.1e}")
    assert reached < LIMIT[precision]
    counters = [name for name in after if name.endswith("num_batches_tracked")]
    assert len(counters) == sum(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    assert all(torch.equal(state[name], torch.from_numpy(after[name])) for name in counters)
    assert all(int(state[name]) == int(arrays[f"w.{name}"]) + 1 for name in counters)


def test_every_stage_has_the_papers_activations(recorded):
    arrays, meta = recorded
    net, seen = network(arrays, meta, torch.float64).eval(), {}
    stages = {"stem": net.init_conv} | {f"group{index}": group["block"] for index, group in enumerate(net.layer)}
    for name, module in stages.items():
        module.register_forward_hook(lambda module, given, made, name=name: seen.update({name: made}))
    with torch.no_grad():
        pooled = net.features(torch.from_numpy(arrays["x"]).double())
    assert sum(key.startswith("act_eval_img0_") for key in arrays) == len(seen) + 1
    reached = {name: off(made[0], arrays[f"act_eval_img0_{name}_f64"]) for name, made in seen.items()}
    reached["pooled"] = max(off(pooled[0], arrays["act_eval_img0_pooled_f64"]), off(pooled, arrays["pooled_eval_f64"]))
    print("\n" + ", ".join(f"{name} off by {value:.1e}" for name, value in reached.items()))
    assert max(reached.values()) < LIMIT["f64"]


@pytest.mark.parametrize("name", sorted(TABLE))
def test_parameters_and_flops_are_those_of_the_table(name):
    known = TABLE[name]
    assert wrn_flops.wrn_parameters(known["depth"], known["width"]) == known["parameters"]
    assert wrn_flops.wrn_forward_flops(known["depth"], known["width"], 32) == known["forward_flops"]


def counted(depth, width, image_size, classes=10, channels=3):
    """Return what torch counts of a network: parameters, multiply-adds, and the elements of its cheap parts."""
    with torch.device("meta"):
        net = wrn.WideResNet(depth, width, classes, channels).eval()
        image = torch.empty(1, channels, image_size, image_size)
    normalised, summed = [], []
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda module, given, made: normalised.append(made.numel()))
        if isinstance(module, wrn.Block):
            module.register_forward_hook(lambda module, given, made: summed.append(made.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(image)
    # BatchNorm 2, the SiLU after each of them 1, the sum of a block 1, the mean over the last image 1
    cheap = 3 * sum(normalised) + sum(summed) + normalised[-1]
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2, cheap


@pytest.mark.parametrize(("depth", "width"), PAPER, ids=lambda value: str(value))
def test_the_papers_ten_shapes_cost_what_torch_counts(depth, width):
    parameters, macs, cheap = counted(depth, width, 32)
    assert macs == PAPER[depth, width] == TABLE[f"wrn-{depth}-{width}"]["forward_macs"]
    assert parameters == wrn_flops.wrn_parameters(depth, width)
    assert wrn_flops.wrn_forward_flops(depth, width, 32) - cheap == 2 * macs
    elements = TABLE[f"wrn-{depth}-{width}"]["elementwise"]
    assert cheap == sum(elements.values()) + elements["batchnorm_elements"]  # those count twice


@given(
    depth=st.sampled_from([10, 16, 22]),
    width=st.integers(1, 4),
    image_size=st.integers(1, 35),
    classes=st.integers(1, 20),
    channels=st.integers(1, 7),
)
@settings(max_examples=40, deadline=None)
def test_any_shape_costs_what_torch_counts(depth, width, image_size, classes, channels):
    parameters, macs, cheap = counted(depth, width, image_size, classes, channels)
    assert parameters == wrn_flops.wrn_parameters(depth, width, classes, channels)
    assert wrn_flops.wrn_forward_flops(depth, width, image_size, classes, channels) == 2 * macs + cheap


@pytest.mark.parametrize(("height", "width"), [(5, 5), (7, 9), (8, 10), (13, 6), (1, 1)])
def test_odd_images_halve_upwards(height, width):
    torch.manual_seed(1)
    net, images = wrn.WideResNet(10, 1, 7, 2).eval(), torch.rand(3, 2, height, width)
    h = net.init_conv(images)
    for group in net.layer:
        h = group["block"](h)
    assert h.shape[2:] == (-(-height // 4), -(-width // 4))
    assert net(images).shape == (3, 7)


# normalisation


def test_without_mean_and_std_nothing_is_subtracted_or_divided():
    images = torch.rand(4, 3, 8, 8)
    states = [{}, {"mean": None, "std": None}, {"mean": (), "std": ()}, {"mean": (0.0,) * 3, "std": (1.0,) * 3}]
    nets = [wrn.WideResNet(10, 1, **given).eval() for given in states]
    for net in nets[1:]:
        net.load_state_dict(nets[0].state_dict())
    assert len({tuple(net(images).flatten().tolist()) for net in nets}) == 1
    # and a normalisation is no part of the state dict
    other = wrn.WideResNet(10, 1, mean=(0.5,) * 3, std=(0.25,) * 3).eval()
    other.load_state_dict(nets[0].state_dict())
    assert torch.equal(other(images), nets[0]((images - 0.5) / 0.25))
    assert not torch.equal(other(images), nets[0](images))


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,), None), (None, (0.5,)), ((0.5,) * 3, ()), ((0.5,), (0.5,)), ((0.5,) * 3, (0.5,))]
)
def test_mean_and_std_go_together_and_fit_the_channels(mean, std):
    with pytest.raises(ValueError, match="do not fit 3 channels"):
        wrn.WideResNet(10, 1, mean=mean, std=std)


def test_the_constants_are_float32_and_widen_with_the_network():
    torch.set_default_dtype(torch.float64)
    try:
        net = wrn.WideResNet(10, 1, 10, 1, (0.4914,), (0.2471,))
    finally:
        torch.set_default_dtype(torch.float32)
    assert net.mean.dtype == torch.float32
    net = net.double()
    assert net.mean.dtype == net.std.dtype == torch.float64
    assert [float(net.mean), float(net.std)] == [float(np.float32(0.4914)), float(np.float32(0.2471))]
    assert float(net.mean) != 0.4914
