"""How far participants agree: Fleiss' kappa of many, Cohen's kappa and the share of agreement of two."""

import numpy as np


def fleiss_kappa(counts):
    """Return how far participants agree on the classes of images, beyond chance.

    Parameters
    ----------
    counts : int array (images, classes)
        How many participants gave each class to each image; an image with fewer than two is ignored, and the numbers
        may differ between images.

    Returns
    -------
    float
        1 where all agree; 0 where they do as often as by chance; nan where that is not defined: without two
        participants on any image, or where all answers are one class.

    Raises
    ------
    ValueError
        If `counts` is not such an array.

    Source: Fleiss 1971, equations 2 to 7; for unequal numbers Gwet 2014, where each image weighs the same.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise ValueError(f"counts: array {counts.shape} of {counts.dtype}; whole numbers (images, classes) are needed")
    agreeing, shares = _fleiss_terms(counts)
    return float(_fleiss(np.ones((1, len(agreeing))), agreeing, shares)[0])


def _fleiss_terms(counts):
    """Return, of each image with two answers, the share of pairs that agree (n,) and of each class (n, classes)."""
    counts = counts[counts.sum(axis=1) >= 2].astype(float)
    total = counts.sum(axis=1)
    return (counts * (counts - 1)).sum(axis=1) / (total * (total - 1)), counts / total[:, None]


def _fleiss(weights, agreeing, shares):
    """Return Fleiss' kappa (resamples,) where image i counts weights[:, i] times."""
    images = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = weights @ agreeing / images
        return beyond_chance(observed, ((weights @ shares / images[:, None]) ** 2).sum(axis=1))


def beyond_chance(observed, expected):
    """Return (observed - expected) / (1 - expected), nan where all agreement is expected."""
    room = 1 - expected
    with np.errstate(invalid="ignore", divide="ignore"):
        # rounding leaves some 1e-16 of a room that is none
        return np.where(room > 1e-12, (observed - expected) / room, np.nan)
