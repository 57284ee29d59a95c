"""Tables declared as no version of the old application declares them, and stamps at time's ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.steps.inspect import inspect_files
from tests.made_once import files_of, put_samples
from tests.transfer.load.support import FILES, change, content, query, run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)

TREND = "(id INTEGER%s, metric_name TEXT, metric_value REAL, measurement_date DATE%s) %s"
TIER = "INSERT INTO tier_metrics (item_id, tier) VALUES (%s, 'L1')"
LEAST = -(2**63)


@pytest.fixture
def files(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], request: pytest.FixtureRequest
) -> Path:
    put_samples(tmp_path, rows=5, variant="clean", files=files_of(request.node))
    use_legacy_files(tmp_path)
    return tmp_path


def trends(folder: Path, key: str, more: str, options: str, *rows: str) -> None:
    change(
        folder,
        "accuracy",
        "DROP TABLE performance_trends",
        f"CREATE TABLE performance_trends {TREND % (key, more, options)}",
        *(f"INSERT INTO performance_trends VALUES ({row})" for row in rows),
    )


def prove(*aside: tuple[str, str | None, str]) -> None:
    """Inspected, imported, proven and rebuilt without a finding; a second time nothing changes."""
    predicted = sum(
        table.prediction.quarantined for file in inspect_files().files for table in file.tables
    )
    result = run_import(chunk_rows=2)
    assert result.conserved
    assert predicted == sum(table.outcome.quarantined for table in result.tables)
    found = QuarantinedRow.objects.exclude(table="knowledge_relationships")
    assert sorted(found.values_list("table", "key", "reason"), key=str) == sorted(aside, key=str)
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []
    before = content()
    run_import(chunk_rows=2, prune=True)
    assert content() == before


@pytest.mark.only_files("accuracy")
def test_a_descending_key_is_no_rowid(files: Path) -> None:
    rows = ("1, 'a', 0.5, '0001-01-01'", "x'00', 'b', 0.5, '2025-01-01'")
    trends(files, " PRIMARY KEY DESC", "", "", *rows, "CAST(x'ff' AS TEXT), 'c', 1.5, ''")
    prove(("performance_trends", "\ufffd", "bad_key"), ("performance_trends", "\ufffd", "bad_key"))
    assert query("SELECT id, metric_name FROM accuracy.performance_trends") == [(1, "a")]


@pytest.mark.slow
@pytest.mark.only_files("accuracy")
def test_rowids_are_missed_behind_a_comment(files: Path) -> None:
    rows = (f"{LEAST}, 'a', 'x', '2025-01-01'", "7, 'b', 0.5, '2025-01-01'")
    trends(files, " PRIMARY KEY", "", "WITHOUT /* ) */ ROWID", *rows)
    prove(("performance_trends", str(LEAST), "not_a_number"))


@pytest.mark.only_files("accuracy")
def test_a_key_twice_without_rowids(files: Path) -> None:
    rows = ("7, 'a', 0.5, '2025-01-01', 1", "7, 'b', 0.5, '2025-01-01', 2")
    nulls = ("NULL, 'c', 0.5, '2025-01-01', 3", "NULL, 'd', 0.5, '2025-01-01', 4")
    own_key = ", mine INTEGER PRIMARY KEY"
    trends(files, "", own_key, "WITHOUT ROWID", *rows, *nulls, "8, 'e', 1.5, '2025-01-01', 5")
    table = "performance_trends"
    twice, null = (table, "7", "duplicate_key"), (table, None, "null_in_required")
    prove(twice, twice, null, null)
    assert query("SELECT id FROM accuracy.performance_trends") == [(8,)]


@pytest.mark.only_files("knowledge")
def test_a_column_called_rowid(files: Path) -> None:
    change(
        files,
        "knowledge",
        "ALTER TABLE learning_sessions ADD COLUMN rowid",
        "UPDATE learning_sessions SET rowid = 'mine', session_type = NULL || '' WHERE 0",
        "UPDATE learning_sessions SET rowid = 'mine ' || id, accuracy_score = 'x' WHERE id = 2",
    )
    prove(("learning_sessions", "2", "not_a_number"))


@pytest.mark.slow
@pytest.mark.only_files("continuum")
def test_numbers_and_texts_that_read_alike(files: Path) -> None:
    """Without a type the file keeps 5 and '5' apart; a text key in the target cannot."""
    change(
        files,
        "continuum",
        "DROP TABLE tier_metrics",
        "CREATE TABLE tier_metrics (item_id PRIMARY KEY, tier TEXT)",
        *(TIER % key for key in ("5", "'5'", "'inf'", "9e999", "1e16", "'1e+16'", "'1e16'")),
        *(TIER % key for key in ("x'35'", "'5.0'", "6")),
    )
    reasons = {"5": "duplicate_key", "inf": "duplicate_key", "1e+16": "duplicate_key"}
    aside = [("tier_metrics", key, reason) for key, reason in reasons.items()]
    prove(*aside, ("tier_metrics", "5", "blob"))
    kept = {key for (key,) in query("SELECT item_id FROM continuum.tier_metrics")}
    assert kept == {"5", "inf", "1e+16", "1e16", "5.0", "6"}


@pytest.mark.only_files("rss")
def test_a_parent_without_a_key_is_nobodys_parent(files: Path) -> None:
    """In SQL, `not in` a list with a NULL is never true."""
    change(
        files,
        "rss",
        "ALTER TABLE rss_fetch_cycles RENAME TO before",
        "CREATE TABLE rss_fetch_cycles AS SELECT * FROM before",
        "DROP TABLE before",
        "INSERT INTO rss_fetch_cycles (cycle_number, started_at) VALUES (9, '2025-01-01T10:00:00')",
        "UPDATE rss_fetch_items SET cycle_id = 999, title = CAST(x'ff' AS TEXT) WHERE id = 1",
    )
    prove(
        ("rss_fetch_cycles", None, "null_in_required"), ("rss_fetch_items", "1", "missing_parent")
    )


@pytest.mark.only_files("accuracy")
def test_an_old_record_goes_with_its_row(files: Path) -> None:
    """The row is another one now, at another rowid, and bad again."""
    trends(files, "", ", UNIQUE (id)", "", "1, 'a', 'x', '2025-01-01'", "2, 'b', 1.5, '2025-01-01'")
    change(files, "accuracy", "ALTER TABLE performance_trends RENAME TO before")
    change(
        files,
        "accuracy",
        f"CREATE TABLE performance_trends {TREND % (' PRIMARY KEY DESC', '', '')}",
        "INSERT INTO performance_trends SELECT * FROM before",
        "DROP TABLE before",
    )
    run_import()
    change(
        files,
        "accuracy",
        "DELETE FROM performance_trends WHERE id = 1",
        "INSERT INTO performance_trends VALUES (1, 'new', 'y', '2025-01-01')",
    )
    run_import(prune=True)
    assert QuarantinedRow.objects.filter(table="performance_trends").count() == 1
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []


@pytest.mark.slow
@pytest.mark.only_files("continuum")
def test_a_record_of_a_text_that_a_real_resembles(files: Path) -> None:
    """In a text column the number infinity is stored as Inf, which is not the key inf."""
    change(files, "continuum", TIER % "'inf'", TIER % "9e999")
    change(files, "continuum", "UPDATE tier_metrics SET updated_at = '' WHERE item_id = 'inf'")
    run_import()
    assert QuarantinedRow.objects.filter(key="inf").exists()
    change(files, "continuum", "DELETE FROM tier_metrics WHERE item_id = 'inf'")
    assert "inf" in {f.key for f in judge().findings.kept}
    run_import(prune=True)
    assert not QuarantinedRow.objects.filter(key="inf").exists()


@pytest.mark.slow
@pytest.mark.only_files("rss")
def test_a_mark_that_somebody_wrote_as_text(files: Path) -> None:
    change(files, "rss", "UPDATE sqlite_sequence SET seq = '777' WHERE name = 'rss_fetch_items'")
    run_import()
    [(last,)] = query("SELECT nextval(pg_get_serial_sequence('rss.fetch_items', 'id'))")
    assert last == 778


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Ho_Chi_Minh"])
@pytest.mark.only_files("continuum")
def test_local_times_at_both_ends_of_the_calendar(files: Path, settings: Any, zone: str) -> None:
    settings.LEGACY_TIME_ZONE = zone
    audit = "UPDATE tier_audit SET created_at = '%s' WHERE id = %d"
    stamps = ("9999-12-31T23:59:59", "0001-01-01T00:00:00", "9999-12-31T00:00:00.5", "0001-01-02")
    change(files, "continuum", *(audit % pair for pair in zip(stamps, (1, 2, 3, 4), strict=True)))
    early, late = ("tier_audit", "2", "unreadable_time"), ("tier_audit", "1", "unreadable_time")
    prove(early if zone.startswith("Asia") else late)


@pytest.mark.slow
@pytest.mark.only_files("continuum")
def test_a_far_stamp_says_nothing_about_the_summer_before(files: Path, settings: Any) -> None:
    """As a number, which is how a TIMESTAMP column compares it, 9999 is less than any text."""
    settings.LEGACY_TIME_ZONE = "Europe/Berlin"
    audit = "UPDATE tier_audit SET created_at = '%s' WHERE id = %d"
    stamps = ("9999-12-31T10:00:00", "2025-07-01T10:00:00", "2025-12-01T10:00:00.250000")
    change(files, "continuum", *(audit % pair for pair in zip(stamps, (1, 2, 3), strict=True)))
    prove()
    found = query(
        "SELECT created_at AT TIME ZONE 'UTC' FROM continuum.tier_audit WHERE id IN (2, 3)"
    )
    assert sorted(moment.hour for (moment,) in found) == [8, 9]


@pytest.mark.slow
@pytest.mark.only_files("continuum")
def test_a_record_keeps_its_row_when_rowids_move(files: Path) -> None:
    """A key with U+0000 is told by its cells: nobody else has just these."""
    bad = "INSERT OR REPLACE INTO tier_metrics (item_id, tier) VALUES (CAST(x'6b00' AS TEXT), 'L1')"
    change(files, "continuum", bad, "INSERT INTO tier_metrics (item_id, tier) VALUES (NULL, 'L1')")
    run_import()
    change(files, "continuum", bad, "DELETE FROM tier_metrics WHERE rowid = 1")
    with closing(sqlite3.connect(files / FILES["continuum"], isolation_level=None)) as connection:
        connection.execute("VACUUM")
    run_import(prune=True)
    assert QuarantinedRow.objects.filter(table="tier_metrics").count() == 2
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []
    change(files, "continuum", "DELETE FROM tier_metrics WHERE item_id IS NULL OR tier = 'L1'")
    assert "k\ufffd" in {f.key for f in judge().findings.kept}
    run_import(prune=True)
    assert not QuarantinedRow.objects.filter(table="tier_metrics").exists()


@pytest.mark.only_files("knowledge")
def test_documents_nested_as_deep_as_they_may(files: Path) -> None:
    """Among them ones that are written anew: each level once took two frames of Python's stack."""
    deep = (
        "[" * 499 + "NaN" + "]" * 499,
        '{"a":' * 499 + "NaN" + "}" * 499,
        '{"a":' * 499 + "1" + "}" * 499,
        "[" * 500 + "]" * 500,
    )
    update = "UPDATE learning_sessions SET metadata = '%s', accuracy_score = 1 WHERE id = %d"
    change(files, "knowledge", *(update % (text, n) for n, text in enumerate(deep, 1)))
    prove()


@pytest.mark.only_files("accuracy")
def test_names_that_differ_in_a_letter_beyond_ascii(files: Path) -> None:
    """SQLite ignores the case of A to Z only; Python took Ä for ä, and the first was lost."""
    change(
        files,
        "accuracy",
        *(f'ALTER TABLE learning_objectives ADD COLUMN "{name}"' for name in ("Ä", "ä", "\u212a")),
        'UPDATE learning_objectives SET "Ä" = 1, "ä" = \'two\', "\u212a" = \'Kelvin\' WHERE id = 1',
    )
    prove()
    [(extra,)] = query("SELECT legacy_extra FROM accuracy.learning_objectives WHERE id = 1")
    assert json.loads(extra) == {"Ä": 1, "ä": "two", "\u212a": "Kelvin"}


@pytest.mark.slow
@pytest.mark.only_files("rss")
def test_a_row_that_is_there_twice_and_has_no_parent_any_more(files: Path) -> None:
    """Each of the two has its own record, and its own reason."""
    change(
        files,
        "rss",
        "ALTER TABLE rss_fetch_items RENAME TO before",
        "CREATE TABLE rss_fetch_items AS SELECT * FROM before WHERE id IN (1, 2)",
        "INSERT INTO rss_fetch_items SELECT * FROM before WHERE id = 1",
        "DROP TABLE before",
    )
    run_import()
    query("DELETE FROM rss.fetch_items")
    query("DELETE FROM rss.fetch_cycles")
    change(files, "rss", "UPDATE rss_fetch_items SET link = 'x'")
    result = run_import(selection=Selection(tables=("rss_fetch_items",)))
    assert result.conserved
    found = QuarantinedRow.objects.filter(table="rss_fetch_items").order_by("rowid")
    assert [(r.key, r.rowid, r.reason) for r in found] == [
        ("1", 1, "missing_parent"),
        ("2", 2, "missing_parent"),
        ("1", 3, "duplicate_key"),
    ]
