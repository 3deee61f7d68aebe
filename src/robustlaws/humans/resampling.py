"""Bootstrap over images and participants.

Intervals are percentiles of a quantity that is computed again from images, and where it is of several participants
from participants too, drawn with replacement; the two are drawn independently of each other (Owen 2007).
"""

import numpy as np

_AT_ONCE = 1 << 22  # weights in memory at once


def image_weights(rng, images, resamples, more=0):
    """Yield, in blocks, how often each of `images` images is drawn in each resample.

    Parameters
    ----------
    rng : numpy Generator
    images : int
        How many there are, of which the weights are given.
    resamples : int
    more : int
        How many others there are beside them, from which is drawn too.

    Yields
    ------
    float array (block, images)
        Each row sums to images + more less what was drawn of the others.
    """
    block = max(_AT_ONCE // max(images, 1), 1)
    for first in range(0, resamples, block):
        rows = min(block, resamples - first)
        total = images + more
        drawn = rng.binomial(total, images / total, rows) if more else np.full(rows, images)
        which = rng.integers(0, max(images, 1), int(drawn.sum())) + np.repeat(np.arange(rows) * images, drawn)
        yield np.bincount(which, minlength=rows * images).reshape(rows, images).astype(float)


def participant_weights(rng, participants, resamples):
    """Return how often each participant is drawn in each resample (resamples, participants); a lone one always is."""
    drawn = rng.integers(0, participants, (resamples, participants)) + np.arange(resamples)[:, None] * participants
    return np.bincount(drawn.ravel(), minlength=resamples * participants).reshape(resamples, participants)


def shares(weights, right, shown):
    """Return each participant's share right in each resample.

    Parameters
    ----------
    weights : float array (resamples, images)
    right, shown : bool arrays (images, participants)

    Returns
    -------
    float array (resamples, participants)
        nan where none of the images drawn was shown to the participant.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ right.astype(float)) / (weights @ shown.astype(float))


def weighted_mean(values, weights):
    """Return the mean (resamples,) of values (resamples, participants), each as often as drawn, without those nan."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(there, values * weights, 0).sum(axis=1) / np.where(there, weights, 0).sum(axis=1)


def interval(values, level):
    """Return (low, high) that hold `level` of values (resamples,) between them; (nan, nan) where none is finite."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.nan, np.nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
