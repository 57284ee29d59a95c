"""Differences of the legacy files that are none: the same values, stored or declared otherwise."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.transfer.load.support import FILES
from tests.transfer.verify.corruptions.case import (
    ACCURACY,
    CONTINUUM,
    EVERY_FILE,
    KNOWLEDGE,
    RSS,
    Lawful,
    OnLegacy,
)


def in_file(what: str, file: str, *sql: str) -> Lawful:
    """SQL on a copy of one file."""
    return Lawful(what, legacy=(file, *sql), files=(file,))


def in_files(what: str, legacy: OnLegacy) -> Lawful:
    """Something is done to the copied folder."""
    return Lawful(what, legacy=legacy)


def _each(*sql: str) -> OnLegacy:
    def change(folder: Path) -> None:
        for file in EVERY_FILE:
            with closing(sqlite3.connect(folder / FILES[file], isolation_level=None)) as opened:
                for statement in sql:
                    opened.execute(statement)

    return change


def rebuilt(
    table: str, *, order: str = "rowid", columns: str = "*", name: str = ""
) -> tuple[str, ...]:
    """SQL: the rows of a table in a new one, which declares nothing but its key."""
    return (
        f"ALTER TABLE {table} RENAME TO was",
        f"CREATE TABLE {name or table} ({columns})",
        f"INSERT INTO {name or table} ({_names(columns)}) SELECT {_names(columns)} FROM was ORDER BY {order}",
        "DROP TABLE was",
    )


def _names(columns: str) -> str:
    return ", ".join(column.split()[0] for column in columns.split(", "))


def _in_a_log(folder: Path) -> None:
    """Committed rows that stand in the write-ahead log only, written again as they were."""
    path = folder / FILES[ACCURACY]
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA wal_autocheckpoint = 0")
        opened.execute("UPDATE accuracy_scores SET question = question")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", folder / f"left{suffix}")
    for suffix in ("", "-wal"):
        shutil.move(folder / f"left{suffix}", f"{path}{suffix}")


SCORE = (
    "metadata TEXT, created_at TIMESTAMP, id INTEGER PRIMARY KEY, scoring_method, accuracy_score, "
    "actual_answer, expected_answer, question, context_used"
)
TREND = "id INTEGER PRIMARY KEY, metric_name, metric_value, measurement_date, context, created_at"

# fmt: off
CASES: list[Lawful] = [
    in_files("files rebuilt by VACUUM", _each("VACUUM")),
    in_files("files of another page size", _each("PRAGMA page_size = 512", "VACUUM")),
    in_files("files with a write-ahead log", _each("PRAGMA journal_mode = WAL")),
    in_files("files that shrink by themselves", _each("PRAGMA auto_vacuum = FULL", "VACUUM")),
    in_files("files with SQLite's statistics", _each("ANALYZE")),
    in_files("files with every index built again", _each("REINDEX")),
    in_files("files of another version", _each("PRAGMA user_version = 7", "PRAGMA application_id = 99")),
    in_files("rows in the log only", _in_a_log),
    in_file("an index more", KNOWLEDGE, "CREATE INDEX more ON knowledge_items (lower(source)) WHERE id > 3"),
    in_file("a unique index more", KNOWLEDGE, "CREATE UNIQUE INDEX more ON knowledge_items (id, source)"),
    in_file("an index less", RSS, "DROP INDEX idx_status"),
    in_file("a trigger", KNOWLEDGE, "CREATE TRIGGER t AFTER UPDATE ON knowledge_items BEGIN SELECT raise(ABORT, 'no'); END"),
    in_file("a view", KNOWLEDGE, "CREATE VIEW recent AS SELECT * FROM knowledge_items"),
    in_file("an empty undeclared table", ACCURACY, "CREATE TABLE user_ratings (id INTEGER PRIMARY KEY, stars)"),
    in_file("an undeclared table that was emptied", ACCURACY, "CREATE TABLE user_ratings (id INTEGER PRIMARY KEY AUTOINCREMENT, stars)", "INSERT INTO user_ratings (stars) VALUES (5)", "DELETE FROM user_ratings"),
    in_file("columns in another order, without types", ACCURACY, *rebuilt("accuracy_scores", columns=SCORE)),
    in_file("rows in another order of rowids", CONTINUUM, *rebuilt("tier_metrics", order="rowid", columns="item_id TEXT PRIMARY KEY, tier, surprise_score, retrieval_count_7d, retrieval_count_30d, validator_overlap, last_promoted_at, last_demoted_at, last_update_cycle, created_at, updated_at")),
    in_file("a table in upper case", ACCURACY, *rebuilt("performance_trends", columns=TREND, name="PERFORMANCE_TRENDS")),
    in_file("a column in upper case", KNOWLEDGE, "ALTER TABLE learning_sessions RENAME COLUMN session_type TO SESSION_TYPE"),
    in_file("a column in upper case, of a table with a record", ACCURACY, "ALTER TABLE performance_trends RENAME COLUMN metric_name TO METRIC_NAME"),
    in_file("quoted names", ACCURACY, *rebuilt("performance_trends", columns=TREND, name='"performance_trends"')),
    in_file("a column more that is NULL", KNOWLEDGE, "ALTER TABLE learning_sessions ADD COLUMN more TEXT"),
    in_file("a column more that SQLite computes", KNOWLEDGE, "ALTER TABLE learning_sessions ADD COLUMN half AS (NULL)"),
    in_file("rows updated to themselves", KNOWLEDGE, "UPDATE knowledge_items SET content = content, metadata = metadata"),
    in_file("a row of the file deleted and written again", ACCURACY, "CREATE TEMP TABLE kept AS SELECT * FROM accuracy_scores WHERE id = 5", "DELETE FROM accuracy_scores WHERE id = 5", "INSERT INTO accuracy_scores SELECT * FROM kept"),
    in_file("a document with other white space and order of keys", KNOWLEDGE, "UPDATE knowledge_items SET metadata = '{ \"s\":\"a\",\"n\":1,\"list\":[1,2,1] }' WHERE id = 1"),
    in_file("a document's number spelled otherwise", KNOWLEDGE, "UPDATE knowledge_items SET metadata = '5.0' WHERE id = 38"),
    in_file("a document in escapes", KNOWLEDGE, "UPDATE knowledge_items SET metadata = '\"\\u0074\\u0065xt\"' WHERE id = 36"),
    in_file("no marks of ids", ACCURACY, "DELETE FROM sqlite_sequence"),
    in_file("a mark of a table that is gone", ACCURACY, "INSERT INTO sqlite_sequence VALUES ('gone', 9000)"),
    in_file("a mark below the ids", RSS, "UPDATE sqlite_sequence SET seq = 1"),
    in_file("a foreign key that the file did not declare", RSS, "CREATE TABLE empty_child (item INTEGER REFERENCES rss_fetch_items (id))"),
]
# fmt: on
