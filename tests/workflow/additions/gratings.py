"""Gratings: each class is a sine wave of its own direction, each image has its own phase and noise."""

import math

import torch

from robustlaws.generators.edm import to_uint8
from robustlaws.generators.latents import Draws


class Sampler:
    """Images without a network; `steps` is the number of waves across an image."""

    def __init__(self, files, settings, where):
        self.settings, self.noise = settings, settings.options["noise"]
        self.provenance = {"torch": str(torch.__version__)}

    def batch(self, indices):
        """Return images, uint8 (batch, height, width, channels), and labels, int64 (batch,)."""
        s, draws = self.settings, Draws(indices, self.settings)
        noise = draws.normal()
        labels = draws.labels()
        angle = labels * math.pi / s.classes
        phase = noise[:, 0, 0, 0] * math.pi
        y, x = torch.meshgrid(*[torch.linspace(0, 2 * math.pi * s.steps, s.image_size)] * 2, indexing="ij")
        along = angle.cos()[:, None, None] * x + angle.sin()[:, None, None] * y
        waves = (along + phase[:, None, None]).sin()[:, None].expand(-1, s.channels, -1, -1)
        return to_uint8((waves + self.noise * noise).clip(-1, 1).double()).contiguous().numpy(), labels.numpy()
