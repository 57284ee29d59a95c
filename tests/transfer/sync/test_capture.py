"""Capture in a legacy file: what is logged, what the writer notices, how it is recognised."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.keys import Key
from stillme.transfer.sqlite.capture import (
    ChangeLog,
    Health,
    captured_tables,
    install,
    remove,
    run_probes,
    status,
    tables,
)
from stillme.transfer.sqlite.capture.log import collapse, trim
from stillme.transfer.sqlite.reading.connect import uri

from .files import ITEMS, METRICS, make_file, mappings_of


def tables_of(path):
    connection = sqlite3.connect(path)
    try:
        return captured_tables(connection, mappings_of(path))
    finally:
        connection.close()


def health(path):
    connection = sqlite3.connect(path)
    try:
        return status(connection, captured_tables(connection, mappings_of(path)))
    finally:
        connection.close()


def schema(path):
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
    connection.close()
    return rows


@pytest.fixture(params=["wal", pytest.param("delete", marks=pytest.mark.slow)])
def captured(tmp_path, request):
    path = make_file(tmp_path / "a.db", journal=request.param)
    install(path, tables_of(path))
    return path


@pytest.fixture
def app(captured):
    connection = sqlite3.connect(captured)
    yield connection
    connection.close()


def logged(connection):
    connection.commit()
    # As sqlite3 would read them: text that is not UTF-8 as bytes.
    return [(c.name, c.key.bindings[0][1]) for c in ChangeLog(connection).after(0, 1000)]


INSERT = "INSERT INTO rss_fetch_items (cycle_id, title) VALUES (1, 't')"
METRIC = "INSERT INTO tier_metrics (item_id, tier) VALUES (?, 'L0')"


def test_insert_update_delete(app):
    app.execute(INSERT)
    app.execute("UPDATE rss_fetch_items SET title = 'x' WHERE id = 1")
    app.execute("DELETE FROM rss_fetch_items WHERE id = 1")
    assert logged(app) == [("rss_fetch_items", 1)] * 3


def test_rolled_back_write_is_not_logged(app):
    app.execute(INSERT)
    app.rollback()
    assert logged(app) == []


def test_key_update_logs_both_keys(app):
    app.execute(INSERT)
    app.execute("UPDATE rss_fetch_items SET id = 9")
    app.execute("UPDATE rss_fetch_items SET rowid = 12")
    assert {key for _, key in logged(app)} == {1, 9, 12}


def test_text_key_keeps_its_storage_class(app):
    app.execute(METRIC, ("a\0b",))
    app.execute("INSERT INTO tier_metrics (item_id, tier) VALUES (x'c328', 'L0')")
    app.execute("INSERT INTO tier_metrics (item_id, tier) VALUES (CAST(x'c328' AS TEXT), 'L0')")
    app.execute("INSERT INTO tier_metrics (item_id, tier) VALUES (NULL, 'L0')")
    app.execute(METRIC, ("7",))
    assert [k for _, k in logged(app)] == ["a\0b", b"\xc3\x28", b"\xc3\x28", None, "7"]


def test_delete_without_where(app):
    app.executemany(METRIC, [("a",), ("b",)])
    logged(app)
    app.execute("DELETE FROM stillme_change WHERE sequence > 0")
    app.execute("DELETE FROM tier_metrics")
    assert {k for _, k in logged(app)} == {"a", "b"}


def test_replace_with_recursive_triggers_off(captured, app):
    app.execute("CREATE UNIQUE INDEX u ON rss_fetch_items (link COLLATE NOCASE)")
    app.commit()
    assert health(captured).health is Health.MISSING
    install(captured, tables_of(captured))
    assert app.execute("PRAGMA recursive_triggers").fetchone() == (0,)
    app.execute("INSERT INTO rss_fetch_items (cycle_id, title, link) VALUES (1, 'a', 'L')")
    app.execute("INSERT OR REPLACE INTO rss_fetch_items (cycle_id, title, link) VALUES (1,'b','l')")
    assert {k for _, k in logged(app)} == {1, 2}
    app.execute("DELETE FROM stillme_change WHERE sequence > 0")
    app.execute("INSERT INTO rss_fetch_items (cycle_id, title, link) VALUES (1, 'c', 'M')")
    app.execute("UPDATE OR REPLACE rss_fetch_items SET link = 'm' WHERE id = 2")
    assert {k for _, k in logged(app)} == {2, 3}


def test_replace_over_the_rowid_of_a_text_key(app):
    app.execute(METRIC, ("a",))
    app.execute("INSERT OR REPLACE INTO tier_metrics (rowid, item_id, tier) VALUES (1, 'b', 'L1')")
    assert app.execute("SELECT item_id FROM tier_metrics").fetchall() == [("b",)]
    assert {k for _, k in logged(app)} == {"a", "b"}


def test_upsert_and_vacuum(app):
    upsert = METRIC + " ON CONFLICT (item_id) DO UPDATE SET tier = 'L1'"
    app.executemany(upsert, [("a",), ("b",), ("a",)])
    app.execute("DELETE FROM tier_metrics WHERE item_id = 'a'")
    app.commit()
    app.execute("VACUUM")
    app.execute("UPDATE tier_metrics SET tier = 'L2'")
    assert logged(app)[-1] == ("tier_metrics", "b")


def test_the_application_notices_nothing(app):
    cursor = app.execute(INSERT)
    assert (cursor.lastrowid, cursor.rowcount) == (1, 1)
    app.execute(METRIC, ("a",))
    cursor = app.execute("UPDATE tier_metrics SET tier = 'L1' WHERE item_id = 'a'")
    assert cursor.rowcount == 1
    assert app.execute("SELECT changes()").fetchone() == (1,)
    assert app.execute("UPDATE tier_metrics SET tier = 'L1' WHERE item_id = 'z'").rowcount == 0
    with pytest.raises(sqlite3.IntegrityError):
        app.execute("UPDATE tier_metrics SET tier = 'L9'")


def test_several_writers(captured):
    def write():
        connection = sqlite3.connect(captured, timeout=30)
        for _ in range(50):
            connection.execute(INSERT)
            connection.commit()
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection = sqlite3.connect(captured)
    keys = [key for _, key in logged(connection)]
    assert sorted(keys) == list(range(1, 201))
    connection.close()


def history(path, position):
    with closing(sqlite3.connect(path)) as connection:
        log = ChangeLog(connection)
        return log.capture_id(), log.witness(position)


def test_trim_touches_no_log_of_another_history(captured, app):
    app.executemany(METRIC, [(str(n),) for n in range(10)])
    app.commit()
    identity, witness = history(captured, 6)
    assert trim(captured, 6, history=("another", witness)) == 0
    assert trim(captured, 6, history=(identity, [6, "tier_metrics", 1.5])) == 0
    assert trim(captured, 6, history=(identity, [99, *witness[1:]])) == 0
    assert trim(captured, 6, history=(identity, None)) == 0
    assert app.execute("SELECT count(*) FROM stillme_change").fetchone() == (11,)


def test_trim_keeps_witness_and_identity(captured, app):
    app.executemany(METRIC, [(str(n),) for n in range(10)])
    app.commit()
    identity = ChangeLog(app).capture_id()
    assert trim(captured, 6, history=history(captured, 6), at_once=2) == 5
    log = ChangeLog(app)
    assert [c.sequence for c in log.after(0, 100)] == [6, 7, 8, 9, 10]
    assert log.witness(6)[1] == "tier_metrics"
    assert trim(captured, 10, history=history(captured, 10)) == 4
    assert log.last() == 10
    assert log.capture_id() == identity
    app.execute(METRIC, ("next",))
    app.commit()
    assert log.last() == 11


def test_trim_leaves_a_busy_file_alone(captured, app):
    app.execute(METRIC, ("a",))
    app.execute(METRIC, ("b",))
    app.commit()
    app.execute("BEGIN IMMEDIATE")
    assert trim(captured, 2, history=history(captured, 2)) == 0


def test_trim_without_the_right_to_write_is_one_sentence(captured, app, monkeypatch):
    """It used to say that the file "cannot be read to the end"."""
    app.execute(METRIC, ("a",))
    app.execute(METRIC, ("b",))
    app.commit()
    monkeypatch.setattr(tables, "uri", lambda path, mode: uri(path, "ro"))
    with pytest.raises(LegacyFileError, match="No permission to write"):
        trim(captured, 2, history=history(captured, 2))


def test_install_twice_changes_nothing(captured, app):
    app.execute(INSERT)
    app.commit()
    before = schema(captured), ChangeLog(app).capture_id(), logged(app)
    install(captured, tables_of(captured))
    assert (schema(captured), ChangeLog(app).capture_id(), logged(app)) == before


@pytest.mark.parametrize("statements", [(ITEMS, METRICS), (METRICS,)], ids=["all", "only metrics"])
def test_removal_leaves_the_schema_as_it_was(tmp_path, statements):
    path = make_file(tmp_path / "a.db", *statements)
    before = schema(path)
    install(path, tables_of(path))
    assert schema(path) != before
    assert remove(path)
    assert schema(path) == before
    assert not remove(path)


def test_health_tells_every_state(tmp_path):
    path = make_file(tmp_path / "a.db")
    assert health(path).health is Health.ABSENT
    first = install(path, tables_of(path))
    assert health(path).health is Health.HEALTHY
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER stillme_capture_tier_metrics_delete")
    assert health(path).health is Health.MISSING
    edited = (
        "CREATE TRIGGER stillme_capture_tier_metrics_delete AFTER DELETE ON tier_metrics "
        "BEGIN SELECT 1; END"
    )
    connection.execute(edited)
    assert health(path).health is Health.HAND_EDITED
    second = install(path, tables_of(path))
    assert second.is_healthy
    assert second.capture_id != first.capture_id
    connection.execute("DELETE FROM stillme_change")
    connection.commit()
    assert health(path).health is Health.MISSING
    connection.execute("CREATE UNIQUE INDEX u ON tier_metrics (surprise_score)")
    install(path, tables_of(path))
    connection.execute("DROP INDEX u")
    assert health(path).health is Health.OUTDATED
    connection.close()


def test_numbers_never_start_over_when_installed_anew(captured, app):
    app.executemany(METRIC, [("a",), ("b",)])
    app.commit()
    app.execute("DROP TRIGGER stillme_capture_tier_metrics_update")
    assert install(captured, tables_of(captured)).is_healthy
    app.execute(METRIC, ("c",))
    app.commit()
    assert ChangeLog(app).last() == 3


def test_locked_file_is_one_sentence(captured, app):
    app.execute("BEGIN IMMEDIATE")
    with pytest.raises(LegacyFileError, match="locked by another writer"):
        remove(captured, timeout=0.05)


def test_collapse_keeps_one_and_one_point_nought_apart(app):
    app.execute("INSERT INTO stillme_change (name, key) VALUES ('t', 1), ('t', 1.0), ('t', 1)")
    keys = collapse(ChangeLog(app).after(0, 10), [])["t"]
    assert keys == [Key.of(1), Key.of(1.0)]


def test_added_column_leaves_capture_healthy(captured, app):
    app.execute("ALTER TABLE tier_metrics ADD COLUMN last_update_cycle INTEGER DEFAULT 0")
    assert health(captured).is_healthy
    app.execute(METRIC, ("a",))
    assert logged(app) == [("tier_metrics", "a")]


def test_probes_pass_on_the_declared_tables(tmp_path):
    path = make_file(tmp_path / "a.db")
    probes = run_probes(path, mappings_of(path))
    assert [p for p in probes if not p.ok] == []
    assert {p.name for p in probes} >= {"insert or replace", "delete without WHERE", "freeze"}
    assert health(path).health is Health.ABSENT


@pytest.mark.parametrize(
    ("terms", "failing"),
    [
        ("lower(link)", set()),
        ("lower(link), title COLLATE NOCASE DESC", set()),
        ("(link || ',)('), \"title\" ASC) WHERE (length(link) > 2", set()),
        ("lower(link) /* , ( */", {"replace over u"}),
    ],
)
def test_a_replace_over_an_expression_is_seen_or_refused(tmp_path, terms, failing):
    path = make_file(tmp_path / "a.db")
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE UNIQUE INDEX u ON rss_fetch_items ({terms})")
    connection.close()
    failed = [p for p in run_probes(path, mappings_of(path)) if not p.ok]
    assert {p.name for p in failed} == failing


def test_marks_of_tables_that_are_no_more_do_not_keep_capture_out(tmp_path):
    """VACUUM drops sqlite_sequence where no table is AUTOINCREMENT any more."""
    path = make_file(tmp_path / "a.db", ITEMS, METRICS)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE rss_fetch_items")
    connection.close()
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    assert [probe for probe in run_probes(copy, mappings_of(path)) if not probe.ok] == []


DEFAULTS = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL DEFAULT 'x' UNIQUE, "
    "n INTEGER NOT NULL DEFAULT (2 + 3), m INTEGER)",
    "CREATE UNIQUE INDEX own ON t (n + 1)",
)


@pytest.mark.parametrize(
    ("statement", "pushed_out"),
    [
        ("INSERT OR REPLACE INTO t (id, code, n) VALUES (2, NULL, 1)", [1]),
        ("INSERT OR REPLACE INTO t (id, code, n) VALUES (2, 'y', NULL)", [1]),
        ("UPDATE OR REPLACE t SET code = NULL WHERE id = 3", [1]),
        ("INSERT OR REPLACE INTO t (id, code, n) VALUES (2, 'y', 1)", []),
    ],
)
def test_a_null_that_a_replace_makes_the_default(tmp_path, statement, pushed_out):
    """The row with that default goes, and nothing names it in the statement."""
    path = make_file(tmp_path / "a.db", *DEFAULTS)
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO t (id) VALUES (1)")
        db.execute("INSERT INTO t (id, code, n) VALUES (3, 'z', 3)")
        db.commit()
        install(path, captured_tables(db, mappings_of(path)))
        db.execute(statement)
        gone = {1, 3} - {row[0] for row in db.execute("SELECT id FROM t")}
        assert gone == set(pushed_out)
        seen = {row[0] for row in db.execute("SELECT key FROM stillme_change WHERE sequence > 0")}
        assert gone < seen
