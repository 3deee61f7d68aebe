"""A pseudo-random permutation of any length in constant memory."""

import numpy as np

from robustlaws.seeds import derive

_ROUNDS = 8  # more than the 4 that make a Feistel network a pseudo-random permutation with ideal rounds


class Order:
    """A keyed permutation of 0..length-1, computed place by place.

    A Feistel network on pairs (left, right) of a grid of at least `length` cells. Cycle walking skips the surplus
    cells, so it is a permutation of exactly 0..length-1 for any length.

    Parameters
    ----------
    length : int
        At least 1 and under 2**62.
    seed : int

    Source: Luby and Rackoff 1988 (the network); Black and Rogaway 2002 (any length); the rounds mix by
    the finaliser of SplitMix64 (Steele et al. 2014).
    """

    def __init__(self, length, seed):
        self.length = length
        self._rows = int(np.ceil(np.sqrt(length)))
        self._columns = -(-length // self._rows)
        self._keys = [np.uint64(derive(seed, "order", turn)) for turn in range(_ROUNDS)]

    def at(self, places):
        """Return the rows at `places` of the order, int64; both arrays of the same shape (count,).

        Raises
        ------
        ValueError
            If a place is not in 0..length-1.
        """
        x = np.asarray(places, dtype=np.int64)
        if x.size and not 0 <= x.min() <= x.max() < self.length:
            raise ValueError(f"places {x.min()} to {x.max()} of an order of {self.length}")
        x = self._network(x)
        while (outside := x >= self.length).any():
            x[outside] = self._network(x[outside])
        return x

    def _network(self, x):
        sizes = np.uint64(self._rows), np.uint64(self._columns)
        halves = list(np.divmod(x.astype(np.uint64), sizes[1]))
        for turn, key in enumerate(self._keys):
            changed = turn % 2
            halves[changed] = (halves[changed] + _mixed(halves[1 - changed], key) % sizes[changed]) % sizes[changed]
        return (halves[0] * sizes[1] + halves[1]).astype(np.int64)


def _mixed(x, key):
    x = (x + key) * np.uint64(0x9E3779B97F4A7C15)  # wraps around, as arrays of this type do
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
