"""The two interval rules: percentiles of bootstrap samples, and the exact interval of a share."""

from typing import Any

import numpy as np


def percentile_interval(samples: Any, level: float) -> tuple[Any, Any]:
    """Return the two percentiles that hold the share `level` of `samples` between them.

    Parameters
    ----------
    samples : float array (refits, ...)
        Percentiles are taken over the first axis.
    level : float
        For example 0.9.

    Returns
    -------
    low, high : float arrays (...)
        Samples themselves, the nearest ones: without interpolation, infinite samples do no harm. Samples with a nan
        give nan.
    """
    tail = (1 - level) / 2
    low, high = np.quantile(np.asarray(samples, dtype=float), [tail, 1 - tail], axis=0, method="nearest")
    return low, high


def exact_interval(right: int, images: int, level: float) -> tuple[float, float]:
    """Return (low, high): the exact interval of an accuracy of `right` in `images`.

    It covers the true share at least as often as `level` says, for test images drawn at random. It does not include
    the spread between seeds.

    Source: Clopper and Pearson 1934.
    """
    from scipy.stats import binomtest  # here: fits of laws need no scipy.stats

    interval = binomtest(right, images).proportion_ci(confidence_level=level, method="exact")
    return float(interval.low), float(interval.high)
