"""The order in which images are drawn: permutations, walks without replacement, windows.

Step g is a pure function of the seed and g. So a run can resume at any step, and each of several processes can make its
own share of a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from robustlaws.seeds import derive

WINDOW, BLOCK = 65_536, 256  # images: held at a time, and neighbours read at once


def permutation(length: int, *names: object) -> Tensor:
    """Return a random order of `length` images, int64 (length,), drawn from a seed made of `names`."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(derive(*names)))


class Walk:
    """An endless walk over 0..length-1 without replacement, in a new order each time all were met.

    A pure function of the position, so it can start anywhere. Source: spec/training.md 2 and 12.2, the paper's "better"
    sampler, which keeps its position when a run resumes.

    Parameters
    ----------
    length : int
    order : callable (int) -> int64 tensor (length,)
        The order of pass 0, 1, ...
    """

    def __init__(self, length: int, order: Callable[[int], Tensor]) -> None:
        self.length, self._order = length, order
        self._orders: dict[int, Tensor] = {}

    def at(self, position: int, count: int) -> Tensor:
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

    The images are cut into blocks of neighbours. A pass permutes the blocks, groups consecutive blocks into windows,
    and permutes the images within each window. Every image comes once, and files are read in whole blocks. Everything
    about a pass is a pure function of the names and its number, so it is taken up at any position. A single window is
    permuted by :func:`permutation`.

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

    def __init__(
        self,
        length: int,
        *names: object,
        shuffle: bool = True,
        replacement: bool = False,
        window: int = WINDOW,
        block: int = BLOCK,
    ) -> None:
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
        self._passes: dict[int, tuple[Tensor, int]] = {}

    def locate(self, position: int) -> tuple[tuple[int, int], int]:
        """Return the place of an image: ((pass, window), its place in the order of that window)."""
        turn, place = divmod(position, self.length)
        if self.windows == 1:
            return (turn, 0), place
        number = place // (self._per_window * self._block)
        if place >= self._start(turn, number + 1):  # the window that holds the last, smaller block ends early
            number += 1
        return (turn, number), place - self._start(turn, number)

    def after(self, key: tuple[int, int]) -> tuple[int, int]:
        """Return the (pass, window) that follows."""
        turn, number = key
        return (turn, number + 1) if number + 1 < self.windows else (turn + 1, 0)

    def ranges(self, key: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the images of a (pass, window): a list of (first, stop), stop left out."""
        if self.windows == 1:
            return [(0, self.length)]
        first = key[1] * self._per_window
        chosen = self._pass(key[0])[0][first : first + self._per_window]
        return [(b * self._block, min(self.length, (b + 1) * self._block)) for b in chosen.tolist()]

    def inside(self, key: tuple[int, int]) -> Tensor:
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
