"""The batches of a run: order without replacement, real images mixed in, augmentation.

Everything about step g is a pure function of the seed and g, so a run can be taken up at any step,
and each of several processes can make its own share of a batch.
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
    padding, mirror
        See :func:`draw`.
    generator : torch.Generator

    Returns
    -------
    uint8 tensor like `images`
    """
    return moved(images, padding, *draw(len(images), padding, mirror, generator))


def draw(count, padding, mirror, generator):
    """Return the random choices of an augmentation: (offsets, flips), see :func:`moved`.

    Parameters
    ----------
    count : int
        Images.
    padding : int
        Zero pixels added on every side before a crop of the old size at a uniform offset.
    mirror : bool
        Mirror left-right with probability 1/2.
    generator : torch.Generator
    """
    offsets = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator) if padding else None
    return offsets, torch.rand(count, generator=generator) < 0.5 if mirror else None


def moved(images, padding, offsets, flips):
    """Return `images` shifted by `offsets` and mirrored where `flips`.

    Parameters
    ----------
    images : uint8 tensor (batch, height, width, channels)
    padding : int
    offsets : int64 tensor (batch, 2), or None for no shift
        See :func:`crop`.
    flips : bool tensor (batch,), or None for none
    """
    if offsets is not None:
        images = crop(images, padding, offsets)
    if flips is not None:
        images = torch.where(flips[:, None, None, None], images.flip(2), images)
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
    where = images.device
    padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    rows = torch.arange(height, device=where) + offsets[:, :1]
    columns = torch.arange(width, device=where) + offsets[:, 1:]
    return padded[torch.arange(count, device=where)[:, None, None], rows[:, :, None], columns[:, None, :]]


def to_network(images, device):
    """Return uint8 NHWC images as float32 NCHW in [0, 1], channels-last in memory, on `device`."""
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).to(torch.float32).div(255)


class Walk:
    """An endless walk over 0..length-1 without replacement, in a new order each time all were met.

    A pure function of the position, so it goes on from anywhere (Source: spec/training.md 2 and 12.2: the
    paper's "better" sampler, which keeps its position when a run is resumed).

    Parameters
    ----------
    length : int
    order : callable (int) -> int64 tensor (length,)
        The order of pass 0, 1, ...
    """

    def __init__(self, length, order):
        self.length, self._order, self._orders = length, order, {}

    def at(self, position, count):
        """Return the indices at `position`..`position + count - 1` of the walk, int64 (count,)."""
        parts = []
        while count:
            turn, place = divmod(position, self.length)
            taken = min(count, self.length - place)
            parts.append(self._of(turn)[place : place + taken])
            position, count = position + taken, count - taken
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def _of(self, turn):
        if turn not in self._orders:
            self._orders = {turn: self._order(turn)}
        return self._orders[turn]


class Batches:
    """The batches of one run, real images first where real ones are mixed in.

    Parameters
    ----------
    synthetic, real : pairs of uint8 tensor (count, height, width, channels) and int64 tensor (count,)
        `synthetic` holds the images that the run draws from; `real` may be None when none are mixed
        in. Each is walked through without replacement, in a new order when exhausted.
    settings : settings.Training
        Says how many images a batch holds, how many of them are real and whether they are shuffled.

    Raises
    ------
    ValueError
        If there are fewer synthetic images than the run draws from.
    """

    def __init__(self, synthetic, real, settings):
        self.synthetic, self.real, self.settings = synthetic, real, settings
        needed = settings.synthetic_images
        if len(synthetic[1]) < needed:
            raise ValueError(f"{needed} synthetic images needed for {settings.run}, {len(synthetic[1])} given")
        self.synthetic_walk = self._walk("synthetic", needed)
        self.real_walk = self._walk("real", len(real[1])) if real else None

    def _walk(self, kind, length):
        if not self.settings.shuffle:
            return Walk(length, lambda turn: torch.arange(length))
        return Walk(length, lambda turn: permutation(length, self.settings.seed, f"{kind} order", turn))

    def batch_at(self, step):
        """Return batch `step`: uint8 (size, height, width, channels) and int64 (size,), real images first."""
        s = self.settings
        size = s.seen(step + 1) - s.seen(step)
        n_synthetic = min(s.synthetic_per_batch, size)
        chosen = self.synthetic_walk.at(step * s.synthetic_per_batch, n_synthetic)
        images, labels = self.synthetic[0][chosen], self.synthetic[1][chosen]
        if size > n_synthetic:
            chosen = self.real_walk.at(step * (s.batch - s.synthetic_per_batch), size - n_synthetic)
            images, labels = torch.cat([self.real[0][chosen], images]), torch.cat([self.real[1][chosen], labels])
        return images, labels

    def generator(self, step):
        """Return the random generator of batch `step`, for its augmentation and the start of its attack."""
        return torch.Generator().manual_seed(derive(self.settings.seed, "step", step))
