"""One bisection for functions that broadcast their parameters over axes of their own.

Not `scipy.optimize.elementwise.find_root`: it calls its function with the unconverged elements only, which do not
broadcast with parameters of shape (1 + refits, 1).
"""

from collections.abc import Callable

import numpy as np


def bisect(
    lies_above: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray, halvings: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the intervals that hold the roots.

    Parameters
    ----------
    lies_above : callable
        (points) -> bool array: whether the root lies above each point.
    low, high : float arrays of one shape
        Ends of the intervals at the start.
    halvings : int
        Each gives one bit.
    """
    for _ in range(halvings):
        middle = (low + high) / 2
        above = lies_above(middle)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low, high
