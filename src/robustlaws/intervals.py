"""Intervals of shares of images."""

from scipy.stats import binomtest


def interval(right, images, level):
    """Return (low, high): the exact interval of an accuracy of `right` in `images`.

    Source: Clopper and Pearson 1934. It covers the true share at least as often as `level` says, for test
    images drawn at random; it knows nothing of the spread between seeds.
    """
    found = binomtest(right, images).proportion_ci(confidence_level=level, method="exact")
    return float(found.low), float(found.high)
