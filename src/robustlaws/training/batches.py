"""The batches of a run: images in memory or from shards, real ones mixed in.

Everything about step g is a pure function of the seed and g, so a run resumes at any step,
and each of several processes makes its own share of a batch.
"""

import torch

from robustlaws.data.sample_order import Walk, permutation
from robustlaws.seeds import derive


class Held:
    """Images in memory, walked through without replacement, in a new order each time all were met.

    Parameters
    ----------
    images, labels : uint8 tensor (count, height, width, channels), int64 tensor (count,)
    names
        Of the seed of the order.
    shuffle : bool
        False: as stored.
    """

    def __init__(self, images, labels, *names, shuffle=True):
        self.images, self.labels, self.length = images, labels, len(labels)
        self._walk = Walk(self.length, lambda turn: self._order(names, turn) if shuffle else torch.arange(self.length))

    def _order(self, names, turn):
        return permutation(self.length, *names, turn)

    def at(self, position, count):
        """Return images and labels number `position`..`position + count - 1` of the walk."""
        chosen = self._walk.at(position, count)
        return self.images[chosen], self.labels[chosen]


class Batches:
    """The batches of one run, real images first where real ones are mixed in.

    Parameters
    ----------
    synthetic, real
        Have `length` and ``at(position, count)``, as :class:`Held` and :class:`robustlaws.data.shard_reader.Reader`:
        the synthetic images that the run draws from, and the real ones or None when none are mixed in.
    settings : settings.Training
        Says how many images a batch holds and how many of them are real.

    Raises
    ------
    ValueError
        If a pass over the synthetic images is not as long as the run wants it.
    """

    def __init__(self, synthetic, real, settings):
        self.synthetic, self.real, self.settings = synthetic, real, settings
        needed = settings.synthetic_images
        if synthetic.length != needed:
            raise ValueError(f"{needed} synthetic images needed for {settings.run}, {synthetic.length} given")

    def batch_at(self, step):
        """Return batch `step`: uint8 (size, height, width, channels) and int64 (size,), real images first."""
        s = self.settings
        size = s.seen(step + 1) - s.seen(step)
        n_synthetic = min(s.synthetic_per_batch, size)
        images, labels = self.synthetic.at(step * s.synthetic_per_batch, n_synthetic)
        if size > n_synthetic:
            real = self.real.at(step * (s.batch - s.synthetic_per_batch), size - n_synthetic)
            images, labels = torch.cat([real[0], images]), torch.cat([real[1], labels])
        return images, labels

    def generator(self, step):
        """Return the random generator of batch `step`, for its augmentation and the start of its attack."""
        return torch.Generator().manual_seed(derive(self.settings.seed, "step", step))
