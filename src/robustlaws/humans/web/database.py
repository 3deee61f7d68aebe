"""The SQLite database of the web application: schema, connections, transactions.

Committed data have reached the disk (`synchronous` FULL): a killed process or a power cut loses nothing that was
acknowledged. In WAL mode readers and other processes go on meanwhile.
"""

import queue
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path

from robustlaws import errors

VERSION = "1"
_BUSY_SECONDS = 20.0
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE stimuli (
    id TEXT PRIMARY KEY,
    place INTEGER NOT NULL UNIQUE  -- among all, from 0
) STRICT;
CREATE TABLE participants (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('person', 'simulated')),
    code TEXT NOT NULL UNIQUE,  -- digest
    added REAL NOT NULL,  -- all times: seconds since 1970
    revoked REAL,
    rested INTEGER NOT NULL DEFAULT 0  -- batches after which the participant has gone on
) STRICT;
CREATE TABLE consents (
    participant INTEGER NOT NULL REFERENCES participants (id),
    text TEXT NOT NULL,  -- SHA-256 of what the participant agreed to
    at REAL NOT NULL,  -- first
    PRIMARY KEY (participant, text)
) STRICT;
CREATE TABLE sessions (
    token TEXT PRIMARY KEY,  -- digest
    participant INTEGER REFERENCES participants (id),  -- null: the organiser
    used REAL NOT NULL
) STRICT;
CREATE TABLE showings (
    id INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL REFERENCES participants (id),
    stimulus TEXT NOT NULL REFERENCES stimuli (id),
    token TEXT NOT NULL UNIQUE,
    shown REAL NOT NULL,  -- first
    fetched REAL,  -- the image, first; where it is shown for a time only
    withdrawn INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX showings_of ON showings (participant, stimulus);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL REFERENCES participants (id),
    stimulus TEXT NOT NULL REFERENCES stimuli (id),
    showing INTEGER NOT NULL UNIQUE REFERENCES showings (id),
    status TEXT NOT NULL CHECK (status IN ('answered', 'timed_out')),
    class INTEGER,  -- as it was sent: of one that timed out it does not count
    confidence TEXT CHECK (confidence IN ('low', 'high')),
    elapsed REAL,  -- ms, as the browser says
    at REAL NOT NULL,
    undone REAL,
    CHECK (status = 'timed_out' OR (class IS NOT NULL AND confidence IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX one_answer ON answers (participant, stimulus) WHERE undone IS NULL;
-- `begun`: when the participant could turn to the image; on the page of a batch others come before it
CREATE VIEW timed AS
SELECT answers.*, shown,
    max(shown, ifnull(lag(at) OVER (PARTITION BY answers.participant ORDER BY answers.id), 0)) AS begun
FROM answers JOIN showings ON showings.id = showing;
"""


class Database:
    """The database at `path`, made if it is not there; safe to use from several threads and processes."""

    def __init__(self, path, bundle):
        """Open or begin the database of `bundle`.

        Raises
        ------
        ValueError
            If the file is no such database, or was begun with other images.
        """
        self.path = Path(path)
        self._threads = threading.local()  # what this thread uses just now
        self._idle, self._open = queue.LifoQueue(), []
        self._writing = threading.Lock()  # fair, unlike SQLite's own wait
        try:
            self._begin(bundle)
        except sqlite3.Error as error:
            self.close()
            raise ValueError(_unusable(self.path, error)) from None
        except ValueError:
            self.close()
            raise

    def _begin(self, bundle):
        with self.change() as to:
            if not to.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
                for statement in _TABLES.split(";\n"):
                    to.execute(statement)
                about = {"version": VERSION, "stimuli": bundle.digest}
                to.executemany("INSERT INTO about VALUES (?, ?)", about.items())
                to.executemany("INSERT INTO stimuli VALUES (?, ?)", ((name, at) for at, name in enumerate(bundle.ids)))
            about = dict(to.execute("SELECT name, value FROM about"))
        if about.get("version") != VERSION:
            raise ValueError(
                f"{self.path}: of version {about.get('version')} of robustlaws' databases, not {VERSION}; use the "
                "robustlaws that began it, or move it away"
            )
        if about["stimuli"] != bundle.digest:
            raise ValueError(
                f"{self.path}: begun with other images or classes than are beside it now; bring those back (the config "
                "and results as they were then), or move the database with all files named like it away to begin anew"
            )

    @contextmanager
    def connection(self):
        """Yield a connection for this thread alone, in a block within a block the same.

        There are never more than threads that used one at the same time: the next thread takes one that is left.
        """
        if (own := getattr(self._threads, "connection", None)) is not None:
            yield own
            return
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        self._threads.connection = connection
        try:
            yield connection
        finally:
            self._threads.connection = None
            self._idle.put(connection)

    def _connect(self):
        connection = sqlite3.connect(self.path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error:
            connection.close()
            raise
        self._open.append(connection)
        return connection

    @contextmanager
    def change(self):
        """Yield a connection that may write; all is committed at the end of the block, or nothing after an error."""
        with self._writing, self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self):
        """Yield a connection that sees the database as it is now, whatever is written meanwhile."""
        with self.connection() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def rows(self, query, *values):
        """Return the rows that a query finds."""
        with self.connection() as connection:
            return connection.execute(query, values).fetchall()

    def row(self, query, *values):
        """Return the first of these rows, or None."""
        with self.connection() as connection:
            return connection.execute(query, values).fetchone()

    def close(self):
        """Close all connections; they must not be used any more."""
        for connection in self._open:
            connection.close()


def _unusable(path, error):
    message = errors.one_line(str(error))
    if "not a database" in message or "malformed" in message:
        return f"{path}: damaged, or no SQLite database ({message}); move it away, or bring a copy of it back"
    return f"{path}: cannot be used ({message}); it must lie on a local disk with room that you may write to"
