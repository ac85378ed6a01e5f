"""The file of the answers: one study's, safe by its settings, and usable after a disk was full."""

import sqlite3

import pytest

from tests.study.answers import database
from tools.study.server import make_app


def test_answers_of_another_study_are_not_mixed(study, make_study):
    make_app(study)
    with pytest.raises(ValueError, match="answers of another study"):
        make_app(make_study(seed=9), study / "answers.sqlite")


def test_database_is_safe_by_its_settings(study):
    kept = database(study)
    connection = kept._connection()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    kept.start(1, "c", "p")
    row = (1, 1, "q", "", "", None, "", None, None, 0)
    connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (1, 2, *row[2:]))


def test_a_commit_that_fails_is_no_answer_and_no_harm(study, monkeypatch):
    """A full disk: nothing is acknowledged, and the same thread works once there is room."""
    kept, fail = database(study), [True]
    connection = kept._connection()

    class FullDisk:
        def __getattr__(self, name):
            return getattr(connection, name)

        def execute(self, sql, *values):
            if sql == "COMMIT" and fail:
                raise sqlite3.OperationalError("database or disk is full")
            return connection.execute(sql, *values)

    monkeypatch.setattr(kept, "_connection", FullDisk)
    with pytest.raises(sqlite3.OperationalError):
        kept.start(1, "c", "p")
    fail.clear()
    assert kept.sittings() == []
    assert kept.start(1, "c", "p").state == "open"
