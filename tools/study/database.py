"""Answers in SQLite: each is on the disk before it is acknowledged, counts once, and cannot be changed."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS study (fingerprint TEXT NOT NULL, closed REAL);
CREATE TABLE IF NOT EXISTS sittings (
    id INTEGER PRIMARY KEY,
    reader INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'finished', 'abandoned')),
    reason TEXT NOT NULL DEFAULT '',
    cookie TEXT NOT NULL,
    page TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    released INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open_sitting ON sittings (reader) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS shown (
    sitting INTEGER NOT NULL REFERENCES sittings,
    number INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (sitting, number)
);
CREATE TABLE IF NOT EXISTS answers (
    sitting INTEGER NOT NULL REFERENCES sittings,
    number INTEGER NOT NULL,
    question TEXT NOT NULL,
    images TEXT NOT NULL,
    choice TEXT NOT NULL,
    difficulty INTEGER,
    reason TEXT NOT NULL,
    client_ms REAL,
    server_ms REAL,
    received REAL NOT NULL,
    PRIMARY KEY (sitting, number),
    UNIQUE (sitting, question)
);
"""

BUSY_S = 30
"""How long a writer waits for others, in seconds."""


class Refused(Exception):
    """A request that the study's rules do not allow; ``code`` says which rule."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Sitting:
    """One reader's go at a study.

    Attributes:
        id: unique, from 1.
        reader: number of the reader.
        state: "open", "finished" or "abandoned".
        reason: reason why it was abandoned.
        cookie: secret that only the browser knows.
        page: secret that only the page in the browser knows.
        started: time of the start in seconds since 1970.
        ended: time of the end in seconds since 1970.
        released: True if the administrator allowed another sitting after this one.
    """

    id: int
    reader: int
    state: str
    reason: str
    cookie: str
    page: str
    started: float
    ended: float | None
    released: int


@dataclass(frozen=True)
class Answer:
    """What a reader answered.

    Attributes:
        number: number of the question in the reader's order.
        question: id in the manifest.
        images: names of the images, left first, separated by a space.
        choice: name of the chosen image, or one of `tools.study.folder.SURVEY_ANSWERS`.
        difficulty: 1 (extremely subtle) to 5 (obvious), where it is asked.
        reason: reason in the reader's words.
        client_ms: time from when the images were there to the answer, as the browser measured it.
        server_ms: time between sending the question and receiving the answer.
    """

    number: int
    question: str
    images: str
    choice: str
    difficulty: int | None
    reason: str
    client_ms: float | None
    server_ms: float | None = None


class Database:
    """The answers of a study. May be used from several threads and processes at once.

    Args:
        path: path of the file, made if need be.
        fingerprint: fingerprint of the study's manifest.

    Raises:
        ValueError: the file holds answers of another study.
    """

    def __init__(self, path: str | os.PathLike, fingerprint: str) -> None:
        self._path = str(path)
        self._local = threading.local()
        self._connection().executescript(SCHEMA)
        with self._transaction() as db:
            known = db.execute("SELECT fingerprint FROM study").fetchone()
            if known is None:
                db.execute("INSERT INTO study VALUES (?, NULL)", (fingerprint,))
            elif known[0] != fingerprint:
                raise ValueError(f"{path} holds the answers of another study; give another file with --database")

    def start(self, reader: int, cookie: str, page: str) -> Sitting:
        """Open a reader's sitting, or return the open one if it has this page.

        Raises:
            Refused: "closed", "finished" or "abandoned". Starting anew abandons the sitting that is open.
        """
        with self._transaction() as db:
            self._check_open(db)
            last = self._last(db, reader)
            if last is None or (last.released and last.state == "abandoned"):
                values = (reader, cookie, page, time.time())
                db.execute(
                    "INSERT INTO sittings (reader, state, cookie, page, started) VALUES (?, 'open', ?, ?, ?)", values
                )
                return self._last(db, reader)
            if last.state == "open" and last.page == page:
                return last  # the acknowledgement was lost
            if last.state == "open":
                _end(db, last.id, "abandoned", "started anew")
        raise Refused("finished" if last.state == "finished" else "abandoned")

    def show(self, sitting: int, number: int) -> None:
        """Note when a question was sent first."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO shown VALUES (?, ?, ?)", (sitting, number, time.time()))

    def answer(self, sitting: int, answer: Answer, total: int) -> None:
        """Keep an answer; it is on the disk when this returns. The sitting's last one finishes it.

        The same answer again changes nothing.

        Raises:
            Refused: "conflict" for another answer to an answered question or one that was not asked yet; "closed";
                "abandoned".
        """
        with self._transaction() as db:
            known = db.execute(
                "SELECT question, choice, difficulty, reason FROM answers WHERE sitting = ? AND number = ?",
                (sitting, answer.number),
            ).fetchone()
            if known is not None:
                if tuple(known) != (answer.question, answer.choice, answer.difficulty, answer.reason):
                    raise Refused("conflict")
                return
            self._check_open(db)
            state = db.execute("SELECT state FROM sittings WHERE id = ?", (sitting,)).fetchone()[0]
            if state != "open":
                raise Refused(state)
            if answer.number != self._answered(db, sitting) + 1:
                raise Refused("conflict")
            now = time.time()
            shown = db.execute("SELECT at FROM shown WHERE sitting = ? AND number = ?", (sitting, answer.number))
            shown_at = shown.fetchone()
            db.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    sitting,
                    answer.number,
                    answer.question,
                    answer.images,
                    answer.choice,
                    answer.difficulty,
                    answer.reason,
                    answer.client_ms,
                    None if shown_at is None else (now - shown_at[0]) * 1000,
                    now,
                ),
            )
            if answer.number == total:
                _end(db, sitting, "finished", "")

    def leave(self, sitting: int) -> None:
        """Abandon a sitting that is open."""
        with self._transaction() as db:
            _end(db, sitting, "abandoned", "left the page")

    def release(self, reader: int) -> None:
        """Allow a reader whose sitting was abandoned another one."""
        with self._transaction() as db:
            db.execute("UPDATE sittings SET released = 1 WHERE reader = ? AND state = 'abandoned'", (reader,))

    def close(self) -> None:
        """Accept nothing from now on; sittings that are open are abandoned."""
        with self._transaction() as db:
            db.execute("UPDATE study SET closed = ? WHERE closed IS NULL", (time.time(),))
            for (sitting,) in db.execute("SELECT id FROM sittings WHERE state = 'open'").fetchall():
                _end(db, sitting, "abandoned", "the study was closed")

    def closed(self) -> float | None:
        """Return when the study was closed, in seconds since 1970."""
        return self._connection().execute("SELECT closed FROM study").fetchone()[0]

    def last_sitting(self, reader: int) -> Sitting | None:
        """The latest sitting of a reader."""
        return self._last(self._connection(), reader)

    def answered(self, sitting: int) -> int:
        """Return how many answers a sitting has."""
        return self._answered(self._connection(), sitting)

    def sittings(self) -> list[Sitting]:
        """All sittings, the oldest first."""
        rows = self._connection().execute(f"SELECT {_COLUMNS} FROM sittings ORDER BY id")
        return [Sitting(*row) for row in rows]

    def answers(self, sitting: int) -> list[Answer]:
        """All answers of a sitting, in the order of its questions."""
        rows = self._connection().execute(
            "SELECT number, question, images, choice, difficulty, reason, client_ms, server_ms FROM answers "
            "WHERE sitting = ? ORDER BY number",
            (sitting,),
        )
        return [Answer(*row) for row in rows]

    def last_received(self, sitting: int) -> float | None:
        """Return when the latest answer came, in seconds since 1970."""
        return (
            self._connection().execute("SELECT max(received) FROM answers WHERE sitting = ?", (sitting,)).fetchone()[0]
        )

    def _connection(self) -> sqlite3.Connection:
        connection: Any = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk, not only with the system
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk may have ended it
                db.execute("ROLLBACK")
            raise

    @staticmethod
    def _check_open(db: sqlite3.Connection) -> None:
        if db.execute("SELECT closed FROM study").fetchone()[0] is not None:
            raise Refused("closed")

    @staticmethod
    def _answered(db: sqlite3.Connection, sitting: int) -> int:
        return db.execute("SELECT count(*) FROM answers WHERE sitting = ?", (sitting,)).fetchone()[0]

    @staticmethod
    def _last(db: sqlite3.Connection, reader: int) -> Sitting | None:
        row = db.execute(
            f"SELECT {_COLUMNS} FROM sittings WHERE reader = ? ORDER BY id DESC LIMIT 1", (reader,)
        ).fetchone()
        return None if row is None else Sitting(*row)


_COLUMNS = "id, reader, state, reason, cookie, page, started, ended, released"


def _end(db: sqlite3.Connection, sitting: int, state: str, reason: str) -> None:
    db.execute(
        "UPDATE sittings SET state = ?, reason = ?, ended = ? WHERE id = ? AND state = 'open'",
        (state, reason, time.time(), sitting),
    )
