"""Limits on connections: idle time, and connections per address."""

from http import HTTPStatus

from uvicorn.protocols.http.h11_impl import H11Protocol

from robustlaws.humans.web.rate_limits import network
from robustlaws.humans.web.request_guard import HEADERS

_MOST = 900  # below what a process may open on most machines
_MOST_OF_ONE = 300  # a class behind one address, with the up to six connections of a browser
_HEAD_SECONDS = 10.0


class Connection(H11Protocol):
    """A connection that ends unless a request's head is complete within a time, and that is refused above a number.

    Uvicorn itself waits for a first request without end, and counts who is silent among those that it serves.
    """

    def __init__(self, *, log, each=_MOST_OF_ONE, overall=_MOST, seconds=_HEAD_SECONDS, **known):
        """Take what uvicorn gives to a protocol, and the limits; `each` may be None where all come through a proxy."""
        super().__init__(**known)
        self._log, self._each, self._overall, self._seconds = log, each, overall, seconds
        self._silence = None  # the timer of a request's head
        self.network = None  # that it comes from

    def connection_made(self, transport):
        """Begin to wait for a request, or refuse."""
        super().connection_made(transport)
        self.network = network(self.client[0]) if self.client else None
        if self._too_many():
            self._refuse()
        else:
            self._await_head()

    def connection_lost(self, exc):
        """Wait for nothing more."""
        self._end_silence()
        super().connection_lost(exc)

    def data_received(self, data):
        """Take a piece of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # a request is being dealt with
            self._end_silence()
        elif self._silence is None:
            self._await_head()

    def _await_head(self):
        self._silence = self.loop.call_later(self._seconds, self.transport.abort)

    def _end_silence(self):
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _too_many(self):
        mine = sum(other.network == self.network for other in self.connections)
        return len(self.connections) > self._overall or (self._each is not None and mine > self._each)

    def _refuse(self):
        status = HTTPStatus.SERVICE_UNAVAILABLE
        address = self.client[0] if self.client else "unknown"
        self._log.warning("%d from %s, nobody: too many connections", status, address)
        text = b"There are too many connections; try again in a moment.\n"
        headers = HEADERS | {
            "content-type": "text/plain; charset=utf-8", "content-length": len(text), "retry-after": 10,
            "connection": "close",
        }  # fmt: skip
        head = f"HTTP/1.1 {status} {status.phrase}\r\n" + "".join(f"{name}: {headers[name]}\r\n" for name in headers)
        self.transport.write(head.encode() + b"\r\n" + text)
        self.transport.close()
