"""The way back loses no write, although it was not logged: the row is named, nothing switched."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from django.db import connection

from rss.models import FetchItem
from stillme.transfer.errors import StateError
from stillme.transfer.steps import cutover
from stillme.transfer.steps.rollback import plan_rollback
from stillme.transfer.steps.status import overview
from stillme.transfer.verify.verification import VerifyOptions, verify

from .equal import differences
from .switching import roll_back
from .test_follow import state

pytestmark = pytest.mark.only_files("rss")

TABLE = "rss.fetch_items"
FUNCTION = "transfer.capture_rss_fetch_items"
UPDATE = f"UPDATE {TABLE} SET item_title = 'not logged' WHERE id = 3"
# Triggers that are off for a while and back just as they were; and what fires none.
WAYS = {
    "update": [
        f"ALTER TABLE {TABLE} DISABLE TRIGGER stillme_capture_update",
        UPDATE,
        f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER stillme_capture_update",
    ],
    "delete": [
        f"ALTER TABLE {TABLE} DISABLE TRIGGER stillme_capture_delete",
        f"DELETE FROM {TABLE} WHERE id = 3",
        f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER stillme_capture_delete",
    ],
    "DDL": [
        f"ALTER TABLE {TABLE} ALTER COLUMN item_title TYPE text "
        "USING CASE WHEN id = 3 THEN 'not logged' ELSE item_title END"
    ],
}


def execute(*statements):
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("way", WAYS)
def test_a_write_that_was_not_logged_is_named(live, way):
    execute(*WAYS[way])
    FetchItem.objects.filter(pk=5).update(item_title="logged")
    for work in (roll_back, lambda: plan_rollback("default")):
        with pytest.raises(StateError, match=r"^1 row of rss.fetch_items \(3\) .* is logged"):
            work()
    assert state("rss") == "live"
    # What the sentence says helps; PostgreSQL takes writes.
    if way == "delete":
        execute(
            f"INSERT INTO {TABLE} (id, cycle_id, feed_url, item_title, status, fetch_timestamp) "
            f"SELECT 3, cycle_id, feed_url, 'gone', status, now() FROM {TABLE} WHERE id = 4",
            f"DELETE FROM {TABLE} WHERE id = 3",
        )
    else:
        FetchItem.objects.filter(pk=3).update(status_reason="looked at")
    roll_back()
    assert differences() == {}
    with closing(sqlite3.connect(live / "rss_fetch_history.db")) as db:
        query = "SELECT title FROM rss_fetch_items WHERE id IN (3, 5) ORDER BY id"
        found = [title for (title,) in db.execute(query)]
    assert found == (["logged"] if way == "delete" else ["not logged", "logged"])


def test_triggers_that_were_off_are_put_back_as_the_sentence_says(live):
    execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER", UPDATE)
    execute(f"ALTER TABLE {TABLE} ENABLE TRIGGER USER")
    with pytest.raises(StateError, match=r"Run manage\.py cutover, which puts it back"):
        roll_back()
    _put_back()
    with pytest.raises(StateError, match=r"rss.fetch_items \(3\)"):
        roll_back()
    assert state("rss") == "live"


def _put_back():
    result = cutover.finish_interrupted("default")
    assert result is not None
    assert result.captured_again
    assert cutover.finish_interrupted("default") is None


@pytest.mark.parametrize(
    "change",
    ["DISABLE TRIGGER stillme_capture_truncate", "ENABLE TRIGGER stillme_capture_update", None],
)
def test_a_verification_says_that_writes_are_not_logged(live, change):
    assert not verify(VerifyOptions(jobs=1)).structure.kept
    gone = f"ALTER TABLE {TABLE} {change}" if change else f"DROP FUNCTION {FUNCTION} CASCADE"
    execute(gone)
    result = verify(VerifyOptions(jobs=1))
    assert result.exit_status == 1
    (found,) = result.structure.kept
    name = change.split()[-1] if change else "stillme_capture_delete"
    told = (found.where, found.expected, found.found)
    assert told == (TABLE, "a table with reverse capture", f"without {name} that is enabled always")
    _put_back()
    assert not verify(VerifyOptions(jobs=1)).structure.kept


def test_triggers_that_are_gone_have_a_command(live):
    """The schema `transfer` was dropped and restored from a dump, say."""
    execute(f"DROP FUNCTION {FUNCTION} CASCADE", UPDATE)
    (found,) = [file for file in overview("default").files if file.file == "rss"]
    assert found.problem == "reverse capture is missing: writes to PostgreSQL are not logged"
    assert found.next_step == "manage.py cutover once more, which puts it back"
    _put_back()
    with pytest.raises(StateError, match=r"rss.fetch_items \(3\)"):
        roll_back()
    execute(f"UPDATE {TABLE} SET item_title = item_title WHERE id = 3")
    roll_back()
    assert differences() == {}


@pytest.mark.slow
def test_a_write_that_slipped_into_the_frozen_file_is_named(live):
    path = live / "rss_fetch_history.db"
    path.chmod(0o644)
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE ?"
        triggers = db.execute(query, ["stillme_%rss_fetch_items%"]).fetchall()
        for name, _ in triggers:
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("UPDATE rss_fetch_items SET title = 'slipped' WHERE id = 4")
        for _, sql in triggers:
            db.execute(sql)
        db.commit()
    with pytest.raises(StateError, match=r"\(4\) is not the same .* or to the frozen file"):
        roll_back()
    FetchItem.objects.filter(pk=4).update(item_title="slipped")
    roll_back()
    assert differences() == {}


@pytest.mark.slow
def test_after_a_truncate_every_row_is_carried_anyhow(live):
    execute(f"TRUNCATE {TABLE}")
    roll_back()
    assert differences() == {}


@pytest.mark.slow
def test_a_child_whose_parent_was_deleted_is_no_riddle(live):
    """No constraint is checked in replica role; the delete is logged, the child was not written."""
    parent = f"(SELECT cycle_id FROM {TABLE} WHERE id = 5)"
    execute(
        "SET session_replication_role = replica",
        f"DELETE FROM rss.fetch_cycles WHERE id = {parent}",
        "RESET session_replication_role",
    )
    roll_back()
    assert differences() == {}
    assert state("rss") == "rolled back"


def test_a_table_that_was_dropped_from_the_frozen_file_is_named(live):
    """No trigger stands against DDL: what PostgreSQL received of it would have been given up."""
    path = live / "rss_fetch_history.db"
    path.chmod(0o644)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE rss_fetch_items")
    FetchItem.objects.filter(pk=3).update(item_title="only here")
    with pytest.raises(StateError, match=r"has no table rss_fetch_items, but the target holds"):
        roll_back()
    assert state("rss") == "live"
    assert FetchItem.objects.get(pk=3).item_title == "only here"
