"""Freezing a legacy file: every verb is refused with a clear error, and it lifts itself."""

from __future__ import annotations

import sqlite3
import time

import pytest

from stillme.transfer.sqlite.capture import freeze, frozen_until, install, unfreeze
from stillme.transfer.sqlite.capture.freeze import FOR_GOOD

from .files import LEFT_OPEN, make_file
from .test_capture import INSERT, METRIC, tables_of


@pytest.fixture(params=["wal", pytest.param("delete", marks=pytest.mark.slow)])
def path(tmp_path, request):
    path = make_file(tmp_path / "a.db", journal=request.param)
    install(path, tables_of(path))
    return path


def connect(path):
    """A connection of the old application: one per call, nobody closes it or rolls back."""
    LEFT_OPEN.append(sqlite3.connect(path, timeout=1))
    return LEFT_OPEN[-1]


def test_writers_get_a_clear_error_and_readers_read_on(path):
    app = connect(path)
    app.execute(METRIC, ("a",))
    app.commit()
    assert freeze(path, tables_of(path), seconds=None) == 1
    statements = [
        INSERT,
        METRIC.replace("?", "'b'"),
        METRIC.replace("INSERT", "INSERT OR REPLACE").replace("?", "'a'"),
        METRIC.replace("INSERT", "INSERT OR IGNORE").replace("?", "'c'"),
        "UPDATE tier_metrics SET tier = 'L1'",
        "DELETE FROM tier_metrics",
    ]
    for sql in statements:
        with pytest.raises(sqlite3.IntegrityError, match="has moved to PostgreSQL"):
            connect(path).execute(sql)
    assert app.execute("SELECT item_id FROM tier_metrics").fetchall() == [("a",)]
    assert frozen_until(app) == FOR_GOOD
    unfreeze(path)
    assert frozen_until(app) is None
    app.execute(METRIC, ("b",))
    app.commit()


def test_a_write_in_flight_is_logged_before_the_freeze(path):
    app = connect(path)
    app.execute(METRIC, ("a",))
    with pytest.raises(Exception, match="locked"):
        freeze(path, tables_of(path), seconds=None, timeout=0.05)
    app.commit()
    assert freeze(path, tables_of(path), seconds=None) == 1


def test_a_freeze_with_a_deadline_lifts_itself(path):
    freeze(path, tables_of(path), seconds=60)
    app = connect(path)
    with pytest.raises(sqlite3.IntegrityError):
        app.execute(INSERT)
    left = frozen_until(app)
    assert left is not None
    assert 0 < left <= 60
    unfreeze(path)
    freeze(path, tables_of(path), seconds=0.1)
    time.sleep(0.2)
    assert frozen_until(app) is None
    app.execute(INSERT)
    app.commit()
    assert app.execute("SELECT count(*) FROM stillme_change").fetchone() == (2,)


def test_every_table_of_the_file_is_frozen(path):
    """Also those that no model declares, and the rows of a full-text index."""
    app = connect(path)
    app.execute("CREATE TABLE user_ratings (stars INTEGER)")
    app.execute('CREATE TABLE "odd ""name" (a TEXT PRIMARY KEY) WITHOUT ROWID')
    app.execute("CREATE VIRTUAL TABLE notes USING fts5(body)")
    app.commit()
    freeze(path, tables_of(path), seconds=None)
    for sql in (
        "INSERT INTO user_ratings VALUES (5)",
        'INSERT INTO "odd ""name" VALUES (\'x\')',
        "INSERT INTO notes VALUES ('a note')",
    ):
        # SQLite's full-text index does not hand the sentence on.
        with pytest.raises(sqlite3.DatabaseError, match=r"moved to PostgreSQL|constraint failed"):
            connect(path).execute(sql)
    unfreeze(path)
    app.execute("INSERT INTO user_ratings VALUES (5)")
    app.execute("INSERT INTO notes VALUES ('a note')")
    app.commit()


def test_a_refused_writer_keeps_no_lock(path):
    """The old classes leave their connection open after an exception: nobody rolls back."""
    freeze(path, tables_of(path), seconds=None)
    left_open = [connect(path) for _ in range(3)]
    for app in left_open:
        app.execute("UPDATE tier_metrics SET tier = 'L1' WHERE item_id = 'nobody'")
        with pytest.raises(sqlite3.IntegrityError, match="has moved to PostgreSQL"):
            app.execute(METRIC, ("x",))
        assert not app.in_transaction
    unfreeze(path, timeout=1.0)
    connect(path).execute(METRIC, ("a",))
