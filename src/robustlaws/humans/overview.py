"""What the organiser sees while the study runs: how far each participant is, and how much they agree; no answers."""

import math
import statistics
import threading
from collections import defaultdict

import numpy as np

from robustlaws.humans import progress
from robustlaws.humans.agreement import fleiss_kappa
from robustlaws.joblog import duration

_PAUSE_SECONDS = 120.0  # who takes longer for an image does something else
_FRESH_SECONDS = 5.0  # for which what was found is shown again
_STATES = {progress.WORK: "at work", progress.REST: "at work", progress.FINISHED: "finished"}


class Overview:
    """Gives the rows, the totals and whether participants are simulated, as pages.organiser takes them."""

    def __init__(self, store, key):
        """Look at `store` with the `key` of its images (exporting.read_key)."""
        self.store, self.key = store, key
        self._lock, self._found, self._until = threading.Lock(), None, -math.inf

    def __call__(self):
        """Return them, at most some seconds old."""
        with self._lock:
            now = self.store.clock()
            if not self._until - _FRESH_SECONDS <= now < self._until:
                self._found, self._until = self._look(), now + _FRESH_SECONDS
            return self._found

    def _look(self):
        with self.store.database.reading() as one:
            participants = one.execute(
                "SELECT participants.*, (SELECT max(used) FROM sessions WHERE participant = participants.id) AS used"
                " FROM participants ORDER BY id"
            ).fetchall()
            found = one.execute(
                "SELECT answers.participant, answers.stimulus, status, class, at, shown FROM answers"
                " JOIN showings ON showings.id = showing WHERE undone IS NULL ORDER BY answers.id"
            ).fetchall()
        answers = defaultdict(list)
        for row in found:
            answers[row["participant"]].append(row)
        rows = [self._row(one, answers[one["id"]]) for one in participants]
        kinds = {one["id"]: one["kind"] for one in participants}
        return rows, self._totals(rows, found, kinds), "simulated" in kinds.values()

    def _row(self, one, answers):
        store = self.store
        where = progress.place(
            store.bundle.batches, consented=one["consented"] is not None, answered=len(answers), rested=one["rested"]
        )
        active, last = 0.0, 0.0
        for row in answers:
            active += min(max(row["at"] - max(row["shown"], last), 0.0), _PAUSE_SECONDS)
            last = row["at"]
        checks = [row for row in answers if self.key[row["stimulus"]].is_attn_check]
        batch = store.bundle.batches[where.batch]
        seen = max(last, one["used"] or 0.0)
        state = _STATES.get(where.state, "not begun")
        return {
            "name": one["name"],
            "kind": one["kind"],
            "state": f"{state}, code revoked" if one["revoked"] else state,
            "answered": where.answered,
            "images": len(store.bundle.ids),
            "batch": f"{batch.number}, part {batch.part}" if where.state != progress.CONSENT else None,
            "minutes": round(active / 60, 1) if answers else None,
            "per_minute": round(60 * len(answers) / active, 1) if active >= 1 else None,
            "checks_right": sum(self._right(row) for row in checks),
            "checks": len(checks),
            "last_seen": f"{duration(max(0.0, store.clock() - seen))} ago" if seen else "",
        }

    def _right(self, row):
        return row["status"] == "answered" and row["class"] == self.key[row["stimulus"]].label

    def _totals(self, rows, answers, kinds):
        states = [row["state"].split(",")[0] for row in rows]
        paces = [row["per_minute"] for row in rows if row["per_minute"] is not None]
        checks = sum(row["checks"] for row in rows)
        totals = {
            "participants": f"{len(rows)}: {states.count('not begun')} not begun, {states.count('at work')} at work, "
            f"{states.count('finished')} finished",
            "answers": f"{len(answers):,} of {len(rows) * len(self.store.bundle.ids):,}",
        }
        if paces:
            totals["images a minute, median"] = f"{statistics.median(paces):.1f}"
        if checks:
            totals["attention checks right"] = f"{sum(row['checks_right'] for row in rows)} of {checks}"
        for kind in ("person", "simulated"):
            told = "" if kind == "person" else " (simulated participants)"
            theirs = [row for row in answers if kinds[row["participant"]] == kind]
            for part, kappa in self._agreement(theirs).items():
                totals[f"agreement (Fleiss' kappa), part {part}{told}"] = f"{kappa:.2f}"
        return totals

    def _agreement(self, answers):
        """Return Fleiss' kappa of each part for which it is defined."""
        bundle = self.store.bundle
        counts = np.zeros((len(bundle.ids), len(bundle.presentation.classes)), dtype=np.int64)
        place = {image: at for at, image in enumerate(bundle.ids)}
        for row in answers:
            if row["status"] == "answered" and not self.key[row["stimulus"]].is_attn_check:
                counts[place[row["stimulus"]], row["class"]] += 1
        found = {}
        for part in sorted({batch.part for batch in bundle.batches}):
            batches = [batch for batch in bundle.batches if batch.part == part]
            kappa = fleiss_kappa(counts[batches[0].start : batches[-1].stop])
            if not math.isnan(kappa):
                found[part] = kappa
        return found
