"""How often codes are tried and requests are sent."""

import time

import numpy as np

from robustlaws.humans.limiting import Attempts, SessionLimit


def test_wrong_codes_are_counted_by_address_and_in_all():
    attempts = Attempts()
    for _ in range(19):
        attempts.wrong("192.0.2.1")
    assert attempts.wait("192.0.2.1") == 0
    attempts.wrong("192.0.2.1")
    assert 1 <= attempts.wait("192.0.2.1") <= 300
    assert attempts.wait("192.0.2.2") == 0
    for number in range(20):  # whoever has one address of IPv6 has a whole network
        attempts.wrong(f"2001:db8::{number:x}")
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("2001:db8:0:1::1") == 0
    for number in np.arange(260):
        attempts.wrong(f"198.51.100.{number % 256}")
    assert attempts.wait("203.0.113.9") > 0


def test_requests_are_counted_by_who_sends_them():
    limit = SessionLimit(3, seconds=20)
    assert [limit.wait("1") for _ in range(3)] == [0, 0, 0]
    assert 1 <= limit.wait("1") <= 20
    assert limit.wait("2") == 0
    brief = SessionLimit(1, seconds=1)
    assert brief.wait("1") == 0
    time.sleep(brief.wait("1") + 0.1)
    assert brief.wait("1") == 0
