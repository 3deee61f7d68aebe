"""Storage of the web application: participants, sessions, showings and answers."""

import hashlib
import re
import time
from dataclasses import dataclass

from robustlaws.humans.web import access_codes, progress
from robustlaws.humans.web.database import Database

SESSION_SECONDS = 12 * 3600.0  # without a request
GRACE_SECONDS = 1.0  # beyond a time limit, for the way to the server
_EARLY_SECONDS = 0.5  # by which a browser's clock may be ahead
_TOUCH_SECONDS = 60.0  # between two notes of when a session was used
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")  # nothing that a page or a spreadsheet could take for code


class Conflict(Exception):
    """A request does not fit the participant's position; the text says how."""


@dataclass(frozen=True)
class Session:
    """The sender of a request; `participant` is None for the organiser."""

    participant: int | None
    name: str
    kind: str


@dataclass(frozen=True)
class Shown:
    """One image as a participant has it before them."""

    id: str
    token: str
    position: int  # in the batch, from 1
    chosen: int | None
    confidence: str | None
    since: float  # s since it was first shown
    seen: float  # s since the image itself was first fetched, where it is shown for a time only; 0: not yet


@dataclass(frozen=True)
class Recorded:
    """The outcome of an answer."""

    place: progress.Place  # of the participant afterwards
    late: bool  # a class was chosen, but it came after the time and does not count
    new: bool  # not a repeat


class Store:
    """The database of one bundle, and the rules of who may do what when."""

    def __init__(self, path, bundle, clock=time.time):
        """Open or begin the database at `path`; ValueError as :class:`Database`."""
        self.bundle = bundle
        self.clock = clock
        self._consent = hashlib.sha256(bundle.presentation.consent.encode()).hexdigest()
        self.database = Database(path, bundle)

    def close(self):
        """Close the database."""
        self.database.close()

    # Participants and sessions

    def add(self, names, kind):
        """Add participants, all or none, and return the code of each, which is kept nowhere.

        Raises
        ------
        ValueError
            If a name is taken or cannot be one.
        """
        made = {}
        with self.database.change() as to:
            for name in names:
                if not NAME.fullmatch(name):
                    raise ValueError(f"participant {name!r}: a name has up to 40 letters, digits, dots and hyphens")
                if to.execute("SELECT 1 FROM participants WHERE name = ?", (name,)).fetchone():
                    raise ValueError(f"participant {name!r}: there is one already; give another name")
                made[name] = access_codes.make()
                insert = "INSERT INTO participants (name, kind, code, added) VALUES (?, ?, ?, ?)"
                to.execute(insert, (name, kind, _code(access_codes.read(made[name])), self.clock()))
        return made

    def revoke(self, name):
        """Let the participant's code and sessions open nothing any more; the answers stay.

        Raises
        ------
        ValueError
            If there is no such participant.
        """
        with self.database.change() as to:
            participant = self._shut_out(to, name)
            update = "UPDATE participants SET revoked = coalesce(revoked, ?) WHERE id = ?"
            to.execute(update, (self.clock(), participant))

    def renew(self, name):
        """Return a new code for a participant, revoked or not; the former one and sessions open nothing any more.

        Raises
        ------
        ValueError
            If there is no such participant.
        """
        code = access_codes.make()
        with self.database.change() as to:
            participant = self._shut_out(to, name)
            update = "UPDATE participants SET code = ?, revoked = NULL WHERE id = ?"
            to.execute(update, (_code(access_codes.read(code)), participant))
        return code

    def _shut_out(self, to, name):
        participant = to.execute("SELECT id FROM participants WHERE name = ?", (name,)).fetchone()
        if participant is None:
            raise ValueError(f"participant {name!r}: there is none; --list names all")
        to.execute("DELETE FROM sessions WHERE participant = ?", (participant["id"],))
        return participant["id"]

    def organiser(self, again=False):
        """Return a new code for the organiser if there is none, or `again`; else None. Former ones open nothing."""
        code = access_codes.make()
        with self.database.change() as to:
            if not again and to.execute("SELECT 1 FROM about WHERE name = 'organiser'").fetchone():
                return None
            to.execute("INSERT OR REPLACE INTO about VALUES ('organiser', ?)", (_code(access_codes.read(code)),))
            to.execute("DELETE FROM sessions WHERE participant IS NULL")
        return code

    def enter(self, typed):
        """Return the token of a new session of whoever's code that is, or None."""
        code = access_codes.read(typed)
        if code is None:
            return None
        row = self.database.row("SELECT id FROM participants WHERE code = ? AND revoked IS NULL", _code(code))
        if row is None and not self.database.row(
            "SELECT 1 FROM about WHERE name = 'organiser' AND value = ?", _code(code)
        ):
            return None
        token, now = access_codes.token(), self.clock()
        with self.database.change() as to:
            to.execute("DELETE FROM sessions WHERE used < ?", (now - SESSION_SECONDS,))
            to.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_session(token), row and row["id"], now))
        return token

    def session(self, token):
        """Return the `Session` with this token, or None if there is none (any more)."""
        row = self.database.row(
            "SELECT participant, name, kind, used FROM sessions LEFT JOIN participants ON participants.id = participant"
            " WHERE token = ? AND revoked IS NULL",
            _session(token),
        )
        now = self.clock()
        if row is None or now - row["used"] > SESSION_SECONDS:
            return None
        if now - row["used"] > _TOUCH_SECONDS:
            with self.database.change() as to:
                to.execute("UPDATE sessions SET used = ? WHERE token = ?", (now, _session(token)))
        return Session(row["participant"], row["name"] or "organiser", row["kind"] or "organiser")

    def leave(self, token):
        """End a session."""
        with self.database.change() as to:
            to.execute("DELETE FROM sessions WHERE token = ?", (_session(token),))

    # Where a participant is

    def place(self, participant):
        """Return the `progress.Place` of a participant; whoever agreed to another text is to consent again."""
        row = self.database.row(
            "SELECT rested, (SELECT count(*) FROM answers WHERE participant = participants.id AND undone IS NULL)"
            " AS answered, EXISTS (SELECT 1 FROM consents WHERE participant = participants.id AND text = ?)"
            " AS consented FROM participants WHERE id = ?",
            self._consent, participant,
        )  # fmt: skip
        return progress.place(
            self.bundle.batches, consented=bool(row["consented"]), answered=row["answered"], rested=row["rested"]
        )

    def consent(self, participant):
        """Note that the participant has agreed to the text as it is now."""
        with self.database.change() as to:
            insert = "INSERT OR IGNORE INTO consents VALUES (?, ?, ?)"
            to.execute(insert, (participant, self._consent, self.clock()))

    def go_on(self, participant):
        """Leave the page to rest on; once is enough."""
        with self.database.change() as to:
            where = self.place(participant)
            if where.state == progress.REST:
                to.execute("UPDATE participants SET rested = ? WHERE id = ?", (where.batch + 1, participant))

    # Showing

    def current(self, participant):
        """Return the participant's place, and at work the `Shown` images: the current one, or those of the batch.

        An image that was not shown before is from now on; one for which the time is up is noted as such.
        """
        with self.database.change() as to:
            while (where := self.place(participant)).state == progress.WORK:
                shown = self._show(to, participant, where)
                late = [image for image in shown if _over(image.since, self.bundle.answer_seconds)]
                if not late:
                    return where, shown
                self._record(to, participant, late[0].token, "timed_out", None, None, None)
            return where, []

    def _show(self, to, participant, where):
        now, shown = self.clock(), []
        for position, name, answer in self._before(participant, where):
            row = to.execute(
                "SELECT token, shown, fetched FROM showings WHERE participant = ? AND stimulus = ? AND withdrawn = 0",
                (participant, name),
            ).fetchone()
            if row is None:
                row = {"token": access_codes.token(), "shown": now, "fetched": None}
                insert = "INSERT INTO showings (participant, stimulus, token, shown) VALUES (?, ?, ?, ?)"
                to.execute(insert, (participant, name, row["token"], now))
            chosen = (answer["class"], answer["confidence"]) if answer else (None, None)
            since, seen = (max(0.0, now - (row[time] or now)) for time in ("shown", "fetched"))
            shown.append(Shown(name, row["token"], position, *chosen, since, seen))
        return shown

    def _before(self, participant, where):
        """Return (position, id, answer or None) of what the participant at `where` has before them."""
        batch = self.bundle.batches[where.batch]
        rows = self.database.rows(
            "SELECT stimulus, class, confidence FROM answers JOIN stimuli ON stimuli.id = stimulus"
            " WHERE participant = ? AND undone IS NULL AND place >= ? AND place < ?",
            participant, batch.start, batch.stop,
        )  # fmt: skip
        answers = {row["stimulus"]: row for row in rows}
        names = self.bundle.ids[batch.start : batch.stop]
        all_of_it = [(position, name, answers.get(name)) for position, name in enumerate(names, start=1)]
        return [next(entry for entry in all_of_it if entry[2] is None)] if self.bundle.single else all_of_it

    def fetch(self, participant, name):
        """Return whether the participant may see the image: it was shown in this batch or the one before, and still is.

        The time for which an image is shown begins here, so that a slow connection takes nothing of it.
        """
        where = self.place(participant)
        if where.state == progress.CONSENT or name not in self.bundle.png:
            return False
        batches = self.bundle.batches[max(0, where.batch - 1) : where.batch + 1]
        if name not in self.bundle.ids[batches[0].start : batches[-1].stop]:
            return False
        find = "SELECT id, fetched FROM showings WHERE participant = ? AND stimulus = ? AND withdrawn = 0"
        row = self.database.row(find, participant, name)
        if row is None or self.bundle.image_seconds is None:
            return row is not None
        if row["fetched"] is not None:
            return not _over(self.clock() - row["fetched"], self.bundle.image_seconds)
        with self.database.change() as to:
            update = "UPDATE showings SET fetched = coalesce(fetched, ?) WHERE id = ?"
            to.execute(update, (self.clock(), row["id"]))
        return True

    # Answers

    def answer(self, participant, *, image, token, chosen, confidence, elapsed):
        """Record an answer and return what became of it, `Recorded`; an exact repeat is taken as the first was.

        Parameters
        ----------
        participant : int
        image, token : str
            Of what was shown.
        chosen : int or None
            Class; None: the browser says that the time was up.
        confidence : str or None
        elapsed : float or None
            ms, as the browser says.

        Raises
        ------
        Conflict
            If the participant does not have this image before them, or has answered it otherwise.
        """
        with self.database.change() as to:
            shown = to.execute(
                "SELECT shown, answers.id AS answer, status, class, confidence FROM showings"
                " LEFT JOIN answers ON showing = showings.id"
                " WHERE token = ? AND showings.participant = ? AND showings.stimulus = ? AND withdrawn = 0",
                (token, participant, image),
            ).fetchone()
            if shown is None:
                raise Conflict("this image is not before you; open the page again")
            if shown["answer"] is not None:
                timed_out = shown["status"] == "timed_out"
                if (shown["class"], shown["confidence"]) != (chosen, confidence):
                    over = "the time for this image was over" if timed_out else "this image was answered already"
                    raise Conflict(f"{over}; open the page again")
                return Recorded(self.place(participant), timed_out and chosen is not None, new=False)
            where = self.place(participant)
            if where.state != progress.WORK or image not in {entry[1] for entry in self._before(participant, where)}:
                raise Conflict("this image is not before you now; open the page again")
            since = self.clock() - shown["shown"]
            if chosen is None and not _over(since, self.bundle.answer_seconds, -_EARLY_SECONDS):
                raise Conflict("there is time left for this image; choose a class")
            late = chosen is None or _over(since, self.bundle.answer_seconds)
            self._record(to, participant, token, "timed_out" if late else "answered", chosen, confidence, elapsed)
            return Recorded(self.place(participant), late and chosen is not None, new=True)

    def _record(self, to, participant, token, status, chosen, confidence, elapsed):
        to.execute(
            "INSERT INTO answers (participant, stimulus, showing, status, class, confidence, elapsed, at)"
            " SELECT participant, stimulus, id, ?, ?, ?, ?, ? FROM showings WHERE token = ? AND participant = ?",
            (status, chosen, confidence, elapsed, self.clock(), token, participant),
        )

    def undoable(self, participant, where=None):
        """Return the last answer of the batch at work or just done, if it may be taken back; else None.

        None under a time limit: the image would be shown anew, which would undo the limit.
        """
        where = where or self.place(participant)
        if where.state == progress.CONSENT or self._limited:
            return None
        batch = self.bundle.batches[where.batch]
        return self.database.row(
            "SELECT answers.id, stimulus, showing FROM answers JOIN stimuli ON stimuli.id = stimulus"
            " WHERE participant = ? AND undone IS NULL AND place >= ? AND place < ? ORDER BY answers.id DESC LIMIT 1",
            participant, batch.start, batch.stop,
        )  # fmt: skip

    @property
    def _limited(self):
        return self.bundle.answer_seconds is not None or self.bundle.image_seconds is not None

    def undo(self, participant):
        """Take back the last answer and return the id of its image, which is shown anew.

        Raises
        ------
        Conflict
            If there is none that may be taken back; none may where time is limited.
        """
        with self.database.change() as to:
            last = self.undoable(participant)
            if last is None:
                limited = "no answer is taken back where time is limited"
                raise Conflict(
                    limited if self._limited else "there is no answer of this batch that could be taken back"
                )
            to.execute("UPDATE answers SET undone = ? WHERE id = ?", (self.clock(), last["id"]))
            to.execute("UPDATE showings SET withdrawn = 1 WHERE id = ?", (last["showing"],))
            if self.bundle.single:  # the image that was before the participant comes later again, with its time anew
                to.execute(
                    "UPDATE showings SET withdrawn = 1 WHERE participant = ?"
                    " AND NOT EXISTS (SELECT 1 FROM answers WHERE showing = showings.id)",
                    (participant,),
                )
            return last["stimulus"]


def _over(since, seconds, grace=GRACE_SECONDS):
    return seconds is not None and since > seconds + grace


def _code(code):
    return access_codes.digest(code, "code")


def _session(token):
    return access_codes.digest(token, "session")
