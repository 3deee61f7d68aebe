"""Already sampled images: an index of their files, and a sampler that reads them in a mixed order.

Published files are sorted by class and up to 154 GB. So files that can be read in place are not copied, and no file is
ever held in memory whole.

Source: spec/interop.md 4e.
"""

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from math import prod
from pathlib import Path

import h5py
import numpy as np

from robustlaws.data import image_files
from robustlaws.data.npz import class_indices
from robustlaws.generators.sampled_files.permutation import Order
from robustlaws.runtime import resumable_state
from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
from robustlaws.runtime.signals import Stop, Stopped
from robustlaws.settings import as_params
from robustlaws.storage import embedded, provenance
from robustlaws.storage.atomic import hdf5, named, read_json, replacing, write_at, write_json

FORMAT = "robustlaws-samples-1"
_STAMPED = 1 << 16  # bytes of an index that are room enough for what HDF5 needs beside an attribute
_LISTED = 100  # sources named one by one in the attributes of a shard, which have little room


def stage(*, sample_paths, samples_path, state_path, settings, compute):
    """Check files of sampled images and write the index that :class:`Sampler` reads them by.

    The index is an HDF5 file: `label`, the smallest unsigned integers (N,); `about`, JSON with the name, SHA-256,
    size and time of each source and the byte at which its images begin; and, for images that do not lie in
    their file as they are (deflated npz, chunked or compressed HDF5, pictures, Parquet), `image`, uint8 (N', height,
    width, channels). Memory stays constant, whatever the size.

    Parameters
    ----------
    sample_paths : list of path
        Files (or folders of class folders), taken one after the other.
    samples_path : path
        Index to write. Images that are not unpacked stay where they are, and must.
    state_path : path
        Folder where an unfinished index is kept. A killed job goes on: sources whose SHA-256 is known are not read
        for it again, unpacked images are not unpacked again.
    settings : settings.Staging
    compute : settings.Compute

    Raises
    ------
    ValueError
        If a file does not hold what the settings say, is damaged or is not the one meant by its SHA-256, or the
        unpacked images do not fit the disk.
    Stopped
        After SIGTERM, SIGUSR1 or Ctrl-C, or when the time budget is used up: what is done is kept.
    """
    if settings.sha256 and len(settings.sha256) != len(sample_paths):
        wanted = f"{len(settings.sha256)} given for {len(sample_paths)} files"
        raise ValueError(f"generators.{settings.generator}.sha256: {wanted}; give one for each, in their order")
    deadline = compute.deadline(time.time())
    with resumable_state.locked(state_path), Stop(deadline) as stop:
        shape = (settings.image_size, settings.image_size, settings.channels)
        expected = image_files.Expected(settings.image_key, settings.label_key, shape, settings.classes)
        where = f"generators.{settings.generator}.format"
        parts = [image_files.opened(path, settings.format, expected, where) for path in sample_paths]
        staging = _Staging(parts, state_path, settings, stop)
        staging.check_sources()
        staging.begin()
        staging.unpack(60 * compute.state_minutes)
        staging.check_unchanged()
        with replacing(samples_path) as partial:
            staging.hand_over(partial, provenance.current(samples_path))
        resumable_state.forget(state_path)
    log.info("%s: %d images of %d files", settings.generator, staging.count, len(sample_paths))


class _Staging:
    """The steps of :func:`stage`, each of which is resumed from a journal in the folder of the state."""

    def __init__(self, parts, state_path, settings, stop):
        self.parts, self.settings, self.stop = parts, settings, stop
        self.count = sum(part.count for part in parts)
        self.packed = [part for part in parts if part.offset is None]
        self.index_path, self._journal_path = Path(state_path) / "index.h5", Path(state_path) / "journal.json"
        self.identities = [part.identity() for part in parts]
        owner = {"settings": as_params(settings), "paths": [str(part.path) for part in parts]}
        # through JSON, which has lists for tuples
        self._owner = json.loads(json.dumps({**owner, "identities": self.identities}))
        self.sha256, self.unpacked = [], None  # unpacked: images; None: the index is not begun
        self._take_up()

    def _take_up(self):
        try:
            journal = read_json(self._journal_path)
        except (FileNotFoundError, ValueError):
            return
        if journal["owner"] != self._owner:
            log.warning("%s: of other files or settings; starting from the beginning", self._journal_path)
            return
        self.sha256 = journal["sha256"]
        provenance.go_on_from(journal.get("starts", []))
        if self.index_path.exists():
            self.unpacked = journal["unpacked"]
        folder, unpacked = self._journal_path.parent, self.unpacked or 0
        resumable_state.going_on(folder, f"after {len(self.sha256)} files checked and {unpacked:,} images unpacked")

    def _note(self):
        journal = {"owner": self._owner, "sha256": self.sha256, "unpacked": self.unpacked}
        write_json(self._journal_path, journal | {"starts": provenance.starts()}, stamped=False)

    def _check_stop(self):
        if reason := self.stop.reason():
            where = f"{self.settings.generator}: stopped ({reason}) while its files are staged, what is done is kept"
            raise Stopped(f"{where}; the same job goes on from there")

    def check_sources(self):
        """Take the SHA-256 of each source that has none yet and compare it with the one that is wanted."""
        done = sum(each["bytes"] for each in self.identities[: len(self.sha256)])
        progress = Progress("checking files", sum(each["bytes"] for each in self.identities), "bytes", done)

        def advance(count):
            progress.advance(count)
            self._check_stop()

        for number, part in enumerate(self.parts):
            if number == len(self.sha256):
                self.sha256.append(part.digest(advance))
                self._note()
            if self.settings.sha256 and self.settings.sha256[number] != self.sha256[number]:
                wanted = f"generators.{self.settings.generator}.sha256 asks for {self.settings.sha256[number]}"
                raise ValueError(f"{part.path}: has the SHA-256 {self.sha256[number]}; {wanted}")
            log.info("%s: %d images, SHA-256 %s", part.path, part.count, self.sha256[number])

    def begin(self):
        """Write the index but for the images to unpack, for which it has room."""
        if self.unpacked is not None:
            return
        s, packed = self.settings, sum(part.count for part in self.packed)
        with named(self.index_path), hdf5(self.index_path, track_order=True) as file:
            kind = np.min_scalar_type(max(s.classes - 1, 1))
            file.attrs["format"] = FORMAT
            file["about"] = json.dumps(self._about())
            self._write_labels(_contiguous(file, "label", (self.count,), kind))
            if packed:
                _contiguous(file, "image", (packed, *self.parts[0].shape), np.uint8)
        self.unpacked = 0
        self._note()

    def _about(self):
        parts, packed_bytes = [], 0
        for part, identity in zip(self.parts, self.identities, strict=True):
            where = {"path": str(part.path), "offset": part.offset, **identity}
            if part.offset is None:  # in the index, counted from its first image on
                where = {"path": None, "offset": packed_bytes}
                packed_bytes += part.count * prod(part.shape)
            parts.append({"count": part.count, **where})
        s = self.settings
        return {
            "shape": self.parts[0].shape,
            "classes": s.classes,
            "provenance": {"format": s.format, "image_key": s.image_key, "label_key": s.label_key},
            "sources": [
                {"name": part.path.name, "sha256": sha256, "images": part.count}
                for part, sha256 in zip(self.parts, self.sha256, strict=True)
            ],
            "parts": parts,
        }

    def _write_labels(self, dataset):
        at, counts = 0, np.zeros(self.settings.classes, np.int64)
        for part in self.parts:
            begun, where = at, f"{part.path}: {self.settings.label_key!r}"
            for block in part.labels():
                labels = class_indices(np.asarray(block), self.settings.classes, where)
                dataset[at : at + len(labels)] = labels
                counts += np.bincount(labels, minlength=len(counts))
                at += len(labels)
                self._check_stop()
            if at - begun != part.count:
                raise ValueError(f"{where} has {at - begun} rows for {part.count} images")
        log.info("images of each class: %d to %d", counts.min(), counts.max())
        if not counts.all():
            log.warning("no image of class %s", ", ".join(map(str, np.flatnonzero(counts == 0))))

    def unpack(self, seconds):
        """Write the images that cannot be read where they are, taking note of how far it is every `seconds`."""
        if not self.packed:
            return
        size, total = prod(self.parts[0].shape), sum(part.count for part in self.packed)
        with h5py.File(self.index_path, "r") as file:
            offset = file["image"].id.get_offset()
        needed, free = (total - self.unpacked) * size, shutil.disk_usage(self.index_path.parent).free
        if needed > free:
            raise ValueError(f"{self.index_path}: {needed:,} bytes of images to unpack, {free:,} free there; make room")
        progress, noted = Progress("unpacking", total, done=self.unpacked), time.monotonic()
        with named(self.index_path), open(self.index_path, "r+b", buffering=0) as file:
            try:
                for block in self._blocks():
                    write_at(file.fileno(), block, offset + self.unpacked * size)
                    self.unpacked += len(block)
                    progress.advance(len(block))
                    if time.monotonic() - noted > seconds:
                        self._note_flushed(file)
                        noted = time.monotonic()
                    self._check_stop()
            except Stopped:
                self._note_flushed(file)
                raise
            self._note_flushed(file)

    def _note_flushed(self, file):
        os.fsync(file.fileno())  # the journal must not know more than the disk
        self._note()

    def check_unchanged(self):
        """Raise ValueError if a source was written while it was read."""
        for part, identity in zip(self.parts, self.identities, strict=True):
            if part.identity() != identity:
                raise ValueError(f"{part.path}: changed while it was staged; wait until it is whole and run again")

    def hand_over(self, path, stamp):
        """Move the finished index to `path` and put `stamp` into it; if there is no room for that, it stays whole."""
        if stamp is not None:
            # HDF5 would find that out in the middle of the index; what it does not use of this room it cuts off
            with named(self.index_path), open(self.index_path, "ab") as file:
                file.write(bytes(len(json.dumps(stamp)) + _STAMPED))
                file.flush()
                os.fsync(file.fileno())
        shutil.move(self.index_path, path)
        # after the move: a kill in here must not leave a damaged index to go on with
        try:
            with hdf5(path, "r+") as file:
                embedded.stamp_hdf5(file, stamp)
        except OSError:
            with suppress(ValueError):
                _read(path)
                shutil.move(path, self.index_path)
            raise

    def _blocks(self):
        """Yield the images to unpack from number `unpacked` on, block by block."""
        first = self.unpacked
        for part in self.packed:
            if first < part.count:
                yield from map(np.ascontiguousarray, part.images(first))
            first = max(first - part.count, 0)


def _contiguous(file, name, shape, kind):
    """Return a new dataset that has its place in the file at once and is not filled before it is written."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return file.create_dataset(name, shape, kind, dcpl=plist)


class Sampler:
    """Images of staged files, in an order that mixes them.

    Image i of the dataset is row `Order(N, settings.seed).at(i)` of the N images of the files. Its first images stay
    the same when the dataset grows, up to N. Other files, or one more, give another order.

    Parameters
    ----------
    files : dict of str to path
        `samples`: the index, see :func:`stage`.
    settings : settings.Sampling
    where : torch.device
        Not used.

    Attributes
    ----------
    provenance : dict
        Names and SHA-256 of the source files, their keys, and how many images they hold.

    Raises
    ------
    ValueError
        If the index is none, of other images than the settings name, of fewer, or a source has changed since.
    """

    def __init__(self, files, settings, where):
        path = self._path = files["samples"]
        about, label, image_offset = _read(path)
        s, self._shape, self._count = settings, tuple(about["shape"]), label["count"]
        theirs, ours = (*self._shape, about["classes"]), (s.image_size, s.image_size, s.channels, s.classes)
        if theirs != ours:
            sides = ("{}x{} pixels, {} channels, {} classes".format(*each) for each in (theirs, ours))
            raise ValueError("{}: holds images of {}; the study has images of {}".format(path, *sides))
        if s.first + s.count > self._count:
            wanted = f"image {s.first + s.count - 1} wanted for {s.dataset}"
            raise ValueError(f"{path}: {wanted}; the files hold {self._count:,} images, so give it at most these")
        self._order = Order(self._count, s.seed)
        self._labels = np.memmap(path, label["type"], "r", label["offset"], self._count)
        self._parts, begins = [], [0]
        for part in about["parts"]:
            offset = part["offset"] + (0 if part["path"] else image_offset)
            self._parts.append((_source(part, path), offset))
            begins.append(begins[-1] + part["count"])
        self._begins = np.array(begins)
        lines = [f"{each['sha256']}  {each['name']}" for each in about["sources"]]
        if len(lines) > _LISTED:
            whole = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
            lines = [f"{whole}  {len(lines)} files"]  # of the list of them all
        kept = {f"source_{name}": value for name, value in about["provenance"].items()}
        self.provenance = {"sources": lines, **kept, "source_images": self._count, "order": "feistel-1"}

    def batch(self, indices):
        """Return images and classes of the given indices, a pure function of the settings and of them.

        Parameters
        ----------
        indices : range
            Positions in the dataset; those beyond the last image, which a last whole batch may have, give the last.

        Returns
        -------
        images : uint8 array (batch, height, width, channels)
        labels : int64 array (batch,)

        Raises
        ------
        ValueError
            If all are beyond the last image, or a file has become shorter.
        """
        if indices[0] >= self._count:
            raise ValueError(f"{self._path}: image {indices[0]} wanted; the files hold {self._count:,} images")
        rows = self._order.at(np.minimum(np.asarray(indices), self._count - 1))
        parts = np.searchsorted(self._begins, rows, side="right") - 1
        size = prod(self._shape)
        images = np.empty((len(rows), size), np.uint8)
        for k in np.argsort(rows):  # in the order of the disk, which is faster
            file, offset = self._parts[parts[k]]
            data = os.pread(file.fileno(), size, offset + int(rows[k] - self._begins[parts[k]]) * size)
            if len(data) != size:
                raise ValueError(f"{file.name}: cut off since it was staged; put it back")
            images[k] = np.frombuffer(data, np.uint8)
        return images.reshape(-1, *self._shape), self._labels[rows].astype(np.int64)


def _read(path):
    """Return (about, where the labels are, byte at which unpacked images begin or None) of an index."""
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"{path}: not an index of sampled images (no attribute format = {FORMAT})")
            label = file["label"]
            where = {"count": len(label), "type": label.dtype, "offset": label.id.get_offset()}
            image_offset = file["image"].id.get_offset() if "image" in file else None
            return json.loads(file["about"][()]), where, image_offset
    except OSError as error:
        raise ValueError(f"{path}: not a readable HDF5 file ({error})") from None


def _source(part, index_path):
    """Return the open file of a part of the index; ValueError if it is not the one that was staged."""
    path = part["path"] or index_path
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - open as long as the sampler
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}; it was staged from there and must stay, or be staged again"
        ) from None
    about = os.stat(path)
    if part["path"] and (about.st_size, about.st_mtime_ns) != (part["bytes"], part["mtime_ns"]):
        raise ValueError(f"{path}: changed since it was staged; delete {index_path} and run again")
    return file
