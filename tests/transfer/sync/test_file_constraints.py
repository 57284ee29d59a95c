"""The way back into a file with constraints and triggers of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from stillme.transfer import registry
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import LeftByDecision
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.rollback import plan_rollback
from tests.transfer.keyed import Item, legacy_models_of, tables_of
from tests.transfer.load.support import query

from .equal import differences
from .switching import cut_over, roll_back

CHANGED = (
    # Deleted, and made again under another key.
    "DELETE FROM k_item WHERE id = 1",
    "INSERT INTO k_item VALUES (19, 'c1', 1, 101, 'n1')",
    # Taken over from a row that is gone.
    "DELETE FROM k_item WHERE id = 3",
    "UPDATE k_item SET code = 'c3' WHERE id = 2",
    # Swapped, and handed on from row to row.
    "UPDATE k_item SET code = 'x' WHERE id = 4",
    "UPDATE k_item SET code = 'c4' WHERE id = 5",
    "UPDATE k_item SET code = 'c5' WHERE id = 4",
    "UPDATE k_item SET code = 'y' WHERE id = 8",
    "UPDATE k_item SET code = 'c8' WHERE id = 7",
    "UPDATE k_item SET code = 'c7' WHERE id = 6",
    # Another key.
    "UPDATE k_item SET id = 20 WHERE id = 9",
)


def rows(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def switched(path, *statements):
    with closing(sqlite3.connect(path)) as db:
        for sql in statements:
            db.execute(sql)
        db.commit()
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    cut_over()


def test_unique_values_change_places(clean_target, tmp_path, use_legacy_files, monkeypatch):
    """Somebody deletes an account and opens it again: a rollback used to end with "UNIQUE"."""
    use_legacy_files(tmp_path)
    monkeypatch.setattr(registry, "legacy_apps", legacy_models_of([Item]))
    path = tmp_path / "accuracy_scores.db"
    with tables_of([Item], path):
        made = [
            f"INSERT INTO k_item VALUES ({n}, 'c{n}', {n}, 10{n}, 'n{n}')" for n in range(1, 10)
        ]
        switched(path, *made)
        for sql in CHANGED:
            query(sql)
        wanted = query("SELECT * FROM k_item ORDER BY id")
        roll_back()
        assert rows(path, "SELECT * FROM k_item ORDER BY id") == wanted
        assert query("SELECT * FROM k_item ORDER BY id") == wanted


@pytest.mark.only_files("continuum")
def test_a_row_that_left_its_table_for_a_moment_is_as_it_was(legacy):
    """By a constraint that would delete the other row; with a text that is not UTF-8."""
    path = legacy(rows=20) / "continuum_memory.db"
    (declared,) = rows(path, "SELECT sql FROM sqlite_master WHERE name = 'tier_metrics'")[0]
    at = declared.rindex(")")
    switched(
        path,
        "DROP TABLE tier_metrics",
        f"{declared[:at]}, own BLOB, UNIQUE (surprise_score) ON CONFLICT REPLACE)",
        *(
            "INSERT INTO tier_metrics (rowid, item_id, tier, surprise_score, own) "
            f"VALUES ({9 - n}, 'k{n}', 'L1', 0.{n}, CAST(x'c32{n}' AS TEXT))"
            for n in range(1, 5)
        ),
    )
    query("UPDATE continuum.tier_metrics SET surprise_score = 0.5 - surprise_score")
    roll_back()
    shown = "SELECT rowid, item_id, surprise_score, typeof(own), hex(own) FROM tier_metrics"
    assert rows(path, f"{shown} ORDER BY rowid") == [
        (9 - n, f"k{n}", 0.5 - n / 10, "text", f"C32{n}") for n in range(4, 0, -1)
    ]
    assert differences() == {}


@pytest.mark.only_files("accuracy")
def test_columns_that_nobody_declared_and_that_may_not_be_null(legacy):
    """ALTER TABLE ADD COLUMN ... NOT NULL DEFAULT: every row of PostgreSQL's was refused."""
    path = legacy(rows=20) / "accuracy_scores.db"
    add = "ALTER TABLE learning_objectives ADD COLUMN"
    switched(path, f"{add} hidden INTEGER NOT NULL DEFAULT 7", f"{add} seen INTEGER DEFAULT 7")
    insert = "INSERT INTO accuracy.learning_objectives (objective_text, target_score, status)"
    ((made,),) = query(f"{insert} VALUES ('new', 1, 'active') RETURNING id")
    query("UPDATE accuracy.learning_objectives SET legacy_extra = NULL WHERE id = 1")
    roll_back()
    shown = f"SELECT hidden, seen FROM learning_objectives WHERE id IN (1, {made}) ORDER BY id"
    assert rows(path, shown) == [(7, None), (7, None)]
    assert differences() == {}


@pytest.mark.only_files("accuracy")
def test_a_row_that_the_file_cannot_take_is_named(legacy):
    path = legacy(rows=20) / "accuracy_scores.db"
    switched(
        path,
        "UPDATE learning_objectives SET objective_name = 'o' || id",
        "CREATE UNIQUE INDEX own ON learning_objectives (objective_name)",
    )
    copied = "objective_text, target_score, status"
    query(
        f"INSERT INTO accuracy.learning_objectives ({copied}) SELECT {copied} "
        "FROM accuracy.learning_objectives WHERE id = 1"
    )
    ((made,),) = query("SELECT max(id) FROM accuracy.learning_objectives")
    for attempt in (lambda: plan_rollback("default"), roll_back):
        with pytest.raises(TransferError, match=f"learning_objectives row {made} cannot be"):
            attempt()
    query(f"UPDATE accuracy.learning_objectives SET objective_text = 'z' WHERE id = {made}")
    roll_back()
    assert differences() == {}


TRIGGERS = (
    "CREATE TRIGGER counts AFTER INSERT ON rss_fetch_items BEGIN UPDATE rss_fetch_cycles "
    "SET entries_fetched = entries_fetched + 1 WHERE id = NEW.cycle_id; END",
    "CREATE TRIGGER touches AFTER UPDATE OF title ON rss_fetch_items BEGIN UPDATE rss_fetch_items "
    "SET link = link || '!' WHERE id = NEW.id; END",
    "CREATE TRIGGER indexes AFTER UPDATE ON rss_fetch_items BEGIN "
    "INSERT INTO words VALUES (NEW.title); END",
)


@pytest.mark.only_files("rss")
def test_triggers_of_the_file_change_nothing_that_came_from_postgresql(legacy):
    """A row that its trigger changed again never read back, and no rollback could end."""
    path = legacy(rows=20) / "rss_fetch_history.db"
    LeftByDecision.objects.create(file="rss", name="words", note="the user's own")
    switched(path, "CREATE TABLE words (word)", *TRIGGERS)
    columns = "feed_url, item_link, status, fetch_timestamp"
    query(
        f"INSERT INTO rss.fetch_items (cycle_id, item_title, {columns}) "
        f"SELECT cycle_id, 'new', {columns} FROM rss.fetch_items WHERE id = 1"
    )
    query("UPDATE rss.fetch_items SET item_title = 'changed' WHERE id = 1")
    roll_back()
    assert differences() == {}
    assert rows(path, "SELECT word FROM words") == [("changed",)]
    own = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name NOT LIKE 'stillme%'"
    assert sorted(rows(path, own)) == sorted((sql,) for sql in TRIGGERS)
