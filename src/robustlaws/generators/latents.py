"""The latent of each image, drawn on the CPU from its index alone.

A GPU's generator gives other numbers for the same seed, so all draws are made on the CPU. An image depends neither on
the device, nor on its batch, nor on its shard.

Source: spec/generators.md 4.
"""

import torch

from robustlaws.seeds import derive

_SEEDS = 2**32  # the official scripts take their seeds modulo this


def seed(index, settings):
    """Return the seed of image `index`, see :class:`Draws`."""
    s = settings
    stream = index // s.classes if s.labels == "shared" else index
    return stream % _SEEDS if s.seeds == "index" else derive(s.seed, "image", stream)


class Draws:
    """The random numbers of one batch: an own stream for each image.

    Parameters
    ----------
    indices : sequence of int
        Positions in the dataset.
    settings : settings.Sampling
        `labels` says which class image i is of, and which stream it starts from: "balanced": class i mod
        classes, so that every prefix is balanced to within one image a class, from stream i; "random": the
        class is drawn, from stream i; "shared": class i mod classes from stream i // classes, so that the
        classes share latents (as in the data of Wang et al.).
        `seeds` says how a stream is seeded: "derived" from the seed of the images and its number, or its
        number alone ("index", as the official scripts do).

    Raises
    ------
    ValueError
        If the settings name no such way of labelling or seeding.
    """

    def __init__(self, indices, settings):
        if settings.labels not in ("balanced", "random", "shared"):
            raise ValueError(f"labels: unknown {settings.labels!r}; known: balanced, random, shared")
        if settings.seeds not in ("derived", "index"):
            raise ValueError(f"seeds: unknown {settings.seeds!r}; known: derived, index")
        s = self.settings = settings
        self.indices = list(indices)
        self.shape = (s.channels, s.image_size, s.image_size)
        self.seeds = [seed(index, s) for index in self.indices]
        self._generators = [torch.Generator().manual_seed(each) for each in self.seeds]

    def normal(self, dtype=torch.float32):
        """Return the next standard normal of each image, (batch, channels, height, width)."""
        return torch.stack([torch.randn(self.shape, dtype=dtype, generator=each) for each in self._generators])

    def labels(self):
        """Return the class of each image, int64 (batch,). Draws it in every mode, so that all draw alike afterwards."""
        classes = self.settings.classes
        drawn = [int(torch.randint(classes, (), generator=each)) for each in self._generators]
        return torch.tensor(drawn if self.settings.labels == "random" else [i % classes for i in self.indices])

    def noise(self, _step):
        """Return the next noise of each image for the sampler, float64 (batch, channels, height, width)."""
        return self.normal(torch.float64)
