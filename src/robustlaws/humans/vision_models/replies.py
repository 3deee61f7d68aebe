"""Raw replies of a vision model, appended to a file line by line.

Each line is JSON: `request` (digest of all that was asked: address, model, prompt, image, parameters), `id` of the
stimulus, `model`, `address`, `time` (ISO 8601, UTC), `milliseconds` and `attempts` of the request, `http_status`,
`status` (as in the answers; "failed" for an attempt that may have been charged but brought no reply), `usage`, `cost`
(US dollars; null without a price) and `reply`, the JSON as it came (null where it failed).
"""

import json
import os
from contextlib import contextmanager
from pathlib import Path

from robustlaws.storage import atomic

_ENTRIES = {"request", "id", "model", "address", "time", "milliseconds", "attempts", "http_status", "status", "usage",
            "reply", "cost"}  # fmt: skip


class Replies:
    """The replies in a file, by digest of the request.

    Attributes
    ----------
    by_request : dict of str to dict
        The first line of each request that has a reply.
    lines : list of dict
        All lines, also of attempts that failed.
    """

    def __init__(self, path):
        self.path, self.by_request, self.lines = Path(path), {}, []
        self._number = self._end = None

    def append(self, line):
        """Add a line (dict): on disk when this returns.

        Raises
        ------
        OSError
            If it cannot be written; then the file ends as before.
        """
        data = json.dumps(line).encode() + b"\n"  # in ASCII: a reply may hold half a character
        try:
            with atomic.named(self.path):
                atomic.write_at(self._number, data, self._end)
                os.fsync(self._number)
        except OSError:
            os.ftruncate(self._number, self._end)
            raise
        self._end += len(data)
        self._take(line)

    def _take(self, line):
        self.lines.append(line)
        if line["reply"] is not None:
            self.by_request.setdefault(line["request"], line)

    def _load(self, data):
        """Take all whole lines of `data`; return how many bytes they are."""
        whole = data.rfind(b"\n") + 1  # what a killed job left behind its last whole line has never counted
        for number, text in enumerate(data[:whole].split(b"\n")[:-1], start=1):
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            if not isinstance(line, dict) or _ENTRIES - line.keys() or not isinstance(line["reply"], dict | None):
                raise ValueError(
                    f"{self.path} line {number}: not a recorded reply; delete the line, its image is then asked again"
                )
            self._take(line)
        return whole


def read(path):
    """Return the recorded replies in the file at `path`, which is not changed.

    Raises
    ------
    ValueError
        If a line is none, other than a torn last one.
    """
    replies = Replies(path)
    replies._load(replies.path.read_bytes())
    return replies


@contextmanager
def opened(path):
    """Yield the replies in the file at `path`, for more to be appended; it is made if need be, a torn end is cut.

    Raises
    ------
    ValueError
        As :func:`read`.
    """
    replies = Replies(path)
    replies.path.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(replies.path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        data = replies.path.read_bytes()
        replies._end = replies._load(data)
        if replies._end < len(data):
            os.ftruncate(number, replies._end)
        replies._number = number
        folder = os.open(replies.path.parent, os.O_RDONLY)  # the name of a new file too must survive a power cut
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        yield replies
    finally:
        os.close(number)
