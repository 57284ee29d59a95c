"""The originals that were kept of repaired cells, and the other records of the engine."""

from __future__ import annotations

from stillme.transfer.findings import FindingKind
from stillme.transfer.models import KeptCell
from tests.transfer.verify.corruptions.case import (
    AUDIT,
    CYCLES,
    EVERY_FILE,
    FETCHED,
    FORGOT,
    GOALS,
    ITEMS,
    KNOWLEDGE,
    LEGACY_NAME,
    SCORES,
    SESSIONS,
    TIERS,
    TRENDS,
    Corruption,
)
from tests.transfer.verify.corruptions.texts_and_numbers import ANY_BYTES

KEPT = FindingKind.KEPT_CELL


def kept(what: str, table: str, key: str, column: str, sql: str) -> Corruption:
    """The record of a cell changes; `{}` stands for the condition that names it."""
    names = f"\"table\" = '{LEGACY_NAME[table]}' AND key = '{key}' AND \"column\" = '{column}'"
    tables = (LEGACY_NAME[table],)
    return Corruption(what, KEPT, f"{table}:{column}", key, (sql.format(names),), tables=tables)


def changed(what: str, table: str, key: str, column: str, assignment: str) -> Corruption:
    """A record of a kept cell is updated."""
    return kept(what, table, key, column, f"UPDATE transfer.kept_cell SET {assignment} WHERE {{}}")


def behind_nul(
    what: str, kind: FindingKind, records: str, table: str, key: str, column: str
) -> Corruption:
    """A text of a record goes on behind U+0000, as on a damaged page; printed it is the same."""
    named = f"\"table\" = '{LEGACY_NAME[table]}' AND key = '{key}'"
    longer = f"(convert_to(\"{column}\", 'UTF8') || '\\x0078'::bytea)::text"
    sql = f'UPDATE transfer.{records} SET "{column}" = {longer} WHERE {named}'
    tables = (LEGACY_NAME[table],)
    what = f"a {records} whose {what} goes on behind U+0000"
    return Corruption(what, kind, f"{table}*", key, (ANY_BYTES, sql), tables=tables)


def gone(what: str, table: str, key: str, column: str) -> Corruption:
    """A record of a kept cell is deleted."""
    return kept(what, table, key, column, "DELETE FROM transfer.kept_cell WHERE {}")


def invented(what: str, table: str, key: str, column: str, reason: str) -> Corruption:
    """A cell that needs no original has one."""
    name = LEGACY_NAME[table]
    sql = record(name, key, column, reason)
    return Corruption(what, KEPT, f"{table}:{column}", key, (sql,), tables=(name,))


def record(table: str, key: str, column: str, reason: str) -> str:
    """SQL: a record of a kept cell that nobody wrote."""
    file = ", file" if HAS_FILE else ""
    return (
        f'INSERT INTO transfer.kept_cell ("table", key, "column", storage, value, reason{file}) '
        f"VALUES ('{table}', '{key}', '{column}', 'text', 'x', '{reason}'"
        + (f", {_file(table)})" if HAS_FILE else ")")
    )


# Since records name their file.
HAS_FILE = "file" in {field.name for field in KeptCell._meta.fields}


def _file(table: str) -> str:
    return (
        f"coalesce((SELECT min(file) FROM transfer.chunk WHERE \"table\" = '{table}'), 'knowledge')"
    )


# fmt: off
GONE = [
    gone("the original of two equal keys is lost", ITEMS, "26", "metadata"),
    gone("the original of what is no JSON is lost", ITEMS, "27", "metadata"),
    gone("the original of NaN is lost", ITEMS, "28", "metadata"),
    gone("the original of an escaped NUL is lost", ITEMS, "40", "metadata"),
    gone("the original of a time of another shape is lost", ITEMS, "29", "created_at"),
    gone("the original of numeric text is lost", ITEMS, "30", "access_count"),
    gone("the original of a real in an integer is lost", ITEMS, "31", "access_count"),
    gone("the original of a number in text is lost", SESSIONS, "8", "content_learned"),
    gone("the original of an integer in a real is lost", SCORES, "7", "accuracy_score"),
    gone("the original of epoch seconds is lost", GOALS, "5", "achieved_at"),
    gone("the original of a date with a time is lost", TRENDS, "5", "measurement_date"),
    gone("the original of a summer's time is lost", FETCHED, "20", "fetch_timestamp"),
    gone("the original of a summer's time without a twin is lost", AUDIT, "9", "created_at"),
    Corruption("every original is lost", KEPT, f"{CYCLES}:started_at", "7", ("DELETE FROM transfer.kept_cell",)),
]

CHANGED = [
    *(behind_nul(name, KEPT, "kept_cell", ITEMS, "30", name) for name in ("reason", "storage", "column")),
    changed("an original with another byte", ITEMS, "27", "metadata", "value = 'not JSON'"),
    changed("an original with a blank more", ITEMS, "27", "metadata", "value = value || ' '::bytea"),
    changed("an original that is empty", ITEMS, "27", "metadata", "value = ''"),
    changed("an original that is NULL", ITEMS, "27", "metadata", "value = NULL"),
    changed("an original in other bytes of the same text", ITEMS, "26", "metadata", "value = convert_to(replace(convert_from(value, 'UTF8'), ' ', ''), 'UTF8')"),
    changed("an original number with a zero in front", SCORES, "7", "accuracy_score", "value = '01'"),
    changed("an original real in decimals", ITEMS, "31", "access_count", "value = '3.0'"),
    changed("an original real off by a bit", SESSIONS, "9", "content_learned", "value = '0x1.999999999999bp-4'"),
    changed("an original text of another storage class", ITEMS, "30", "access_count", "storage = 'blob'"),
    changed("an original integer as text", SCORES, "7", "accuracy_score", "storage = 'text'"),
    changed("an original real as an integer", GOALS, "5", "achieved_at", "storage = 'integer'"),
    changed("an original of a storage class that is none", ITEMS, "30", "access_count", "storage = 'TEXT'"),
    changed("an original of another reason", ITEMS, "26", "metadata", "reason = 'not_json'"),
    changed("an original of a reason that is none", ITEMS, "26", "metadata", "reason = 'because'"),
    changed("an original of no reason", ITEMS, "26", "metadata", "reason = ''"),
    changed("a summer's original of another reason", FETCHED, "20", "fetch_timestamp", "reason = 'clock_gap'"),
    changed("an original under another key", ITEMS, "26", "metadata", "key = '9'"),
    changed("an original under the same key spelled otherwise", ITEMS, "26", "metadata", "key = '026'"),
    changed("an original under a key with a blank", ITEMS, "26", "metadata", "key = '26 '"),
    changed("an original of another column", ITEMS, "26", "metadata", "\"column\" = 'content'"),
    changed("an original of the target's column", FORGOT, "10", "evaluation_timestamp", "\"column\" = 'measured_at'"),
    changed("an original of a column in upper case", ITEMS, "26", "metadata", "\"column\" = 'METADATA'"),
    changed("an original of another table", ITEMS, "26", "metadata", "\"table\" = 'learning_sessions'"),
    changed("an original of a table in upper case", ITEMS, "26", "metadata", "\"table\" = 'Knowledge_Items'"),
    Corruption("two originals swapped", KEPT, f"{ITEMS}:metadata", "27", (
        "UPDATE transfer.kept_cell SET value = (SELECT value FROM transfer.kept_cell WHERE \"table\" = 'knowledge_items' AND key = '28') "
        "WHERE \"table\" = 'knowledge_items' AND key = '27'",)),
    Corruption("an original of no row, under the number of another", KEPT, f"{ITEMS}:metadata", "777", (
        "ALTER TABLE transfer.kept_cell DROP CONSTRAINT kept_cell_pkey",
        "INSERT INTO transfer.kept_cell SELECT (jsonb_populate_record(k, '{\"key\": \"777\"}')).* FROM transfer.kept_cell AS k WHERE \"table\" = 'knowledge_items' AND key = '26'")),
    Corruption("an original of which there are two", KEPT, f"{ITEMS}:metadata", "26", (
        "DROP INDEX transfer.kept_cell_once",
        "INSERT INTO transfer.kept_cell SELECT (jsonb_populate_record(k, '{\"id\": -1}')).* FROM transfer.kept_cell AS k WHERE \"table\" = 'knowledge_items' AND key = '26'")),
    Corruption("a second original that differs", KEPT, f"{ITEMS}:metadata", "26", (
        "DROP INDEX transfer.kept_cell_once",
        "INSERT INTO transfer.kept_cell SELECT (jsonb_populate_record(k, '{\"id\": -1, \"reason\": \"x\"}')).* FROM transfer.kept_cell AS k WHERE \"table\" = 'knowledge_items' AND key = '26'")),
]

INVENTED = [
    invented("an original of a plain cell", ITEMS, "9", "source", "number_in_text"),
    invented("an original of a plain cell with the very value", ITEMS, "9", "content", "not_json"),
    invented("an original of another cell of a repaired row", ITEMS, "26", "content", "number_in_text"),
    invented("an original of a winter's time", FETCHED, "2", "fetch_timestamp", "clock_offset"),
    invented("an original of a text key's row", TIERS, "Alpha", "tier", "number_in_text"),
    invented("an original of a mended row", ITEMS, "55", "content", "invalid_utf8"),
    Corruption("an original of a row under an edited key", KEPT, f"{ITEMS}*", "156", (record("knowledge_items", "156", "access_count", "numeric_text"),)),
    Corruption("an original of an unknown column", KEPT, f"{ITEMS}*", "9", (record("knowledge_items", "9", "no_such_column", "blob"),)),
    Corruption("an original of no column", KEPT, f"{ITEMS}*", "9", (record("knowledge_items", "9", "", "blob"),)),
    Corruption("an original of no row", KEPT, f"{ITEMS}*", "-17", (record("knowledge_items", "-17", "source", "blob"),)),
    Corruption("an original of a row that was set aside", KEPT, f"{ITEMS}*", "50", (record("knowledge_items", "50", "content", "invalid_utf8"),)),
    Corruption("an original of the former key of a row", KEPT, f"{ITEMS}*", "56", (record("knowledge_items", "56", "access_count", "numeric_text"),)),
    Corruption("an original of a key that is no number", KEPT, f"{ITEMS}*", "abc", (record("knowledge_items", "abc", "source", "blob"),)),
    Corruption("an original of an empty key", KEPT, f"{ITEMS}*", "", (record("knowledge_items", "", "source", "blob"),)),
    Corruption("an original of a text key that is not there", KEPT, f"{TIERS}*", "ALPHA", (record("tier_metrics", "ALPHA", "tier", "blob"),)),
    Corruption("an original of an unknown table", KEPT, "*no_such_table*", "*", (record("no_such_table", "1", "a", "blob"),), files=EVERY_FILE),
    Corruption("an original of a table of the target", KEPT, "*fetch_items*", "*", (record("fetch_items", "1", "summary", "blob"),), files=EVERY_FILE),
]

RECORDS = [
    Corruption("the recorded clock of a file is another", KEPT, "rss.fetch_items:fetch_timestamp", "1", (
        "UPDATE transfer.run_file SET clock = jsonb_set(clock, '{usual_minutes}', '120') WHERE file = 'rss'",)),
    Corruption("an index that was taken down", FindingKind.INDEX, ITEMS, None, (
        "INSERT INTO transfer.dropped_object (relation, name, is_constraint, definition) VALUES "
        "('\"knowledge\".\"knowledge_items\"', 'some_index', false, 'CREATE')",), files=(KNOWLEDGE,)),
]
# fmt: on

CASES: list[Corruption] = [*GONE, *CHANGED, *INVENTED, *RECORDS]
