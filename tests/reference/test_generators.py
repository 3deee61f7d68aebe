"""The EDM sampler against recorded trajectories of the official one, and against algebra."""

import math

import numpy as np
import pytest
import torch

from robustlaws.generators import edm, fitting


def mixture_denoiser(arrays):
    """Return the exact denoiser of the fixtures' Gaussian mixture (spec/generators.md 3)."""
    means, stds = torch.from_numpy(arrays["gmm_means"]), torch.from_numpy(arrays["gmm_stds"])
    weights = torch.from_numpy(arrays["gmm_logw"])[torch.from_numpy(arrays["labels"])]

    def denoise(x, sigma):
        v = stds**2 + sigma**2
        square = ((x[:, None] - means) ** 2).flatten(2).sum(2)
        r = torch.softmax(weights - x[0].numel() / 2 * v.log() - square / (2 * v), 1)[:, :, None, None, None]
        v, s = v[:, None, None, None], stds[:, None, None, None]
        return (r * (s**2 * x[:, None] + sigma**2 * means) / v).sum(1)

    return denoise


@pytest.mark.parametrize("steps", [5, 6, 7, 10, 18, 20])
def test_the_sampler_gives_the_official_images(steps, fixture_arrays):
    arrays, _ = fixture_arrays("edm_sampler")
    levels = edm.noise_levels(steps)
    assert np.allclose(levels.numpy(), arrays[f"n{steps}_t_steps"], rtol=1e-12, atol=0)
    made = edm.heun(mixture_denoiser(arrays), torch.from_numpy(arrays["latents"]), levels)
    off = np.abs(made.numpy() - arrays[f"n{steps}_final"]).max()
    print(f"\nn = {steps}: off by {off:.1e}")
    assert off < 1e-9
    assert (edm.to_uint8(made).numpy() == arrays[f"n{steps}_uint8"]).all()


def test_one_step_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        edm.noise_levels(1)


def test_the_preconditioning_is_exact_for_a_gaussian():
    # for data N(0, sd^2) the ideal denoiser is x sd^2 / (sd^2 + sigma^2): c_skip alone, F = 0
    x, sigma = torch.randn(3, 1, 4, 4), torch.tensor([0.1, 1.0, 10.0])
    made = edm.denoise(lambda *given: torch.zeros(3, 1, 4, 4), x, sigma, torch.zeros(3), 0.5)
    assert torch.allclose(made, x * (0.25 / (0.25 + sigma**2))[:, None, None, None])


def test_the_network_sees_unit_variance_and_a_quarter_of_log_sigma():
    seen = {}

    def network(x, noise, labels):
        seen.update(x=x, noise=noise)
        return torch.zeros_like(x)

    x, sigma = torch.ones(2, 1, 2, 2), torch.tensor([2.0, 3.0])
    edm.denoise(network, x, sigma, None, 0.5)
    assert torch.allclose(seen["noise"], sigma.log() / 4)
    assert torch.allclose(seen["x"], x / (sigma**2 + 0.25).sqrt()[:, None, None, None])


def test_the_loss_is_weighted_and_summed_over_pixels():
    # D = noisy image, so the error is sigma * noise and the weighted sum is known in closed form
    images, noise, log_sigma = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2), torch.tensor([0.0, math.log(2.0)])
    value = fitting.loss(lambda noisy, sigma: noisy, images, log_sigma, noise, 0.5)
    weight = [(s**2 + 0.25) / (s * 0.5) ** 2 for s in (1.0, 2.0)]
    assert float(value) == pytest.approx((weight[0] * 4 * 1 + weight[1] * 4 * 4) / 2)


def test_the_average_starts_as_the_network_and_then_has_its_half_life():
    assert fitting.average_weight(0, 128, 10_000) == pytest.approx(0.0)
    assert fitting.average_weight(10**9, 10_000, 10_000) == pytest.approx(0.5)
    assert fitting.average_weight(20_000, 1_000, 10_000) == pytest.approx(0.5)  # a twentieth of what was seen
