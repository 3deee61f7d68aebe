"""Inception against torch-fidelity's class: features and resizing, recorded; and the way to moments through it."""

import numpy as np
import pytest
import torch

from robustlaws.data import shards
from robustlaws.quality import inception, moments
from robustlaws.settings import Compute, Moments


def weights(network, seed=20151205):
    """Return made-up weights under the keys of `network`: the recipe of the recording."""
    rng, state = np.random.default_rng(seed), {}
    for name, tensor in network.state_dict().items():
        shape = tuple(tensor.shape)
        if name.endswith("num_batches_tracked"):
            continue  # the file has none
        if name.endswith(("bn.weight", "running_var")):
            values = rng.random(shape) + 0.5
        elif name.endswith(("bias", "running_mean")):
            values = rng.random(shape) * 0.4 - 0.2
        else:  # uniform with the variance that keeps activations of ReLUs in scale
            values = (rng.random(shape, dtype=np.float32) - 0.5) * (24 / np.prod(shape[1:])) ** 0.5
        state[name] = torch.from_numpy(np.asarray(values, dtype=np.float32))
    return state


def images():
    """Return the images of the recording, uint8 (count, height, width, channels)."""
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 255, 32)
    smooth = np.stack([ramp[:, None] * np.ones(32), ramp[None] * np.ones((32, 1)), ramp[::-1, None] / 2 + ramp / 2], 2)
    return {
        "colour": np.stack([rng.integers(0, 256, (32, 32, 3)), smooth]).astype(np.uint8),
        "oblong": rng.integers(0, 256, (1, 21, 40, 3)).astype(np.uint8),
        "grey": rng.integers(0, 256, (1, 8, 8, 1)).astype(np.uint8),
    }


@pytest.fixture(scope="module")
def network():
    network = inception.Inception()
    network.load_state_dict(weights(network))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["colour", "oblong", "grey"])
def test_features_and_resizing_are_torch_fidelitys(kind, network, fixture_arrays):
    recorded, _ = fixture_arrays("inception")
    given = torch.from_numpy(images()[kind])
    with torch.inference_mode():
        features = network.features(given).numpy()
        resized = inception.resize(given.permute(0, 3, 1, 2).expand(-1, 3, -1, -1).float(), inception.SIDE)
    off = np.abs(features - recorded[f"features_{kind}"]).max() / np.abs(recorded[f"features_{kind}"]).max()
    resized_off = np.abs(resized[:, :, 5::41, 3::13].numpy() - recorded[f"resized_{kind}"]).max()
    print(f"Inception, {kind}: features off by {off:.1e} of the largest, resized pixels by {resized_off:.1e} of 255")
    assert off < 1e-5
    assert resized_off < 1e-4
    assert features.std() > 0.05 * features.mean()  # not a constant that anything would match


def test_moments_in_its_features_are_those_of_the_recorded_ones(network, fixture_arrays, monkeypatch, tmp_path):
    recorded = fixture_arrays("inception")[0]["features_colour"].astype(np.float64)
    shards.write(tmp_path / "images.h5", images()["colour"], np.zeros(2, dtype=int), {})
    monkeypatch.setattr(inception, "load", lambda path, where: network)  # the real weights have the one SHA-256
    moments.measure_moments(
        images_path=tmp_path / "images.h5",
        features_path=tmp_path / inception.NAME,
        moments_path=tmp_path / "moments",
        settings=Moments("inception", None, (1, 2), 2),
        compute=Compute(),
    )
    merged = moments.merge(moments.read(tmp_path / "moments"))
    covariance = np.cov(recorded, rowvar=False)
    off = np.abs(merged.gaussian().covariance - covariance).max() / np.abs(covariance).max()
    print(f"covariance of Inception's features: off by {off:.1e} of the largest")
    assert merged.count == 2
    assert off < 1e-5
    # float32 sums differ between processors: small means were off by 9.6e-8 (1.3e-4 of them) on another one
    np.testing.assert_allclose(merged.mean, recorded.mean(0), rtol=1e-4, atol=1e-6)
    assert merged.features["sha256"].startswith("6726825d")
