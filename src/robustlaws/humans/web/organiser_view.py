"""The organiser's page data: progress and agreement of participants, without answers."""

import math
import statistics
import threading
from collections import Counter, defaultdict

import numpy as np

from robustlaws.formatting.numbers import duration
from robustlaws.humans.analysis.agreement import fleiss_kappa
from robustlaws.humans.web import progress

_PAUSE_SECONDS = 120.0  # who takes longer for an image does something else
_FRESH_SECONDS = 5.0  # for which what was found is shown again


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
        with self.store.database.reading() as connection:
            participants = connection.execute(
                "SELECT participants.*, (SELECT max(used) FROM sessions WHERE participant = participants.id) AS used"
                " FROM participants ORDER BY id"
            ).fetchall()
            trials = connection.execute(
                "SELECT participant, stimulus, status, class, at, begun FROM timed WHERE undone IS NULL ORDER BY id"
            ).fetchall()
            places = {row["id"]: self.store.place(row["id"]) for row in participants}
        answers = defaultdict(list)
        for row in trials:
            answers[row["participant"]].append(row)
        rows = [self._row(person, places[person["id"]], answers[person["id"]]) for person in participants]
        kinds = {person["id"]: person["kind"] for person in participants}
        words = Counter(map(progress.word, places.values()))
        return rows, self._totals(rows, words, trials, kinds), "simulated" in kinds.values()

    def _row(self, participant, where, answers):
        store = self.store
        active = sum(min(max(row["at"] - row["begun"], 0.0), _PAUSE_SECONDS) for row in answers)
        checks = [row for row in answers if self.key[row["stimulus"]].is_attn_check]
        batch = store.bundle.batches[where.batch]
        seen = max([participant["used"] or 0.0, *(row["at"] for row in answers[-1:])])
        state = progress.word(where)
        return {
            "name": participant["name"],
            "kind": participant["kind"],
            "state": f"{state}, code revoked" if participant["revoked"] else state,
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

    def _totals(self, rows, words, answers, kinds):
        states = (f"{words[word]} {word}" for word in progress.WORDS if words[word] or word != progress.CONSENTS_AGAIN)
        paces = [row["per_minute"] for row in rows if row["per_minute"] is not None]
        checks = sum(row["checks"] for row in rows)
        totals = {
            "participants": f"{len(rows)}: {', '.join(states)}",
            "answers": f"{len(answers):,} of {len(rows) * len(self.store.bundle.ids):,}",
        }
        if paces:
            totals["images a minute, median"] = f"{statistics.median(paces):.1f}"
        if checks:
            totals["attention checks right"] = f"{sum(row['checks_right'] for row in rows)} of {checks}"
        for kind in ("person", "simulated"):
            states = "" if kind == "person" else " (simulated participants)"
            theirs = [row for row in answers if kinds[row["participant"]] == kind]
            for part, kappa in self._agreement(theirs).items():
                totals[f"agreement (Fleiss' kappa), part {part}{states}"] = f"{kappa:.2f}"
        return totals

    def _agreement(self, answers):
        """Return Fleiss' kappa of each part for which it is defined."""
        bundle = self.store.bundle
        counts = np.zeros((len(bundle.ids), len(bundle.presentation.classes)), dtype=np.int64)
        place = {image: at for at, image in enumerate(bundle.ids)}
        for row in answers:
            if row["status"] == "answered" and not self.key[row["stimulus"]].is_attn_check:
                counts[place[row["stimulus"]], row["class"]] += 1
        agreement = {}
        for part in sorted({batch.part for batch in bundle.batches}):
            batches = [batch for batch in bundle.batches if batch.part == part]
            kappa = fleiss_kappa(counts[batches[0].start : batches[-1].stop])
            if not math.isnan(kappa):
                agreement[part] = kappa
        return agreement
