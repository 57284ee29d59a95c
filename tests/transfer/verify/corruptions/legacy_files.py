"""What happens to the legacy files after the import: the target is no longer what they hold."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from stillme.transfer.findings import FindingKind
from tests.transfer.load.support import FILES
from tests.transfer.verify.corruptions.case import (
    ACCURACY,
    CONTINUUM,
    EVERY_FILE,
    FETCHED,
    FORGOT,
    GOALS,
    ITEMS,
    KNOWLEDGE,
    LINKS,
    RSS,
    SCORES,
    TIERS,
    TRENDS,
    Corruption,
)

MISSING, EXTRA, VALUE = FindingKind.MISSING_ROW, FindingKind.EXTRA_ROW, FindingKind.VALUE
ASIDE, KEPT, SEQUENCE = (
    FindingKind.QUARANTINE_KEPT_ROW,
    FindingKind.KEPT_CELL,
    FindingKind.SEQUENCE,
)
# Something that was loaded is gone, or nobody decided about what is there.
GONE, OPEN = FindingKind.MISSING_LEGACY, FindingKind.INVENTORY


def written(
    what: str, kind: FindingKind, where: str, key: str | None, file: str, *sql: str
) -> Corruption:
    """Somebody wrote to a legacy file."""
    return Corruption(what, kind, where, key, legacy=(file, *sql))


def unaccounted(what: str, name: str, file: str, *sql: str) -> Corruption:
    """Something in a file is gone or open: the finding names it, at the level of a table."""
    return Corruption(what, (GONE, OPEN), f"*{name}*", "*", legacy=(file, *sql), files=EVERY_FILE)


def file_gone(what: str, file: str, do: Callable[[Path], None]) -> Corruption:
    """A file that was loaded is gone."""

    def change(folder: Path) -> None:
        do(folder / FILES[file])

    return Corruption(what, (GONE, OPEN), f"*{file}*", "*", legacy=change, files=EVERY_FILE)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _without_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("DROP TABLE t")


def _another_file(path: Path) -> None:
    shutil.copyfile(path.with_name(FILES[RSS]), path)


def _only_in_the_log(folder: Path) -> None:
    """A change that is committed and stands in the write-ahead log only."""
    path = folder / FILES[ACCURACY]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE accuracy_scores SET question = 'in the log' WHERE id = 2")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", folder / f"left{suffix}")
    for suffix in ("", "-wal"):
        shutil.move(folder / f"left{suffix}", f"{path}{suffix}")


def _rewritten(file: str, index: str, *sql: str) -> Callable[[Path], None]:
    """Write while an index is not in the schema, so that it does not learn of it."""

    def change(folder: Path) -> None:
        path = folder / FILES[file]
        kept = _schema(path, f"SELECT * FROM sqlite_master WHERE name = '{index}'")
        table = kept[0][2]
        (declared,) = _schema(path, f"SELECT sql FROM sqlite_master WHERE name = '{table}'")[0]
        bare = declared.replace(" PRIMARY KEY", "") if kept[0][4] is None else declared
        _schema(path, f"DELETE FROM sqlite_master WHERE name = '{index}'")
        _schema(path, f"UPDATE sqlite_master SET sql = ? WHERE name = '{table}'", bare)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in sql:
                connection.execute(statement)
        _schema(path, f"UPDATE sqlite_master SET sql = ? WHERE name = '{table}'", declared)
        _schema(path, "INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", *kept[0])

    return change


def _schema(path: Path, statement: str, *values: object) -> list[tuple]:
    """Rows of a statement about the schema, which other connections then read again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        found = connection.execute(statement, values).fetchall()
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        connection.execute(f"PRAGMA schema_version = {version + 1}")
    return found


def unindexed(
    what: str, kind: FindingKind, where: str, key: str, file: str, index: str, *sql: str
) -> Corruption:
    """An index of the file disagrees with its table."""
    return Corruption(what, kind, where, key, legacy=_rewritten(file, index, *sql))


NEW_ITEM = (
    "INSERT INTO rss_fetch_items (id, cycle_id, title, source_url, fetch_timestamp, status, "
    "created_at) VALUES (40, 1, 't', 'u', '2025-01-10T10:40:00.000040', 'Filtered', "
    "'2025-01-10 09:40:00')"
)
# Else SQLite would read the keys through this index.
NO_OTHER = "DROP INDEX idx_tier_metrics_item_id"
NEW_TIER = "INSERT INTO tier_metrics (item_id, tier) VALUES ('unseen', 'L2')"

# fmt: off
WRITTEN = [
    written("the legacy changed a text", VALUE, f"{ITEMS}:source", "9", KNOWLEDGE, "UPDATE knowledge_items SET source = 'new' WHERE id = 9"),
    written("the legacy changed a double by a bit", VALUE, f"{ITEMS}:confidence_score", "20", KNOWLEDGE, "UPDATE knowledge_items SET confidence_score = 0.3 WHERE id = 20"),
    written("the legacy changed a document", VALUE, f"{ITEMS}:metadata", "24", KNOWLEDGE, "UPDATE knowledge_items SET metadata = '{\"a\": null}' WHERE id = 24"),
    written("a local time goes on behind U+0000", ASIDE, FETCHED, "2", RSS, "UPDATE rss_fetch_items SET fetch_timestamp = fetch_timestamp || char(0) WHERE id = 2"),
    written("a local time of another stamp goes on behind U+0000", ASIDE, FORGOT, "2", CONTINUUM, "UPDATE forgetting_metrics SET evaluation_timestamp = evaluation_timestamp || char(0) || 'x' WHERE id = 2"),
    written("the legacy changed what was set aside", ASIDE, f"{ITEMS}:source", "50", KNOWLEDGE, "UPDATE knowledge_items SET source = 'new' WHERE id = 50"),
    written("the legacy changed a mended row", ASIDE, f"{ITEMS}:source", "55", KNOWLEDGE, "UPDATE knowledge_items SET source = 'new' WHERE id = 55"),
    written("the legacy mended what was set aside", ASIDE, f"{ITEMS}*", "50", KNOWLEDGE, "UPDATE knowledge_items SET content = 'fine' WHERE id = 50"),
    written("the legacy spoiled a row", ASIDE, ITEMS, "9", KNOWLEDGE, "UPDATE knowledge_items SET content = x'00' WHERE id = 9"),
    written("the legacy changed a repaired cell", KEPT, f"{ITEMS}:metadata", "27", KNOWLEDGE, "UPDATE knowledge_items SET metadata = 'not JSON' WHERE id = 27"),
    written("the legacy spelled a repaired cell otherwise", KEPT, f"{ITEMS}:metadata", "26", KNOWLEDGE, "UPDATE knowledge_items SET metadata = '{\"a\":1,\"b\":2,\"a\":3}' WHERE id = 26"),
    written("the legacy mended a repaired cell", KEPT, f"{ITEMS}:metadata", "26", KNOWLEDGE, "UPDATE knowledge_items SET metadata = '{\"a\": 3, \"b\": 2}' WHERE id = 26"),
    written("the legacy stores a number as text", KEPT, f"{ITEMS}:access_count", "9", KNOWLEDGE, "UPDATE knowledge_items SET access_count = '9' WHERE id = 9"),
    written("the legacy stores an integer as a real", KEPT, f"{ITEMS}:access_count", "9", KNOWLEDGE, "UPDATE knowledge_items SET access_count = 9.0 WHERE id = 9"),
    written("the legacy changed an undeclared cell", VALUE, f"{ITEMS}:legacy_extra", "32", KNOWLEDGE, "UPDATE knowledge_items SET \"ghi ch\u00fa\" = NULL WHERE id = 32"),
    written("the legacy has one more undeclared column", VALUE, f"{SCORES}:legacy_extra", "3", ACCURACY, "ALTER TABLE accuracy_scores ADD COLUMN more", "UPDATE accuracy_scores SET more = 1 WHERE id = 3"),
    written("the legacy deleted a row", EXTRA, ITEMS, "9", KNOWLEDGE, "DELETE FROM knowledge_items WHERE id = 9"),
    written("the legacy deleted a row that was set aside", ASIDE, ITEMS, "50", KNOWLEDGE, "DELETE FROM knowledge_items WHERE id = 50"),
    written("the legacy deleted a mended row", EXTRA, ITEMS, "55", KNOWLEDGE, "DELETE FROM knowledge_items WHERE id = 55"),
    written("the legacy deleted a row of an edited key", EXTRA, ITEMS, "156", KNOWLEDGE, "DELETE FROM knowledge_items WHERE id = 56"),
    written("the legacy deleted a text key", EXTRA, TIERS, "alpha ", CONTINUUM, "DELETE FROM tier_metrics WHERE item_id = 'alpha '"),
    written("the legacy emptied a table", EXTRA, TRENDS, "1", ACCURACY, "DELETE FROM performance_trends"),
    written("the legacy has a new last row", MISSING, FETCHED, "40", RSS, NEW_ITEM),
    written("the legacy has a new text key", MISSING, TIERS, "unseen", CONTINUUM, NEW_TIER),
    written("the legacy has a new bad row", ASIDE, GOALS, "70", ACCURACY, "INSERT INTO learning_objectives (id, objective_name, target_accuracy) VALUES (70, x'00', 1.0)"),
    written("the legacy changed a key", MISSING, SCORES, "900", ACCURACY, "UPDATE accuracy_scores SET id = 900 WHERE id = 9"),
    written("the legacy swapped two keys", VALUE, f"{SCORES}:question", "3", ACCURACY, "UPDATE accuracy_scores SET id = -id WHERE id IN (3, 4)", "UPDATE accuracy_scores SET id = 7 + id WHERE id < 0"),
    written("the legacy changed a text key's case", MISSING, TIERS, "BETA", CONTINUUM, "UPDATE tier_metrics SET item_id = 'BETA' WHERE item_id = 'beta'"),
    written("the legacy removed a parent", ASIDE, LINKS, "3", KNOWLEDGE, "DELETE FROM knowledge_items WHERE id = 4"),
    written("the legacy gave a new id and took it back", SEQUENCE, f"{SCORES}:id", None, ACCURACY, "UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'accuracy_scores'"),
    written("the legacy's clock of a row is another", VALUE, f"{FORGOT}:measured_at", "2", CONTINUUM, "UPDATE forgetting_metrics SET created_at = datetime(created_at, '-1 hour') WHERE id = 2"),
    written("the legacy has numbers of another unit", KEPT, f"{GOALS}:achieved_at", "4", ACCURACY, "UPDATE learning_objectives SET achieved_at = achieved_at * 1000 WHERE id IN (4, 5)"),
    written("the legacy lost a column", VALUE, f"{FETCHED}:summary", "5", RSS, "ALTER TABLE rss_fetch_items DROP COLUMN summary"),
    written("the legacy renamed a column", VALUE, f"{FETCHED}:legacy_extra", "5", RSS, "ALTER TABLE rss_fetch_items RENAME COLUMN summary TO abstract"),
    written("the legacy lost a required column", ASIDE, ITEMS, "9", KNOWLEDGE, "ALTER TABLE knowledge_items DROP COLUMN source"),
    written("the legacy lost its key", ASIDE, TRENDS, "*", ACCURACY, "ALTER TABLE performance_trends RENAME TO was", "CREATE TABLE performance_trends AS SELECT metric_name, metric_value, measurement_date, context, created_at FROM was", "DROP TABLE was"),
    written("the legacy has a key twice", ASIDE, TRENDS, "3", ACCURACY, "ALTER TABLE performance_trends RENAME TO was", "CREATE TABLE performance_trends AS SELECT * FROM was", "INSERT INTO performance_trends SELECT * FROM was WHERE id = 3", "DROP TABLE was"),
    Corruption("the legacy changed a text, in the log only", VALUE, f"{SCORES}:question", "2", legacy=_only_in_the_log),
]

UNINDEXED = [
    unindexed("an index of the legacy misses a row", MISSING, FETCHED, "40", RSS, "idx_status", NEW_ITEM),
    unindexed("an index of the legacy has a stale row", EXTRA, FETCHED, "23", RSS, "idx_status", "DELETE FROM rss_fetch_items WHERE id = 23"),
    unindexed("the key's index of the legacy misses a row", MISSING, TIERS, "unseen", CONTINUUM, "sqlite_autoindex_tier_metrics_1", NO_OTHER, NEW_TIER),
    unindexed("the key's index of the legacy has a stale row", EXTRA, TIERS, "beta", CONTINUUM, "sqlite_autoindex_tier_metrics_1", NO_OTHER, "DELETE FROM tier_metrics WHERE item_id = 'beta'"),
    unindexed("the key's index of the legacy has another key", MISSING, TIERS, "other", CONTINUUM, "sqlite_autoindex_tier_metrics_1", NO_OTHER, "UPDATE tier_metrics SET item_id = 'other' WHERE item_id = 'beta'"),
    unindexed("an index of the legacy misses a change", VALUE, f"{FETCHED}:status", "24", RSS, "idx_status", "UPDATE rss_fetch_items SET status = 'Added to RAG' WHERE id = 24"),
]

UNACCOUNTED = [
    unaccounted("an undeclared table with rows", "user_ratings", ACCURACY, "CREATE TABLE user_ratings (id INTEGER PRIMARY KEY, stars)", "INSERT INTO user_ratings (stars) VALUES (5)"),
    unaccounted("an undeclared table without rowids", "tags", KNOWLEDGE, "CREATE TABLE tags (tag TEXT PRIMARY KEY) WITHOUT ROWID", "INSERT INTO tags VALUES ('a')"),
    unaccounted("an undeclared table that looks like one of SQLite's", "sqlitebrowser_rename", KNOWLEDGE, "CREATE TABLE sqlitebrowser_rename (a)", "INSERT INTO sqlitebrowser_rename VALUES (1)"),
    unaccounted("a copy of a declared table", "rss_fetch_items_backup", RSS, "CREATE TABLE rss_fetch_items_backup AS SELECT * FROM rss_fetch_items"),
    unaccounted("a virtual table with rows", "notes", KNOWLEDGE, "CREATE VIRTUAL TABLE notes USING fts5(body)", "INSERT INTO notes VALUES ('b')"),
    unaccounted("a table of another file", "tier_audit", RSS, "CREATE TABLE tier_audit (id INTEGER PRIMARY KEY, item_id)", "INSERT INTO tier_audit VALUES (1, 'x')"),
    unaccounted("a view in place of a table", "accuracy_scores", ACCURACY, "ALTER TABLE accuracy_scores RENAME TO accuracy_scores_v2", "CREATE VIEW accuracy_scores AS SELECT * FROM accuracy_scores_v2"),
    unaccounted("a view in place of an emptied table", "performance_trends", ACCURACY, "DROP TABLE performance_trends", "CREATE VIEW performance_trends AS SELECT 1 AS id WHERE 0"),
    unaccounted("a table renamed away", "learning_sessions", KNOWLEDGE, "ALTER TABLE learning_sessions RENAME TO sessions"),
    unaccounted("a table dropped", "learning_sessions", KNOWLEDGE, "DROP TABLE learning_sessions"),
    unaccounted("a table dropped of which all was set aside or loaded", "knowledge_relationships", KNOWLEDGE, "DROP TABLE knowledge_relationships"),
    unaccounted("every table of a file dropped", "tier_metrics", CONTINUUM, "DROP TABLE tier_metrics", "DROP TABLE tier_audit", "DROP TABLE forgetting_metrics"),
    file_gone("a file of 0 bytes", ACCURACY, _emptied),
    file_gone("a file deleted", CONTINUUM, Path.unlink),
    file_gone("a file without tables", RSS, _without_tables),
    file_gone("another file in its place", KNOWLEDGE, _another_file),
]
# fmt: on

CASES: list[Corruption] = [*WRITTEN, *UNINDEXED, *UNACCOUNTED]
