"""Perturbations and losses of generator training, as functions of explicit draws.

Source: spec/generators.md 7 (EDM) and 8 (PFGM++).
"""

import torch


def noise_level(normal, mean, std):
    """Return sigma, float32 (batch,), for standard normal draws: ln sigma is normal with `mean` and `std`."""
    return (normal * std + mean).exp()


def gaussian(sigma, normal):
    """Return EDM's perturbation, float32: `normal` (batch, channels, height, width) times `sigma` (batch,)."""
    return sigma[:, None, None, None] * normal


def poisson(sigma, beta, normal, augmented_dimension):
    """Return PFGM++'s perturbation: a uniform direction times a radius from the kernel of r = sigma sqrt(D).

    As D grows it tends to :func:`gaussian`.

    Parameters
    ----------
    sigma : float tensor (batch,)
    beta : float64 tensor (batch,)
        Draws from Beta(N/2, D/2), N being the number of values of an image; clipped to [1e-3, 1 - 1e-3].
    normal : float32 tensor (batch, channels, height, width)
        Standard normal: its direction is taken.
    augmented_dimension : int
        D.

    Returns
    -------
    float32 tensor like `normal`
    """
    radius = poisson_radius(sigma, beta, augmented_dimension)[:, None, None, None]
    direction = normal / torch.linalg.vector_norm(normal, dim=(1, 2, 3), keepdim=True)
    return (direction * radius).to(torch.float32)


def poisson_radius(sigma, beta, augmented_dimension):
    """Return the radius R of PFGM++'s perturbation, float64 (batch,); see :func:`poisson`."""
    beta = beta.to(torch.float64).clip(1e-3, 1 - 1e-3)
    ratio = beta / (1 - beta + 1e-8)
    return sigma.to(torch.float64) * augmented_dimension**0.5 * (ratio + 1e-8).sqrt()


def weight(sigma, sigma_data):
    """Return lambda(sigma), which gives every noise level the same say at the start of training."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def elements(denoiser, images, sigma, perturbation, sigma_data):
    """Return the weighted squared error of every pixel; a batch's loss is their sum over the batch's size.

    Parameters
    ----------
    denoiser : callable (float32 (batch, c, h, w), float32 (batch,)) -> float32 (batch, c, h, w)
    images : float32 tensor (batch, channels, height, width)
        Clean, in [-1, 1], after augmentation.
    sigma : float32 tensor (batch,)
    perturbation : float32 tensor like `images`
        Of :func:`gaussian` or :func:`poisson`.
    sigma_data : float

    Returns
    -------
    float32 tensor like `images`
    """
    error = denoiser(images + perturbation, sigma) - images
    return weight(sigma, sigma_data)[:, None, None, None] * error**2
