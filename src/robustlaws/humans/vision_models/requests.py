"""All requests of a vision model: concurrent, retried, within a cost limit."""

import asyncio
import random
from datetime import UTC, datetime

from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds before the second attempt, doubled for each further one
_PATIENCE = 600.0  # seconds: an endpoint that asks for a longer wait is asked again by the next job only
_IN_A_ROW = 20  # images without a reply after which the endpoint is taken to be down


class Requests:
    """The requests that have no reply yet, and how it goes with them.

    Parameters
    ----------
    requests : list of (digest, id of the stimulus, function without arguments that returns the body)
    endpoint : endpoint.Endpoint
    replies : replies.Replies, opened
    spending : spending.Spending
    settings : settings.VisionModel
    how : settings.Asking
    status : function
        From a reply to its status in the answers.
    done : int
        How many of the images had a reply before.
    """

    def __init__(self, requests, *, endpoint, replies, spending, settings, how, status, done):
        self.requests, self.endpoint, self.replies = requests, endpoint, replies
        self.spending, self.settings, self.how, self.status = spending, settings, how, status
        self.progress = Progress(f"asking {settings.name}", len(requests) + done, done=done)
        self.waiting = iter(requests)
        self.trouble = self.why = ""  # the last one; and what ended the asking early
        self.under_way = self.failed_in_a_row = 0

    def run(self):
        """Ask; every reply is on disk at once.

        Raises
        ------
        ValueError
            If images are left without a reply: how many, and why.
        """
        asyncio.run(self._run())
        missing = sum(digest not in self.replies.by_request for digest, _, _ in self.requests)
        there = self.progress.total - missing
        log.info("%s: %s of %s images have a reply%s", self.settings.name, there, self.progress.total, self._paid())
        if missing:
            why = self.why or self.trouble
            raise ValueError(
                f"{self.settings.name}: {missing:,} of {self.progress.total:,} images have no reply ({why}); "
                "the replies so far are kept, running again asks only for the rest"
            )

    async def _run(self):
        self.ended, self.freed = asyncio.Event(), asyncio.Condition()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.how.concurrency, len(self.requests))):
                    group.create_task(self._work())
        except ExceptionGroup as errors:  # of the disk: one says all
            raise errors.exceptions[0] from None
        finally:
            await self.endpoint.close()

    async def _work(self):
        for request in self.waiting:
            if self.ended.is_set():
                return
            replied = await self._ask(*request)
            self.failed_in_a_row = 0 if replied else self.failed_in_a_row + 1
            if self.failed_in_a_row >= max(_IN_A_ROW, 2 * self.how.concurrency):
                self._end(f"{self.trouble}; given up after {self.failed_in_a_row} images in a row")

    def _end(self, why):
        if not self.ended.is_set():
            self.why = why
            self.ended.set()

    async def _ask(self, digest, stimulus, body):
        """Ask for one image up to as often as the settings say; return whether there is a reply."""
        for attempt in range(1, self.how.attempts + 1):
            cost = await self._reserve()
            if cost is None:
                return False
            try:
                outcome = await self.endpoint.ask(body())
                self._record(digest, stimulus, attempt, outcome)
            finally:
                await self._release(cost)
            if outcome.reply is not None:
                return True
            self.trouble = outcome.trouble
            log.info("image %s, attempt %s of %s: %s", stimulus, attempt, self.how.attempts, outcome.trouble)
            if outcome.fatal:
                self._end(outcome.trouble)
            wait = _wait(attempt, outcome.wait)
            if wait is None or attempt == self.how.attempts or await self._ends_within(wait):
                return False

    async def _ends_within(self, seconds):
        """Wait, unless all asking ends before; return whether it does."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return False
        return True

    async def _reserve(self):
        """Return the cost that the next request may have within the limit; None if there is none, which ends all."""
        async with self.freed:
            while not self.ended.is_set() and not self.spending.fits():
                if self.under_way:  # those under way may cost less than they might
                    await self.freed.wait()
                    continue
                self._end(
                    f"the cost limit of {self.how.cost_limit:g} US dollars is reached: {self.spending.spent:.4f} "
                    f"spent, the next request may cost {self.spending.estimate():.4f}; raise cost_limit to go on"
                )
            if self.ended.is_set():
                self.freed.notify_all()
                return None
            cost = self.spending.estimate()
            self.spending.reserved += cost
            self.under_way += 1
            return cost

    async def _release(self, cost):
        async with self.freed:
            self.under_way -= 1
            self.spending.reserved = self.spending.reserved - cost if self.under_way else 0.0
            self.freed.notify_all()

    def _record(self, digest, stimulus, attempt, outcome):
        if outcome.reply is None and not outcome.charged:
            return
        usage = outcome.reply.get("usage") if outcome.reply else None
        line = {
            "request": digest,
            "id": stimulus,
            "model": self.settings.model,
            "address": self.endpoint.address,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "milliseconds": outcome.milliseconds,
            "attempts": attempt,
            "http_status": outcome.http_status,
            "status": "failed" if outcome.reply is None else self.status(outcome.reply),
            "usage": usage,
            "reply": outcome.reply,
        }
        line["cost"] = self.spending.cost(line)
        self.replies.append(line)
        self.spending.spent += line["cost"] or 0.0
        self.spending.learn(usage)
        if outcome.reply is not None:
            self.progress.advance(1, self._paid().removeprefix("; "))

    def _paid(self):
        return "" if self.spending.price is None else f"; {self.spending.spent:.4f} US dollars"


def _wait(attempt, asked):
    """Return the seconds before the next attempt; None if the endpoint asks for more than a job waits."""
    if asked is not None and asked > _PATIENCE:
        return None
    backoff = min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT) * random.uniform(0.5, 1.0)
    return max(backoff, asked or 0.0)
