"""The batches of a run: order without replacement, real images mixed in, augmentation.

Everything about step g is a pure function of the seed and g, so a run can be taken up at any step.
"""

import torch

from robustlaws.seeds import derive


def permutation(length, *names):
    """Return a random order of `length` images, int64 (length,), drawn from a seed made of `names`."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(derive(*names)))


def augment(images, padding, mirror, generator):
    """Return randomly shifted and mirrored images.

    Parameters
    ----------
    images : uint8 tensor (batch, height, width, channels)
    padding : int
        Zero pixels added on every side before a crop of the old size at a uniform offset.
    mirror : bool
        Mirror left-right with probability 1/2.
    generator : torch.Generator

    Returns
    -------
    uint8 tensor like `images`
    """
    if padding:
        images = crop(images, padding, torch.randint(0, 2 * padding + 1, (len(images), 2), generator=generator))
    if mirror:
        flip = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(flip[:, None, None, None], images.flip(2), images)
    return images


def crop(images, padding, offsets):
    """Return each image zero-padded by `padding` and cropped to its old size at (row, column) = `offsets`.

    Parameters
    ----------
    images : uint8 tensor (batch, height, width, channels)
    padding : int
    offsets : int64 tensor (batch, 2)
        Each within 0..2 padding; `padding` leaves the image where it is.
    """
    count, height, width, _ = images.shape
    padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    rows, columns = torch.arange(height) + offsets[:, :1], torch.arange(width) + offsets[:, 1:]
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def to_network(images, device):
    """Return uint8 NHWC images as float32 NCHW in [0, 1], channels-last in memory, on `device`."""
    return images.to(device).permute(0, 3, 1, 2).to(torch.float32).div(255)


class Batches:
    """One pass over D images without replacement, the first of each batch being real where real ones are mixed in.

    Parameters
    ----------
    synthetic, real : pairs of uint8 tensor (count, height, width, channels) and int64 tensor (count,)
        `synthetic` holds the D - (real share) images of the run; `real` may be None when no real
        images are mixed in. Real images are walked through in a fresh random order each time they
        are exhausted.
    images : int
        D, the images of the pass, real ones included.
    batch : int
        Images of a batch; the last one may be smaller.
    synthetic_per_batch : int
        Synthetic images of a full batch; the rest is real.
    seed : int

    Raises
    ------
    ValueError
        If there are fewer synthetic images than the pass draws.
    """

    def __init__(self, synthetic, real, images, batch, synthetic_per_batch, seed):
        self.synthetic, self.real = synthetic, real
        self.images, self.batch, self.seed = images, batch, seed
        self.synthetic_per_batch = synthetic_per_batch
        full, rest = divmod(images, batch)
        needed = full * synthetic_per_batch + min(synthetic_per_batch, rest)
        if len(synthetic[1]) < needed:
            raise ValueError(f"{needed} synthetic images needed for {images} images, {len(synthetic[1])} given")
        self.order = permutation(needed, seed, "synthetic order")
        self._real_orders = {}

    def __len__(self):
        return -(-self.images // self.batch)

    def size(self, step):
        """Return how many images batch `step` holds."""
        return min(self.batch, self.images - step * self.batch)

    def batch_at(self, step):
        """Return batch `step`: uint8 (size, height, width, channels) and int64 (size,), real images first."""
        size = self.size(step)
        n_synthetic = min(self.synthetic_per_batch, size)
        start = step * self.synthetic_per_batch
        chosen = self.order[start : start + n_synthetic]
        parts = [(self.synthetic[0][chosen], self.synthetic[1][chosen])]
        if size > n_synthetic:
            chosen = self._real_indices(step * (self.batch - self.synthetic_per_batch), size - n_synthetic)
            parts.insert(0, (self.real[0][chosen], self.real[1][chosen]))
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def generator(self, step):
        """Return the random generator of batch `step`, for its augmentation and the start of its attack."""
        return torch.Generator().manual_seed(derive(self.seed, "step", step))

    def _real_indices(self, position, count):
        length = len(self.real[1])
        walked = []
        for index in range(position, position + count):
            turn, place = divmod(index, length)
            if turn not in self._real_orders:
                self._real_orders = {turn: permutation(length, self.seed, "real order", turn)}
            walked.append(self._real_orders[turn][place])
        return torch.stack(walked)
