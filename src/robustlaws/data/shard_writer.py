"""Write a shard in parts; a killed job resumes."""

import json
import math
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from robustlaws.data.shard_format import FORMAT, assemble, check_arrays, check_layout
from robustlaws.runtime import resumable_state
from robustlaws.runtime.logger import log
from robustlaws.storage import provenance
from robustlaws.storage.atomic import named, read_json, replacing, write_json


class Writer:
    """Writes one shard bit by bit, as a context; a job killed at any moment goes on inside the shard.

    Appended images and labels go to plain files in a folder beside the shard. A journal there, written after they are
    flushed to disk, says how many images count. :meth:`finish` makes the shard of them and removes the folder. The
    bytes of the shard do not depend on interruptions.

    Parameters
    ----------
    path : path
        HDF5 to write.
    count : int
        Images of the finished shard.
    image_shape : tuple of int
        Height, width, channels.
    owner : dict
        Settings, revision and hash of the weights that decide the images; only work of the same owner is resumed.
    state_path : path
        Folder for the unfinished work.
    layout : str
        As for :func:`write`.
    seconds : float
        Time between two journals at most, so what a kill can cost.

    Attributes
    ----------
    done : int
        Images that are there.

    Raises
    ------
    ValueError
        If the layout is not available, nothing is to be written, or another process is at work on the folder.
    """

    def __init__(
        self,
        path: Path | str,
        count: int,
        image_shape: tuple[int, ...],
        owner: dict[str, Any],
        state_path: Path | str,
        layout: str = "contiguous",
        seconds: float = 5.0,
    ) -> None:
        self.path, self.count, self.image_shape = Path(path), count, tuple(image_shape)
        self.folder, self.layout, self.seconds, self.done = Path(state_path), layout, seconds, 0
        if count < 1 or len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise ValueError(f"{path}: {count} images of shape {self.image_shape}; a shard needs one image (h, w, c)")
        check_layout(path, layout)  # now rather than after hours of work
        about = {"format": FORMAT, "count": count, "image_shape": self.image_shape, "owner": owner}
        self._about = json.loads(json.dumps(about))
        self._size = math.prod(self.image_shape)

    def __enter__(self) -> "Writer":
        with ExitStack() as stack:
            stack.enter_context(resumable_state.locked(self.folder))
            self.done = self._taken_up()
            self._images = stack.enter_context(self._opened("image.raw", self._size))
            self._labels = stack.enter_context(self._opened("label.raw", 8))
            self._save()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            with named(self.folder):
                try:
                    if not self._images.closed:
                        self._save()
                finally:
                    self._stack.__exit__(*error)
        except OSError:
            if error[0] is None:  # else what went wrong first is what there is to say
                raise

    def append(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Add `images` (uint8, (n, height, width, channels)) and their `labels` (integers, (n,)).

        Raises
        ------
        ValueError
            If they are of other types or shapes, or more than the shard has room for.
        """
        images, labels = np.asarray(images), np.asarray(labels)
        check_arrays(self.path, images, labels, self.image_shape)
        if self.done + len(images) > self.count:
            raise ValueError(f"{self.path}: {len(images)} images more than {self.done} of {self.count} are too many")
        # To the place they belong, wherever an attempt that failed has left the file's position.
        for file, values, size in (
            (self._images, np.ascontiguousarray(images), self._size),
            (self._labels, np.ascontiguousarray(labels, dtype="<i8"), 8),
        ):
            with named(self.folder):
                file.seek(self.done * size)
                file.write(values)
        self.done += len(images)
        if time.monotonic() - self._saved >= self.seconds:
            self._save()

    def finish(self, attributes: dict[str, Any]) -> None:
        """Make the shard of what was appended, with `attributes` as for :func:`write`, and remove the folder.

        Raises
        ------
        ValueError
            If images are missing or an attribute cannot be kept.
        """
        if self.done != self.count:
            raise ValueError(f"{self.path}: {self.done} of {self.count} images are there; append the others first")
        self._save()

        def portion(start, stop):
            images = np.fromfile(
                self.folder / "image.raw", np.uint8, (stop - start) * self._size, offset=start * self._size
            )
            labels = np.fromfile(self.folder / "label.raw", "<i8", stop - start, offset=start * 8)
            return images.reshape(-1, *self.image_shape), labels

        with replacing(self.path) as partial:
            stamp = provenance.current(self.path)
            assemble(partial, portion, self.count, self.image_shape, attributes, self.layout, stamp)
        # open files stay on a network file system, and the folder with them; the lock must be held until the end
        self._images.close()
        self._labels.close()
        resumable_state.forget(self.folder)

    def _taken_up(self):
        """Return the number of images there of the same owner."""
        try:
            journal = read_json(self.folder / "journal.json")
            done, starts = int(journal.pop("done")), journal.pop("starts", [])
            there = min(
                (self.folder / name).stat().st_size // size
                for name, size in (("image.raw", self._size), ("label.raw", 8))
            )
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s: its journal is damaged; starting from the beginning", self.folder)
            return 0
        if journal != self._about:
            log.warning("%s: holds %s images of other settings; starting from the beginning", self.folder, f"{done:,}")
            return 0
        if not 0 <= done <= min(there, self.count):
            log.warning("%s: holds fewer images than its journal says; starting from the beginning", self.folder)
            return 0
        if done:
            provenance.go_on_from(starts)
            resumable_state.going_on(self.folder, f"after {done:,} of {self.count:,} images")
        return done

    def _opened(self, name, size):
        path = self.folder / name
        path.touch()
        os.truncate(path, self.done * size)
        return open(path, "r+b")

    def _save(self):
        with named(self.folder):
            for file in (self._images, self._labels):
                file.flush()
                os.fsync(file.fileno())
        journal = {**self._about, "done": self.done, "starts": provenance.starts()}
        write_json(self.folder / "journal.json", journal, stamped=False)
        self._saved = time.monotonic()
