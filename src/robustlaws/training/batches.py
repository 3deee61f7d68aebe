"""The batches of a run: images in memory or from shards, real ones mixed in.

Step g is a pure function of the seed and g. So a run resumes at any step, and each of several processes makes its own
share of a batch.
"""

from typing import Protocol

import torch
from torch import Tensor

from robustlaws.data.sample_order import Walk, permutation
from robustlaws.seeds import derive
from robustlaws.settings import Training


class Images(Protocol):
    """A source of images in a fixed order: `length` of a pass, and the images at any position."""

    length: int

    def at(self, position: int, count: int) -> tuple[Tensor, Tensor]:
        """Return images and labels number `position`..`position + count - 1`."""


class ImagesInMemory:
    """Images in memory, walked through without replacement, in a new order each time all were met.

    Parameters
    ----------
    images, labels : uint8 tensor (count, height, width, channels), int64 tensor (count,)
    names
        Of the seed of the order.
    shuffle : bool
        False: as stored.
    """

    def __init__(self, images: Tensor, labels: Tensor, *names: object, shuffle: bool = True) -> None:
        self.images, self.labels, self.length = images, labels, len(labels)
        self._walk = Walk(self.length, lambda turn: self._order(names, turn) if shuffle else torch.arange(self.length))

    def _order(self, names, turn):
        return permutation(self.length, *names, turn)

    def at(self, position: int, count: int) -> tuple[Tensor, Tensor]:
        """Return images and labels number `position`..`position + count - 1` of the walk."""
        chosen = self._walk.at(position, count)
        return self.images[chosen], self.labels[chosen]


class Batches:
    """The batches of one run, real images first where real ones are mixed in.

    Parameters
    ----------
    synthetic, real
        The synthetic images (:class:`Images`) that the run draws from; the real ones, None when none are mixed in.
    settings : Training
        Says how many images a batch holds and how many of them are real.

    Raises
    ------
    ValueError
        If a pass over the synthetic images is not as long as the run wants it.
    """

    def __init__(self, synthetic: Images, real: Images | None, settings: Training) -> None:
        self.synthetic, self.real, self.settings = synthetic, real, settings
        needed = settings.synthetic_images
        if synthetic.length != needed:
            raise ValueError(f"{needed} synthetic images needed for {settings.run}, {synthetic.length} given")

    def batch_at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return batch `step`: uint8 (size, height, width, channels) and int64 (size,), real images first."""
        s = self.settings
        size = s.seen(step + 1) - s.seen(step)
        n_synthetic = min(s.synthetic_per_batch, size)
        images, labels = self.synthetic.at(step * s.synthetic_per_batch, n_synthetic)
        if size > n_synthetic:
            if self.real is None:
                raise ValueError(f"{s.run}: no real images are given, and its settings mix them in")
            real = self.real.at(step * (s.batch - s.synthetic_per_batch), size - n_synthetic)
            images, labels = torch.cat([real[0], images]), torch.cat([real[1], labels])
        return images, labels

    def generator(self, step: int) -> torch.Generator:
        """Return the random generator of batch `step`, for its augmentation and the start of its attack."""
        return torch.Generator().manual_seed(derive(self.settings.seed, "step", step))
