"""Progress of a long loop in the log: done, rate, time left."""

import time

from robustlaws.formatting.numbers import duration
from robustlaws.runtime.logger import log


class Progress:
    """Log the progress of a long loop: done, rate, time left.

    Parameters
    ----------
    what : str
        Name of the work, for the line in the log.
    total : int
        How many of `unit` there are to do.
    unit : str
        Name of the counted items.
    done : int
        How many were done before (a resumed job).
    every : float
        Seconds between two lines at least.
    """

    def __init__(self, what, total, unit="images", done=0, every=5.0):
        self.what, self.total, self.unit, self.every = what, total, unit, every
        self.done = self.before = done
        self.start = time.monotonic()
        self.last = self.start - every  # the first step says that the work has begun

    def advance(self, count, detail=""):
        """Count `count` more as done; log a line if the last one is old enough or all is done."""
        self.done += count
        now = time.monotonic()
        if now - self.last < self.every and self.done < self.total:
            return
        self.last = now
        rate = (self.done - self.before) / max(now - self.start, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        share = self.done / max(self.total, 1)
        log.info(
            "%s: %s of %s %s (%.0f %%), %s/s, %s left%s",
            self.what,
            f"{self.done:,}",
            f"{self.total:,}",
            self.unit,
            100 * share,
            f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}",
            duration(left),
            f"; {detail}" if detail else "",
        )
