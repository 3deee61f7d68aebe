"""Rate limits on access codes, by address."""

import ipaddress
import math
import threading
import time

from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

# Wrong codes only, and no limit for all together: a class behind one address may come in at once and mistype, and
# no participant can lock others out. At this rate a code of 75 bits is not found in the age of the universe.
_EACH = RateLimitItemPerMinute(100, 5)


class Attempts:
    """Wrong codes of late, by the address that they came from."""

    def __init__(self, each=_EACH):
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._each = each
        self._lock = threading.Lock()

    def wait(self, address):
        """Return for how many seconds no code is taken from `address`; 0: one is."""
        with self._lock:
            if self._limiter.test(self._each, network(address)):
                return 0
            there_again = self._limiter.get_window_stats(self._each, network(address)).reset_time
        return max(1, math.ceil(there_again - time.time()))

    def wrong(self, address):
        """Count a wrong code from `address`."""
        with self._lock:
            self._limiter.hit(self._each, network(address))


def network(address):
    """Return the network of one attacker: an address, of IPv6 the /64 of a line."""
    try:
        parsed = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class SessionLimit:
    """Requests of late of each who came in: as many as `requests` in `seconds`, at once or one after the other.

    Nobody who answers comes near 20 a second; a program that runs wild, or means to fill the disk, does.
    """

    def __init__(self, requests=600, seconds=30):
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._each = RateLimitItemPerSecond(requests, seconds)
        self._lock = threading.Lock()

    def wait(self, who):
        """Count a request of `who` and return 0; or, where there were too many, how many seconds to wait."""
        with self._lock:
            if self._limiter.hit(self._each, who):
                return 0
            free = self._limiter.get_window_stats(self._each, who).reset_time
        return max(1, math.ceil(free - time.time()))
