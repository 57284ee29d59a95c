"""Drift: the declared schema against the one in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stillme.demo.samples import make_hostile
from stillme.transfer.sqlite.schema.drift import declared_default, declared_type
from stillme.transfer.steps.inspect import inspect_files
from tests.made_once import put_samples
from tests.transfer.inspection.support import drifts, file
from tests.transfer.load.support import change

UseFiles = Callable[[Path], None]


@pytest.mark.parametrize("variant", ["clean", "current", "wal"])
def test_the_declared_schema_has_no_drift(
    variant: str, tmp_path: Path, use_legacy_files: UseFiles
) -> None:
    put_samples(tmp_path, rows=20, variant=variant)
    use_legacy_files(tmp_path)
    found = inspect_files()
    assert [drift for f in found.files for drift in f.drift] == []
    assert file(found, "rss").journal_mode == "wal"
    assert file(found, "accuracy").journal_mode == "rollback"


def test_the_first_schema(tmp_path: Path, use_legacy_files: UseFiles) -> None:
    put_samples(tmp_path, rows=20, variant="old")
    use_legacy_files(tmp_path)
    found = inspect_files()
    assert drifts(found, "continuum") == {("missing column", "tier_metrics", "last_update_cycle")}
    assert file(found, "rss").journal_mode == "rollback"


def test_empty_and_missing_files(tmp_path: Path, use_legacy_files: UseFiles) -> None:
    put_samples(tmp_path, rows=20, variant="disabled")
    (tmp_path / "accuracy_scores.db").unlink()
    use_legacy_files(tmp_path)
    found = inspect_files()
    assert drifts(found, "continuum") == {("empty file", "", "continuum_memory.db")}
    assert drifts(found, "accuracy") == {("missing file", "", "accuracy_scores.db")}


def test_every_kind_of_drift(legacy: Path) -> None:
    change(
        legacy,
        "continuum",
        "ALTER TABLE tier_audit RENAME TO old",
        "CREATE TABLE tier_audit (to_tier TEXT, id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "item_id VARCHAR(20) NOT NULL, from_tier TEXT, reason TEXT NOT NULL DEFAULT 'x', "
        "surprise_score REAL, retrieval_count_7d INTEGER, validator_overlap REAL, "
        "performed_by TEXT DEFAULT 'system', created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, "
        "mood TEXT NOT NULL DEFAULT 'good')",
        "DROP TABLE old",
        "CREATE INDEX idx_tier_audit_item_id ON tier_audit(reason)",
        "CREATE INDEX mine ON tier_audit(lower(reason), to_tier)",
        "DROP TABLE forgetting_metrics",
        "CREATE TABLE my_notes (a)",
        "CREATE VIRTUAL TABLE my_search USING fts5(a)",
        "CREATE VIEW my_view AS SELECT 1",
        "CREATE TRIGGER my_trigger AFTER INSERT ON my_notes BEGIN SELECT 1; END",
        "PRAGMA user_version = 3",
    )
    found = drifts(inspect_files(), "continuum")
    assert found >= {
        ("other type", "tier_audit", "item_id"),
        ("other null", "tier_audit", "to_tier"),
        ("other default", "tier_audit", "reason"),
        ("other order", "tier_audit", ""),
        ("extra column", "tier_audit", "mood"),
        ("other index", "tier_audit", "idx_tier_audit_item_id"),
        ("missing index", "tier_audit", "idx_tier_audit_created_at"),
        ("extra index", "tier_audit", "mine"),
        ("missing table", "forgetting_metrics", ""),
        ("extra table", "my_notes", ""),
        ("extra virtual table", "my_search", ""),
        ("extra view", "my_view", ""),
        ("extra trigger", "my_trigger", ""),
        ("user_version", "", ""),
    }


def test_the_hostile_schemas(tmp_path: Path, use_legacy_files: UseFiles) -> None:
    make_hostile(tmp_path)
    use_legacy_files(tmp_path)
    found = inspect_files()
    assert ("missing check", "tier_metrics", "") in drifts(found, "continuum")
    assert ("other order", "accuracy_scores", "") in drifts(found, "accuracy")
    assert ("extra column", "knowledge_items", "ghi chú") in drifts(found, "knowledge")


def test_a_table_without_rowid_and_without_its_key(legacy: Path) -> None:
    change(
        legacy,
        "accuracy",
        "DROP TABLE performance_trends",
        "CREATE TABLE performance_trends (id INTEGER, metric_name TEXT PRIMARY KEY, "
        "metric_value REAL, measurement_date DATE, context TEXT, created_at TIMESTAMP) "
        "WITHOUT ROWID",
        "INSERT INTO performance_trends VALUES (1, 'a', 0.5, '2025-01-01', NULL, NULL)",
    )
    found = inspect_files()
    assert ("no rowid", "performance_trends", "") in drifts(found, "accuracy")
    assert ("other key", "performance_trends", "id") in drifts(found, "accuracy")


def test_other_files_of_the_application_are_named(legacy: Path) -> None:
    with closing(sqlite3.connect(legacy / "chat_history.db")) as connection:
        connection.execute("CREATE TABLE chat_history (id)")
    with closing(sqlite3.connect(legacy / "mine.sqlite")) as connection:
        connection.execute("CREATE TABLE t (id)")
    (legacy / "notes.db").write_text("no database")
    others = {other.name: other.what for other in inspect_files().others}
    assert others == {"chat_history.db": "chat history", "mine.sqlite": "unknown"}


@pytest.mark.parametrize(
    ("declared", "kind", "default"),
    [
        ("TEXT DEFAULT '{}'", "TEXT", "'{}'"),
        ("TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "TIMESTAMP", "CURRENT_TIMESTAMP"),
        ("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER", None),
        ("REAL DEFAULT 0.0", "REAL", "0.0"),
        ("TEXT NOT NULL", "TEXT", None),
    ],
)
def test_declarations_are_taken_apart(declared: str, kind: str, default: str | None) -> None:
    assert declared_type(declared) == kind
    assert declared_default(declared) == default
