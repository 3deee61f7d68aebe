"""Exponential average of the weights with warm-up and ramp.

Source: spec/training.md 5.
"""

import copy

import torch
from torch import nn

from robustlaws.networks import wrn


def decay(step: int, warmup: float, limit: float) -> float:
    """Return the decay after optimiser step `step` = 1, 2, ...: 0 in the warm-up, then a ramp up to `limit`."""
    if step < warmup:
        return 0.0
    return min(limit, (1 + step - warmup) / (10 + step - warmup))


class Average:
    """The averaged network of a run.

    Parameters
    ----------
    network : nn.Module
        The network being trained; the average starts as its copy.
    warmup : float
        Steps during which the average just follows.
    limit : float
        Largest decay.
    """

    def __init__(self, network: nn.Module, warmup: float, limit: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.warmup, self.limit = warmup, limit

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the parameters after optimiser step `step` = 1, 2, ..."""
        weight = 1 - decay(step, self.warmup, self.limit)
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), weight)

    @torch.no_grad()
    def copy_statistics(self, network: nn.Module) -> None:
        """Take over the BatchNorm statistics of `network`: the average has none of its own."""
        for mine, theirs in zip(wrn.batchnorms(self.network), wrn.batchnorms(network), strict=True):
            for name, buffer in mine.named_buffers():
                buffer.copy_(getattr(theirs, name))
