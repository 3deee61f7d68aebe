"""Bootstrap over images and participants.

Intervals are percentiles of a quantity that is recomputed from images drawn with replacement, and from participants
drawn with replacement if it covers several. The two are drawn independently (Owen 2007).
"""

import numpy as np

from robustlaws.intervals import percentile_interval

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
    """Return the draws of each participant in each resample (resamples, participants); a lone one is always drawn."""
    drawn = rng.integers(0, participants, (resamples, participants)) + np.arange(resamples)[:, None] * participants
    return np.bincount(drawn.ravel(), minlength=resamples * participants).reshape(resamples, participants)


def pooled_share(right, among):
    """Return the share right of all that counts, of all participants together.

    If the participants were shown the same images, it is the mean of their shares. Otherwise a participant weighs as
    much as they answered, so that somebody who left after one image hardly moves it.

    Parameters
    ----------
    right : bool array (images, participants)
    among : bool array (images, participants)
        Counts of each participant.

    Returns
    -------
    float
        nan where nothing counts of anybody.
    """
    return float(_pooled_share(right, among, np.ones((1, right.shape[0])), np.ones((1, right.shape[1])))[0])


def resampled_share(rng, right, among, resamples, more=0):
    """Yield, in blocks, the image weights and :func:`pooled_share` of each resample of images and participants.

    Parameters
    ----------
    rng : numpy Generator
    right, among : bool arrays (images, participants)
        A participant of whom nothing counts is not drawn from.
    resamples : int
    more : int
        As in :func:`image_weights`.

    Yields
    ------
    (float array (block, images), float array (block,))
        The share is nan where nothing was drawn that counts.
    """
    there = among.any(axis=0)
    right, among = right[:, there], among[:, there]
    people = participant_weights(rng, right.shape[1], resamples)
    first = 0
    for weights in image_weights(rng, len(right), resamples, more):
        yield weights, _pooled_share(right, among, weights, people[first : first + len(weights)])
        first += len(weights)


def _pooled_share(right, among, weights, people):
    """Return the pooled share (resamples,) where images and participants count as often as these weights say."""
    hits = ((weights @ (right & among).astype(float)) * people).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / ((weights @ among.astype(float)) * people).sum(axis=1)


def interval(values, level):
    """Return (low, high) that hold `level` of values (resamples,) between them; (nan, nan) where none is finite."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.nan, np.nan
    low, high = percentile_interval(finite, level)
    return float(low), float(high)
