"""The threat model: the Linf ball around an image, within [0, 1]."""

import torch
from torch import Tensor

NORMS = ("Linf",)


def project(attacked: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """Return `attacked` brought back to within `epsilon` of `images` and into [0, 1].

    Parameters
    ----------
    attacked, images : float tensors (batch, channels, height, width)
    epsilon : float
        Linf radius, pixels in [0, 1].
    """
    return torch.clamp(torch.minimum(torch.maximum(attacked, images - epsilon), images + epsilon), 0.0, 1.0)


def start(images: Tensor, unit_noise: Tensor, epsilon: float) -> Tensor:
    """Return the random start of an attack: `images` moved by `epsilon` times `unit_noise` in [-1, 1]."""
    return torch.clamp(images + epsilon * unit_noise, 0.0, 1.0)


def ascend(attacked: Tensor, images: Tensor, gradient: Tensor, step_size: float, epsilon: float) -> Tensor:
    """Return `attacked` after one signed gradient step; a pixel without gradient does not move."""
    return project(attacked + step_size * gradient.sign(), images, epsilon)
