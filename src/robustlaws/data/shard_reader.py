"""Read images of any number of shards in a random order, with at most two windows of them in memory.

300 million CIFAR-sized images are 900 GB. Memory does not grow with the number of images: a window is 65,536 images
(200 MB), and a thread reads the next one meanwhile.
"""

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robustlaws.data import shards
from robustlaws.data.sample_order import BLOCK, WINDOW, Order

_KEPT_OPEN = 64  # files

# HDF5 has locks of its own. A process forked while another thread holds them would wait for ever, so none is
# forked while a block is read.
_HDF5 = threading.Lock()
os.register_at_fork(before=_HDF5.acquire, after_in_parent=_HDF5.release, after_in_child=_HDF5.release)


@dataclass(frozen=True)
class Part:
    """A dataset, or the part of a mixture that comes from it.

    Parameters
    ----------
    paths : sequence of path
        Its shards, in order.
    images : int
        The first ones of the dataset, no others are used.
    draws : int
        Taken from them in one pass; draw number i is image i modulo `images`.
    """

    paths: tuple
    images: int
    draws: int


def split(paths: Sequence[Path | str], wanted: Sequence[tuple[int, int]]) -> list[Part]:
    """Return the Parts of a mixture whose shards stand one after the other in `paths`.

    Parameters
    ----------
    paths : list of path
        For each dataset exactly the shards that hold the first images it needs.
    wanted : list of (images, draws)
        Of each dataset, see :class:`Part`.

    Raises
    ------
    ValueError
        If a file is not a shard, or there are shards that no dataset needs.
    """
    rest, parts = list(paths), []
    for images, draws in wanted:
        used, there = [], 0
        while rest and there < images:
            used.append(rest.pop(0))
            there += shards.length(used[-1])
        parts.append(Part(tuple(used), images, draws))
    if rest:
        raise ValueError(f"{rest[0]}: the shards before it hold all {sum(n for n, _ in wanted)} images; leave it out")
    return parts


class Reader:
    """The images of one or several datasets, each pass in an order of its own, see :class:`.batches.Order`.

    Starts at any position, holds two windows at most, and opens files in the process that reads. So it may be pickled,
    or used after a fork. One thread of a process at a time.

    Parameters
    ----------
    parts : sequence of Part
    seed_names : tuple
        Names of the seed of the order.
    shuffle, replacement, window, block
        See :class:`.batches.Order`.
    verify : bool
        Compare every image that is read with its digest.

    Raises
    ------
    ValueError
        If a shard is missing or not one, has images of another shape than the first, or the shards of a part hold
        fewer images than it has. While reading: if a shard is damaged, with the image.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        seed_names: tuple[object, ...],
        *,
        shuffle: bool = True,
        replacement: bool = False,
        window: int = WINDOW,
        block: int = BLOCK,
        verify: bool = True,
    ) -> None:
        self._pool = _Pool(parts, verify)
        self.length = self._pool.length
        self.order = Order(
            self.length, *seed_names, shuffle=shuffle, replacement=replacement, window=window, block=block
        )
        self._windows = None

    def at(self, position: int, count: int) -> tuple[Tensor, Tensor]:
        """Return images number `position`..`position + count - 1`, counted over all passes.

        Returns
        -------
        images : uint8 tensor (count, height, width, channels)
        labels : int64 tensor (count,)
        """
        images, labels = [], []
        while count:
            key, place = self.order.locate(position)
            window = self._window(key)
            chosen = window.order[place : place + count]
            images.append(window.images.index_select(0, chosen))
            labels.append(window.labels.index_select(0, chosen))
            position, count = position + len(chosen), count - len(chosen)
        if not labels:
            return torch.empty(0, *self._pool.image_shape, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        return (images[0], labels[0]) if len(labels) == 1 else (torch.cat(images), torch.cat(labels))

    def __getstate__(self):
        return {**self.__dict__, "_windows": None}

    def _window(self, key):
        if self._windows is None or self._windows.process != os.getpid():
            # A forked process keeps its parent's open files: closing them would unlock them.
            self._windows = _Windows(self._pool, self.order, inherited=self._windows)
        return self._windows.get(key)


class _Pool:
    """The images of all parts: draw number i of a pass is an image of some shard."""

    def __init__(self, parts: Sequence[Part], verify: bool) -> None:
        self._parts, self._verify = [_Placed(part) for part in parts], verify
        self._starts = [0, *accumulate(part.draws for part in parts)]
        self.length = self._starts[-1]
        first, *others = (shard for part in self._parts for shard in part.shards)
        self.image_shape = first.image_shape
        for shard in others:
            if shard.image_shape != self.image_shape:
                raise ValueError(
                    f"{shard.path}: images of shape {shard.image_shape}, those of {first.path} are"
                    f" {self.image_shape}; bring all datasets of a mixture to one shape"
                )

    def read(self, ranges, files, go_on):
        """Return images and labels of `ranges`; None as soon as `go_on` says no."""
        runs, place = [], 0
        for first, stop in ranges:
            for shard, row, count in self._runs(first, stop):
                runs.append((shard, row, place, count))
                place += count
        images, labels = np.empty((place, *self.image_shape), np.uint8), np.empty(place, "<i8")
        # forward through each file, each file once
        for shard, row, place, count in sorted(runs, key=lambda run: (str(run[0].path), run[1])):
            if not go_on():
                return None
            into = slice(place, place + count)
            shard.read(files, row, images[into], labels[into], self._verify)
        return torch.from_numpy(images), torch.from_numpy(labels)

    def _runs(self, first, stop):
        """Yield the pieces (shard, row in it, images) of the draws `first` up to `stop` (left out) of a pass."""
        while first < stop:
            number = bisect_right(self._starts, first) - 1
            part = self._parts[number]
            image = (first - self._starts[number]) % part.images
            index = bisect_right(part.edges, image) - 1
            count = min(stop, self._starts[number + 1], first + part.edges[index + 1] - image) - first
            yield part.shards[index], image - part.edges[index], count
            first += count


class _Placed:
    """A Part with where the images of its shards are: shard i holds images edges[i] up to edges[i + 1]."""

    def __init__(self, part):
        if min(part.images, part.draws) < 1:
            raise ValueError(f"{part.draws} draws from {part.images} images of a dataset; give its share 1 or more")
        self.images = part.images
        self.shards, self.edges = [], [0]
        for path in part.paths:
            if self.edges[-1] == part.images:
                break
            self.shards.append(_Shard(path))
            self.edges.append(min(part.images, self.edges[-1] + self.shards[-1].length))
        if self.edges[-1] < part.images:
            last = f"{part.paths[-1]}: the {len(part.paths)} shards up to this one hold" if part.paths else "no shards:"
            raise ValueError(f"{last} {self.edges[-1]} images, {part.images} wanted; make more or lower the size")


class _Shard:
    """The places of one shard's images in its file, looked up once, and their reading."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        with shards.opened(path) as file:
            raw = shards.raw_layout(path)
            self._digest = file["digest"].id.get_offset()
        self.length, self.image_shape, self._image, self._label = raw.length, raw.image_shape, raw.image, raw.label

    def read(self, files, row, images, labels, verify):
        """Fill `images` and `labels` from `row` on; ValueError if they cannot be read or are not what was written."""
        expected = np.empty(len(labels), "<u8")
        if self._image is None:
            with _HDF5:
                file = files.get(self.path, _hdf5)
                rows = slice(row, row + len(labels))
                try:
                    file["image"].read_direct(images, rows)
                    file["label"].read_direct(labels, rows)
                    file["digest"].read_direct(expected, rows)
                except OSError as error:
                    raise ValueError(f"{self.path}: damaged at images {row} to {rows.stop - 1} ({error})") from None
        else:
            number = files.get(self.path, _plain).fileno()
            self._fill(number, images, self._image + row * images[0].nbytes)
            self._fill(number, labels, self._label + row * 8)
            if verify:
                self._fill(number, expected, self._digest + row * 8)
        if verify:
            wrong = np.flatnonzero(shards.digests(images, labels) != expected)
            if len(wrong):
                raise ValueError(
                    f"{self.path}: damaged, image {row + wrong[0]} does not match its digest;"
                    f" {shards.remedy(self.path)}"
                )

    def _fill(self, number, array, offset):
        rest = memoryview(array).cast("B")
        while rest:
            try:
                got = os.preadv(number, [rest], offset)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from None
            if not got:
                raise ValueError(f"{self.path}: ends before its last image; {shards.remedy(self.path)}")
            rest, offset = rest[got:], offset + got


def _plain(stack, path):
    try:
        return stack.enter_context(open(path, "rb", buffering=0))
    except OSError as error:
        raise ValueError(f"{path}: cannot be opened ({error.strerror})") from None


def _hdf5(stack, path):
    return stack.enter_context(shards.opened(path))


class _Files:
    """The open files of one process, the ones last used."""

    def __init__(self):
        self._open = OrderedDict()

    def get(self, path, opener):
        """Return the open file of `path`, opened by `opener` (stack, path) where it is not."""
        if path not in self._open:
            if len(self._open) >= _KEPT_OPEN:
                self._open.popitem(last=False)[1][1].close()
            stack = ExitStack()
            self._open[path] = opener(stack, path), stack
        self._open.move_to_end(path)
        return self._open[path][0]


@dataclass
class _Window:
    key: tuple
    images: torch.Tensor
    labels: torch.Tensor
    order: torch.Tensor


class _Windows:
    """The window in use of one process, and the next one, read ahead."""

    def __init__(self, pool, order, inherited):
        self.process, self._files, self._inherited = os.getpid(), _Files(), inherited
        self._pool, self._order = pool, order
        self._now = self._ahead = None

    def get(self, key):
        """Return the window of `key`, (pass, number)."""
        if self._now is None or self._now.key != key:
            self._now = _Window(key, *self._content(key), self._order.inside(key))
            if self._order.windows > 1:
                following = self._order.after(key)
                # ranges are worked out here: the order keeps what it last worked out, and is not the thread's
                self._ahead = _Ahead(following, self._order.ranges(following), self._pool, self._files)
                self._ahead.start()
        return self._now

    def _content(self, key):
        if self._now is not None and self._order.windows == 1:
            return self._now.images, self._now.labels  # all that there is
        ahead, self._ahead = self._ahead, None
        content = None
        if ahead is not None:
            ahead.wanted = ahead.key == key
            ahead.join()
            if ahead.wanted and ahead.error is not None:
                raise ahead.error
            content = ahead.content if ahead.wanted else None
        self._now = None  # before another is made
        return content or self._pool.read(self._order.ranges(key), self._files, lambda: True)


class _Ahead(threading.Thread):
    """Reads one window. Ends after the current block when no reader waits for it, also at the end of the program."""

    def __init__(self, key, ranges, pool, files):
        super().__init__(name="robustlaws reading ahead")
        self.key, self.wanted, self.content, self.error = key, True, None, None
        self._work = pool, ranges, files

    def run(self):
        pool, ranges, files = self._work
        try:
            self.content = pool.read(ranges, files, lambda: self.wanted and threading.main_thread().is_alive())
        except Exception as error:
            self.error = error
