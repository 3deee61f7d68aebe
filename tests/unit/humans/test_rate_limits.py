"""How often requests are sent."""

import time

from robustlaws.humans.web.rate_limits import SessionLimit


def test_requests_are_counted_by_who_sends_them():
    limit = SessionLimit(3, seconds=20)
    assert [limit.wait("1") for _ in range(3)] == [0, 0, 0]
    assert 1 <= limit.wait("1") <= 20
    assert limit.wait("2") == 0
    brief = SessionLimit(1, seconds=1)
    assert brief.wait("1") == 0
    time.sleep(brief.wait("1") + 0.1)
    assert brief.wait("1") == 0
