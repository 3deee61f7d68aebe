"""The batches of a run: order without replacement, real images mixed in, augmentation.

Everything about step g is a pure function of the seed and g, so a run can be taken up at any step,
and each of several processes can make its own share of a batch.
"""

import torch

from robustlaws.seeds import derive

WINDOW, BLOCK = 65_536, 256  # images: held at a time, and neighbours read at once


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


class Order:
    """The order in which `length` images are met, pass after pass, for a reader that holds a window of them at a time.

    The images are cut into blocks of neighbours. A pass permutes the blocks, calls so many of them one after
    the other a window, and permutes the images of each window among one another: every image once, files read
    in whole blocks. Everything about a pass is a pure function of the names and its number, so it is taken up at
    any position. Where one window holds all images, they are permuted as :func:`permutation` does it.

    Parameters
    ----------
    length : int
        Images of a pass.
    names
        Of the seed.
    shuffle : bool
        False: windows and images as they are stored.
    replacement : bool
        As many images are drawn from a window as it holds, with replacement: of an image that is one of n in its
        window, a pass holds Binomial(n, 1/n) copies, as if it were one of n in all.
    window, block : int
        Images; a window holds whole blocks.

    Raises
    ------
    ValueError
        If a number is not positive, or images that are not shuffled should be drawn with replacement.
    """

    def __init__(self, length, *names, shuffle=True, replacement=False, window=WINDOW, block=BLOCK):
        if min(length, window, block) < 1:
            raise ValueError(
                f"an order of {length} images in windows of {window} and blocks of {block}; give 1 or more"
            )
        if replacement and not shuffle:
            raise ValueError("training.replacement: true goes with training.shuffle: true; set one of them otherwise")
        self.length, self.names, self.shuffle, self.replacement = length, names, shuffle, replacement
        self._block = min(block, window)
        self._blocks, self._per_window = -(-length // self._block), window // self._block
        self.windows = 1 if length <= window else -(-self._blocks // self._per_window)
        self._passes = {}

    def locate(self, position):
        """Return where an image is: ((pass, window), its place in the order of that window)."""
        turn, place = divmod(position, self.length)
        if self.windows == 1:
            return (turn, 0), place
        number = place // (self._per_window * self._block)
        if place >= self._start(turn, number + 1):  # the window that holds the last, smaller block ends early
            number += 1
        return (turn, number), place - self._start(turn, number)

    def after(self, key):
        """Return the (pass, window) that follows."""
        turn, number = key
        return (turn, number + 1) if number + 1 < self.windows else (turn + 1, 0)

    def ranges(self, key):
        """Return the images of a (pass, window): a list of (first, stop), stop left out."""
        if self.windows == 1:
            return [(0, self.length)]
        first = key[1] * self._per_window
        chosen = self._pass(key[0])[0][first : first + self._per_window]
        return [(b * self._block, min(self.length, (b + 1) * self._block)) for b in chosen.tolist()]

    def inside(self, key):
        """Return the order of the images within the ranges of a (pass, window), int64 (images,)."""
        turn, number = key
        names = (*self.names, turn) if self.windows == 1 else (*self.names, turn, number)
        size = sum(stop - first for first, stop in self.ranges(key))
        if not self.shuffle:
            return torch.arange(size)
        if self.replacement:
            return torch.randint(size, (size,), generator=torch.Generator().manual_seed(derive(*names)))
        return permutation(size, *names)

    def _start(self, turn, number):
        missing = self._blocks * self._block - self.length if number > self._pass(turn)[1] else 0
        return number * self._per_window * self._block - missing

    def _pass(self, turn):
        """Return the order of the blocks, and which window holds the last one."""
        if turn not in self._passes:
            if self.shuffle:
                order = permutation(self._blocks, *self.names, turn, "blocks")
            else:
                order = torch.arange(self._blocks)
            last = int((order == self._blocks - 1).nonzero()) // self._per_window
            # of two passes: a batch, and the window read ahead, go over the end of one
            self._passes = {known: self._passes[known] for known in self._passes if abs(known - turn) == 1}
            self._passes[turn] = order, last
        return self._passes[turn]


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
        Have `length` and ``at(position, count)``, as :class:`Held` and :class:`robustlaws.data.reader.Reader`:
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
