"""Find images that a dataset holds more than once, in bounded memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robustlaws.data import shards
from robustlaws.runtime.progress import Progress

_HELD = 1 << 22  # digests in memory at once, with the places they come from: 300 million images take 72 passes
_READ = 1 << 20  # digests read at once
_NAMED = 20  # repetitions that are compared byte by byte and named


def find(paths: Sequence[Path | str], lengths: Sequence[int], at_once: int = _HELD) -> list[str]:
    """Return a line for each image (with its label) that is the same as one before it.

    Equal digests are found first, in as many passes as the memory requires. The images behind them are then compared
    byte by byte.

    Parameters
    ----------
    paths : list of path
        Shards of one dataset.
    lengths : list of int
        Images of each.
    at_once : int
        Digests to hold in memory at once, about.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    first = np.cumsum([0, *lengths])
    passes = -(-int(first[-1]) // at_once)
    edges = [round(2**64 * number / passes) for number in range(passes + 1)]
    progress, more = Progress("looking for images held twice", passes, unit="passes"), 0
    pairs: list[tuple[int, int]] = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        for run in _runs(*_between(paths, first, low, high)):
            compared = run[: _NAMED + 1 - len(pairs)]
            if len(compared) > 1:
                pairs += _same(compared, paths, first)
            more += len(run) - max(len(compared), 1)
        if passes > 1:
            progress.advance(1)
    pairs.sort()
    lines = [
        f"{_name(paths, first, copy)} is the same as {_name(paths, first, image, short=True)}" for copy, image in pairs
    ]
    if more:
        lines.append(f"{Path(paths[0]).parent}: {more:,} more images have the digest of one before them (not compared)")
    return lines


def _between(paths, first, low, high):
    """Return the digests from `low` up to `high`, and the place of each in the dataset, in order of the places."""
    digests, places = [], []
    for number, path in enumerate(paths):
        with shards.opened(path) as file:
            for start in range(0, len(file["digest"]), _READ):
                part = file["digest"][start : start + _READ]
                inside = np.flatnonzero((part >= np.uint64(low)) & (part <= np.uint64(high - 1)))
                digests.append(part[inside])
                places.append(first[number] + start + inside)
    return np.concatenate(digests), np.concatenate(places)


def _runs(digests, places):
    """Yield the places of each digest that is there more than once, in order."""
    order = np.argsort(digests, kind="stable")
    digests, places = digests[order], places[order]
    same = np.concatenate([[False], digests[1:] == digests[:-1], [False]])
    starts, stops = np.flatnonzero(same[1:] & ~same[:-1]), np.flatnonzero(~same[1:] & same[:-1])
    for start, stop in zip(starts, stops, strict=True):
        yield places[start : stop + 1]


def _same(run, paths, first):
    """Return pairs of places that hold the same bytes, as (the later, the earlier)."""
    distinct, pairs = [], []
    for place in run:
        number = int(np.searchsorted(first, place, side="right")) - 1
        index = int(place - first[number])
        try:
            image, label = shards.read_range(paths[number], index, index + 1)
        except ValueError:  # damaged: the check of its file says so
            continue
        content = image.tobytes() + label.tobytes()
        earlier = next((other for other, other_content in distinct if other_content == content), None)
        if earlier is None:
            distinct.append((place, content))
        else:
            pairs.append((int(place), int(earlier)))
    return pairs


def _name(paths, first, place, short=False):
    number = int(np.searchsorted(first, place, side="right")) - 1
    return f"{paths[number].name if short else paths[number]} image {place - first[number]}"
