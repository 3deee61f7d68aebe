"""The networks of the generators against numbers recorded from the official ones."""

import json

import numpy as np
import pytest
import torch

from robustlaws import settings
from robustlaws.networks import ddpmpp, discriminator
from tests.support.recorded import REFERENCE
from tests.support.recorded_generators import denoiser, network_settings

TABLE = json.loads((REFERENCE / "state_dict_shapes.json").read_text())

# the official networks of guidance (spec/generators.md 9.2)
ENCODERS = {
    "dg_classifier_32x32": settings.Encoder(32, 3, 128, (1, 2, 4), 4, (1, 2, 4), 1000),
    "dg_discriminator_cond": settings.Encoder(8, 512, 128, (1,), 2, (1,), 1, label_table=1000),
}


def encoder(arrays, kind):
    """Return one network of the guidance archive, with its weights."""
    config = json.loads(str(arrays["config"]))
    given = config[f"{kind}_args"]
    built = discriminator.build(
        settings.Encoder(
            given["image_size"],
            given.get("in_channels", 3),
            given["classifier_width"],
            tuple(config["channel_mult"][kind]),
            given["classifier_depth"],
            tuple(config["attention_downsamplings"][kind]),
            given["out_channels"],
            config["label_classes"] if given.get("condition") else 0,
            config["num_head_channels"],
        )
    )
    prefix = f"{kind}/"
    weights = {key.removeprefix(prefix): torch.from_numpy(arrays[key]) for key in arrays if key.startswith(prefix)}
    assert list(weights) == list(built.state_dict())
    built.load_state_dict(weights)
    return built.eval().requires_grad_(False)


def off(ours, theirs, relative=False):
    """Return the largest difference, or its ratio to the largest value; shapes must agree."""
    ours, theirs = np.asarray(ours.detach(), np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() if relative else 1))


def tensors(arrays, *names):
    return [torch.from_numpy(arrays[name]) for name in names]


@pytest.fixture(params=["edm_tiny", "pfgmpp_tiny"])
def recorded(request, fixture_arrays):
    arrays, _ = fixture_arrays(request.param)
    return arrays, denoiser(arrays)


@pytest.fixture(scope="module")
def guidance(fixture_arrays):
    arrays, _ = fixture_arrays("dg_nets")
    return arrays, encoder(arrays, "extractor"), encoder(arrays, "discriminator")


@pytest.mark.parametrize("name", TABLE)
def test_every_tensor_has_the_official_name_shape_and_place(name):
    known = TABLE[name]
    with torch.device("meta"):
        if name in ENCODERS:
            network = discriminator.build(ENCODERS[name])
        else:
            network = ddpmpp.Preconditioned(ddpmpp.build(network_settings(known["init_kwargs"])), 0.5)
    known |= TABLE[known["same_tensors_as"]] if "same_tensors_as" in known else {}
    ours = [[key, list(value.shape), str(value.dtype)] for key, value in network.state_dict().items()]
    assert ours == [[key, shape, f"torch.{dtype}"] for key, shape, dtype in known["tensors"]]
    assert sum(parameter.numel() for parameter in network.parameters()) == known["parameters"]
    assert len(ours) == known["entries"]


def test_the_network_and_the_denoiser_are_the_official_ones(recorded):
    arrays, net = recorded
    x, sigma, onehot, augment = tensors(arrays, "x", "sigma", "onehot", "augment_labels")
    level = sigma.float()
    scaled = x.float() / (level**2 + 0.25).sqrt()[:, None, None, None]
    with torch.no_grad():
        reached = {
            "F": off(net.raw(scaled, level.log() / 4, onehot), arrays["F"]),
            "D": off(net(x, sigma, onehot), arrays["D"]),
            "D without classes": off(net(x, sigma), arrays["D_nolabel"]),
            "D with augmentation": off(net(x, sigma, onehot, augment), arrays["D_augment"]),
        }
    print("\n" + ", ".join(f"{name} off by {value:.1e}" for name, value in reached.items()))
    assert reached.pop("F") < 2e-5
    assert max(reached.values()) < 1e-5


def test_every_layer_gives_the_official_activations(recorded):
    arrays, net = recorded
    names, shapes, seen = (json.loads(str(arrays["trace_names"])), json.loads(str(arrays["trace_shapes"])), {})
    for name in names:
        folder, _, layer = name.partition(".")
        module = getattr(net.model, folder)[layer] if layer else getattr(net.model, folder)
        module.register_forward_hook(lambda module, given, made, name=name: seen.update({name: made}))
    x, sigma, onehot = tensors(arrays, "x", "sigma", "onehot")
    with torch.no_grad():
        net(x, sigma, onehot)
    seen["map_noise"] = seen["map_noise"].roll(seen["map_noise"].shape[1] // 2, 1)  # recorded with cosines first
    assert list(seen) == names
    assert [list(seen[name].shape) for name in names] == shapes
    ours = [seen[name].double() for name in names]
    ours = torch.stack([torch.stack([h.mean(), h.std(correction=0), h.flatten()[0], h.flatten()[-1]]) for h in ours])
    reached = off(ours, arrays["trace_stats"])
    print(f"\n{len(names)} layers: mean, deviation, first and last value off by {reached:.1e}")
    assert reached < 2e-5


def test_gradients_of_the_official_loss_are_the_official_ones(fixture_arrays):
    net = denoiser(fixture_arrays("edm_tiny")[0])
    arrays, _ = fixture_arrays("edm_train")
    images, noise, sigma, weight = tensors(arrays, "edm_images_uint8", "edm_noise", "edm_sigma", "edm_weight")
    clean = images.float() / 127.5 - 1
    classes = torch.nn.functional.one_hot(torch.from_numpy(arrays["edm_labels"]), 10).float()
    error = net(clean + sigma[:, None, None, None] * noise, sigma, classes) - clean
    (weight[:, None, None, None] * error**2).sum().div(len(images)).backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}
    assert list(gradients) == json.loads(str(arrays["edm_grad_names"]))
    norms = torch.stack([gradient.norm() for gradient in gradients.values()])
    reached = float(np.abs(norms.numpy() / arrays["edm_grad_norms"] - 1).max())
    full = [key for key in arrays if key.startswith("edm_grad/")]
    most = max(off(gradients[key.removeprefix("edm_grad/")], arrays[key], relative=True) for key in full)
    print(f"\n{len(norms)} gradients: norms off by {reached:.1e}, {len(full)} of them whole by {most:.1e} (relative)")
    assert max(reached, most) < 1e-4


def test_pair_outputs_equal_the_official_ones(guidance):
    arrays, extractor, judge = guidance
    z, tau, labels = tensors(arrays, "x_scaled", "tau", "labels")
    features = extractor.features(z, tau)
    logit = judge(features, tau, labels)
    reached = {
        "features": (off(features, arrays["features"]), 5e-5),
        "logit": (off(logit, arrays["logit"]), 1e-5),
        "probability": (off(torch.sigmoid(logit[:, 0]), arrays["prob"]), 1e-5),
        "log ratio": (off(discriminator.log_ratio(extractor, judge, z, tau, labels), arrays["log_ratio"]), 1e-5),
    }
    print("\n" + ", ".join(f"{name} off by {value:.1e}" for name, (value, _) in reached.items()))
    assert all(value < limit for value, limit in reached.values())


def test_the_gradient_of_the_log_ratio_is_the_official_guidance(guidance):
    arrays, extractor, judge = guidance
    x, sigma, labels = tensors(arrays, "x", "sigma", "labels")
    tau = discriminator.tau(sigma)
    mean = discriminator.m(tau)[:, None, None, None]
    z = (mean * x).float().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator.log_ratio(extractor, judge, z, tau, labels).sum(), z)
    reached = off(-(sigma[:, None, None, None] ** 2) * mean * slope, arrays["guidance"], relative=True)
    print(f"\nguidance off by {reached:.1e} (relative)")
    assert off(z, arrays["x_scaled"]) == 0
    assert reached < 3e-5


def test_discriminator_training_equals_the_official_one(guidance):
    arrays, extractor, judge = guidance
    images, t, noise, labels = tensors(arrays, "train_images_uint8", "train_t", "train_z", "labels")
    mean, deviation = discriminator.m(t), discriminator.std(t)
    clean = 2 * (images.float() / 255) - 1
    x = mean[:, None, None, None] * clean + deviation[:, None, None, None] * noise
    real = torch.sigmoid(judge(extractor.features(x, t), t, labels)[:, 0])
    entropy = torch.nn.functional.binary_cross_entropy(real, torch.from_numpy(arrays["train_real_label"]))
    reached = {
        "m": off(mean, arrays["train_mean"]),
        "std": off(deviation, arrays["train_std"]),
        "input": off(x, arrays["train_perturbed"]),
        "probability": off(real, arrays["train_prob"]),
        "loss": off(entropy, arrays["train_bce"]),
    }
    print("\n" + ", ".join(f"{name} off by {value:.1e}" for name, value in reached.items()))
    assert max(reached.values()) < 1e-5


def test_the_time_change_is_the_official_one(fixture_arrays):
    arrays, _ = fixture_arrays("dg_guidance")
    tau = discriminator.tau(torch.from_numpy(arrays["map_sigma"]))
    made = {"tau": tau, "mean": discriminator.m(tau), "std": discriminator.std(tau)}
    reached = {name: off(value, arrays[f"map_{name}"]) for name, value in made.items()}
    print("\n" + ", ".join(f"{name} off by {value:.1e}" for name, value in reached.items()))
    assert max(reached.values()) < 1e-12
