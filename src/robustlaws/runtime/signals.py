"""Requests to stop: a signal, the clock, or a file."""

import signal
import threading
import time
from pathlib import Path

import psutil

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stopped(Exception):
    """The work was stopped before its end and its state is saved: the same job, started again, goes on."""


class Stop:
    """Says whether the work should stop, as a context in which SIGTERM, SIGUSR1 and a first Ctrl-C do not kill.

    Parameters
    ----------
    deadline : float, optional
        Time (seconds since the epoch) at which to stop.
    request : path, optional
        A file whose existence asks to stop; the way to reach processes that no signal reaches.
    launcher : int, optional
        Process without which the work has no purpose.
    """

    def __init__(self, deadline=None, request=None, launcher=None):
        self.deadline, self.request, self.launcher = deadline, Path(request) if request else None, launcher
        self._signal, self._before = None, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number, _):
        self._signal = number
        if number == signal.SIGINT:
            signal.signal(number, self._before[number])  # a second Ctrl-C means it

    def reason(self):
        """Return why to stop, in words, or an empty string."""
        if self._signal is not None:
            return signal.Signals(self._signal).name
        if self.deadline is not None and time.time() >= self.deadline:
            return "the time budget is used up"
        if self.request is not None and self.request.exists():
            return self.request.read_text(encoding="utf-8") or "a request"
        if self.launcher is not None and not psutil.pid_exists(self.launcher):
            return "the process that started this one is gone"
        return ""
