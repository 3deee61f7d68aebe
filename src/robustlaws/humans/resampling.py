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


def mean_share(right, among):
    """Return the mean of the participants' shares right.

    Parameters
    ----------
    right : bool array (images, participants)
    among : bool array (images, participants)
        What counts of each participant; one of whom nothing does is left out.

    Returns
    -------
    float
        nan where nothing counts of anybody.
    """
    there = among.any(axis=0)
    return float(_mean_share(right[:, there], among[:, there], np.ones((1, len(among))), np.ones((1, there.sum())))[0])


def resampled_mean_share(rng, right, among, resamples, more=0):
    """Yield, in blocks, the image weights and :func:`mean_share` of each resample of images and participants.

    Parameters
    ----------
    rng : numpy Generator
    right, among : bool arrays (images, participants)
    resamples : int
    more : int
        As in :func:`image_weights`.

    Yields
    ------
    (float array (block, images), float array (block,))
    """
    there = among.any(axis=0)
    right, among = right[:, there], among[:, there]
    people = participant_weights(rng, right.shape[1], resamples)
    first = 0
    for weights in image_weights(rng, len(right), resamples, more):
        yield weights, _mean_share(right, among, weights, people[first : first + len(weights)])
        first += len(weights)


def _mean_share(right, among, weights, people):
    """Return the mean share (resamples,) where images and participants count as often as these weights say."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (weights @ (right & among).astype(float)) / (weights @ among.astype(float))
        there = np.isfinite(shares)  # not of a participant of whom no image was drawn
        return np.where(there, shares * people, 0).sum(axis=1) / np.where(there, people, 0).sum(axis=1)


def interval(values, level):
    """Return (low, high) that hold `level` of values (resamples,) between them; (nan, nan) where none is finite."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.nan, np.nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
