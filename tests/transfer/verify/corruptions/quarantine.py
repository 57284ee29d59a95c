"""Records of rows that were set aside: lost, changed, invented, twice, of nothing."""

from __future__ import annotations

from stillme.transfer.findings import FindingKind
from tests.transfer.verify.corruptions.case import (
    AUDIT,
    CYCLES,
    EVERY_FILE,
    FETCHED,
    GOALS,
    ITEMS,
    LEGACY_NAME,
    LINKS,
    TIERS,
    TRENDS,
    Corruption,
)
from tests.transfer.verify.corruptions.kept_cells import behind_nul
from tests.transfer.verify.corruptions.rows import copied

ASIDE, MISSING, VALUE = (
    FindingKind.QUARANTINE_KEPT_ROW,
    FindingKind.MISSING_ROW,
    FindingKind.VALUE,
)
FILE_OF = {ITEMS: "knowledge", LINKS: "knowledge", FETCHED: "rss", TIERS: "continuum",
           AUDIT: "continuum", GOALS: "accuracy", TRENDS: "accuracy", CYCLES: "rss"}  # fmt: skip


def _of(table: str, key: str) -> str:
    named = "key IS NULL" if key == "None" else f"key = '{key}'"
    return f"\"table\" = '{LEGACY_NAME[table]}' AND {named}"


def _found(
    what: str,
    kind: FindingKind | tuple[FindingKind, ...],
    where: str,
    table: str,
    key: str,
    *sql: str,
) -> Corruption:
    """A corruption that the judge of this table finds; a row without a key is found by any."""
    key = "*" if key == "None" else key
    return Corruption(what, kind, where, key, sql, tables=(LEGACY_NAME[table],))


def changed(what: str, table: str, key: str, assignment: str, column: str = "") -> Corruption:
    """A record is updated; the finding names its row, and `column` where one is given."""
    where = f"{table}:{column}" if column else f"{table}*"
    sql = f"UPDATE transfer.quarantined_row SET {assignment} WHERE {_of(table, key)}"
    return _found(what, ASIDE, where, table, key, sql)


def gone(what: str, table: str, key: str) -> Corruption:
    """A record is deleted."""
    sql = f"DELETE FROM transfer.quarantined_row WHERE {_of(table, key)}"
    return _found(what, ASIDE, table, table, key, sql)


def copy_of(table: str, key: str, other: str) -> str:
    """SQL: another record made of one; `other` is the JSON object of what differs."""
    return (
        "INSERT INTO transfer.quarantined_row SELECT (jsonb_populate_record(q, "
        f"'{{\"id\": -7}}'::jsonb || '{other}'::jsonb)).* FROM transfer.quarantined_row AS q "
        f"WHERE {_of(table, key)}"
    )


def twice(what: str, table: str, key: str, other: str = "{}") -> Corruption:
    """A second record of a row."""
    return _found(what, ASIDE, f"{table}*", table, key, copy_of(table, key, other))


def healthy(
    what: str, table: str, key: str, reason: str, *, status: str = "accepted", lost: bool = True,
    cells: str = "",
) -> Corruption:  # fmt: skip
    """A record of a row that may be loaded, made of its own cells; `lost`: the row is deleted.

    The cells are those of another record unless `cells` gives them.
    """
    of = "50" if table == ITEMS else "21"
    packed = cells or f"(SELECT cells FROM transfer.quarantined_row WHERE {_of(table, of)})"
    sql = (
        'INSERT INTO transfer.quarantined_row (file, "table", key, rowid, cells, reason, sentence, '
        'status, "column", repairs, note, decided_by) VALUES '
        f"('{FILE_OF[table]}', '{LEGACY_NAME[table]}', '{key}', {key}, {packed}, '{reason}', 's', "
        f"'{status}', '', '{{}}', 'n', 'w')"
    )
    delete = (f"DELETE FROM {table} WHERE id = {key}",) if lost else ()
    kinds = (ASIDE, FindingKind.EXTRA_ROW, MISSING)
    return _found(what, kinds, f"{table}*", table, key, sql, *delete)


def nowhere(what: str, pattern: str, table: str, key: str, other: str) -> Corruption:
    """A record of nothing that is there."""
    return Corruption(what, ASIDE, pattern, "*", (copy_of(table, key, other),), files=EVERY_FILE)


# The cells of FETCHED's row 2, as the loader would have packed them.
TRUE_CELLS = """(SELECT jsonb_build_object(
 'id', jsonb_build_array('integer', id), 'cycle_id', jsonb_build_array('integer', cycle_id),
 'title', jsonb_build_array('text', encode(convert_to(item_title, 'UTF8'), 'base64')),
 'source_url', jsonb_build_array('text', encode(convert_to(feed_url, 'UTF8'), 'base64')),
 'link', jsonb_build_array('text', encode(convert_to(item_link, 'UTF8'), 'base64')),
 'summary', jsonb_build_array('text', encode(convert_to(summary, 'UTF8'), 'base64')),
 'fetch_timestamp', jsonb_build_array('text', encode('2025-01-10T10:02:00.250002', 'base64')),
 'status', jsonb_build_array('text', encode(convert_to(status, 'UTF8'), 'base64')),
 'status_reason', jsonb_build_array('null', null),
 'vector_id', jsonb_build_array('text', encode(convert_to(vector_id, 'UTF8'), 'base64')),
 'added_to_rag_at', jsonb_build_array('null', null),
 'created_at', jsonb_build_array('text', encode('2025-01-10 09:02:00', 'base64')))
 FROM rss.fetch_items WHERE id = 2)"""

FETCHED_2_MENDED = healthy(
    "", FETCHED, "2", "refused_by_target", status="repaired", lost=False, cells=TRUE_CELLS
).plant[0]

# fmt: off
GONE = [
    gone("the record of bad UTF-8 is lost", ITEMS, "50"),
    gone("the record of a blob is lost", ITEMS, "51"),
    gone("the record of a word in a time is lost", ITEMS, "52"),
    gone("the record of a missing parent is lost", LINKS, "10"),
    gone("the record of a parent that was set aside is lost", LINKS, "11"),
    gone("the record of a NULL is lost", GOALS, "7"),
    gone("the record of a NULL text key is lost", TIERS, "None"),
    gone("the record of an orphan is lost", FETCHED, "25"),
    Corruption("the record of a mended row is lost", ASIDE, ITEMS, "55", (
        "DELETE FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' AND key = '55'",)),
    Corruption("the record of a row under an edited key is lost", ASIDE, ITEMS, "56", (
        "DELETE FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' AND key = '56'",)),
    Corruption("every record is lost", ASIDE, TRENDS, "6", ("DELETE FROM transfer.quarantined_row",)),
]

CELLS = [
    changed("a kept row with another text", ITEMS, "50", "cells = jsonb_set(cells, '{source}', '[\"text\", \"QUJD\"]')", "source"),
    changed("a kept row with a text one byte longer", ITEMS, "50", "cells = jsonb_set(cells, '{content}', '[\"text\", \"Yf9iIA==\"]')", "content"),
    changed("a kept row with a number off by one", ITEMS, "50", "cells = jsonb_set(cells, '{access_count,1}', '51')", "access_count"),
    changed("a kept row with a real off by a bit", ITEMS, "51", "cells = jsonb_set(cells, '{confidence_score,1}', '\"0x1.d249249249248p+2\"')", "confidence_score"),
    changed("a kept row with a real in decimals", ITEMS, "51", "cells = jsonb_set(cells, '{confidence_score}', '[\"real\", 7.285714285714286]')", "confidence_score"),
    changed("a kept row with a number as text", ITEMS, "52", "cells = jsonb_set(cells, '{access_count}', '[\"text\", \"NTI=\"]')", "access_count"),
    changed("a kept row with a blob as text", ITEMS, "51", "cells = jsonb_set(cells, '{content,0}', '\"text\"')", "content"),
    changed("a kept row with a NULL for a text", ITEMS, "53", "cells = jsonb_set(cells, '{source}', '[\"null\", null]')", "source"),
    changed("a kept row with a text for a NULL", TIERS, "None", "cells = jsonb_set(cells, '{item_id}', '[\"text\", \"\"]')", "item_id"),
    changed("a kept row without a cell", ITEMS, "50", "cells = cells - 'metadata'", "metadata"),
    changed("a kept row without its undeclared cell", ITEMS, "50", "cells = cells - 'ghi ch\u00fa'", "ghi ch\u00fa"),
    changed("a kept row with a cell too many", ITEMS, "50", "cells = cells || '{\"more\": [\"integer\", 1]}'"),
    changed("a kept row with a cell twice in other case", ITEMS, "50", "cells = cells || jsonb_build_object('SOURCE', cells -> 'source')"),
    changed("a kept row whose cell is null", ITEMS, "50", "cells = jsonb_set(cells, '{source}', 'null')", "source"),
    changed("a kept row whose cell is bare text", ITEMS, "50", "cells = jsonb_set(cells, '{source}', '\"source 50\"')", "source"),
    changed("a kept row whose cell has three parts", ITEMS, "50", "cells = jsonb_set(cells, '{access_count}', '[\"integer\", 50, 0]')", "access_count"),
    changed("a kept row whose cell is no base64", ITEMS, "50", "cells = jsonb_set(cells, '{source,1}', '\"?\"')", "source"),
    changed("a kept row of no cells", ITEMS, "50", "cells = '{}'", "source"),
    changed("a kept row that is an array", ITEMS, "50", "cells = '[]'", "source"),
    changed("a kept row that is null", ITEMS, "50", "cells = 'null'", "source"),
    changed("a kept row that is a number", ITEMS, "50", "cells = '50'", "source"),
    changed("a kept row with the cells of another", ITEMS, "50", "cells = (SELECT cells FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' AND key = '51')", "content"),
    changed("a kept orphan with another parent", FETCHED, "25", "cells = jsonb_set(cells, '{cycle_id,1}', '78')", "cycle_id"),
    changed("a mended row's original changed", ITEMS, "55", "cells = jsonb_set(cells, '{content}', '[\"text\", \"Y2M=\"]')", "content"),
    changed("the original of a row under an edited key changed", ITEMS, "56", "cells = jsonb_set(cells, '{access_count,1}', '9999999998')", "access_count"),
]

NAMED = [
    changed("a mended record of another reason", ITEMS, "55", "reason = 'blob'"),
    changed("an edited record, never tried, of another reason", ITEMS, "50", "reason = 'blob', repairs = '{\"content\": [\"text\", \"YQ==\"]}'"),
    changed("an edit that is no cell", ITEMS, "50", "repairs = '{\"content\": 5}'", "content"),
    changed("an edit of a column that is not there", ITEMS, "50", "repairs = '{\"more\": [\"integer\", 1]}'", "more"),
    changed("edits that are a list", ITEMS, "50", "repairs = '[1]'"),
    changed("edits that are null", ITEMS, "50", "repairs = 'null'"),
    changed("a record under an edited key, of no cells", ITEMS, "56", "cells = '[]'", "content"),
    changed("a record of another reason", ITEMS, "50", "reason = 'blob'"),
    changed("a record of a reason that is none", ITEMS, "50", "reason = 'because'"),
    changed("a record of no reason", ITEMS, "50", "reason = ''"),
    changed("a record that says the target refused the row", ITEMS, "50", "reason = 'refused_by_target'"),
    *(behind_nul(name, ASIDE, "quarantined_row", ITEMS, "50", name) for name in ("reason", "column", "status")),
    changed("a record of another column", ITEMS, "50", "\"column\" = 'source'", "content"),
    changed("an orphan's record of another column", LINKS, "10", "\"column\" = 'strength'", "source_id"),
    changed("a record of no column", ITEMS, "52", "\"column\" = ''", "created_at"),
    changed("a record under another key", ITEMS, "50", "key = '999'"),
    changed("a record under the key of a healthy row", ITEMS, "50", "key = '9'"),
    changed("a record under its key with a zero in front", ITEMS, "50", "key = '050'"),
    changed("a record without a key", ITEMS, "50", "key = NULL"),
    changed("a record without key and rowid", ITEMS, "50", "key = NULL, rowid = NULL"),
    changed("a NULL key's record under a key", TIERS, "None", "key = ''"),
    changed("a NULL key's record under the word None", TIERS, "None", "key = 'None'"),
    changed("a NULL key's record of another rowid", TIERS, "None", "rowid = 1"),
    changed("a record of another table", ITEMS, "50", "\"table\" = 'learning_sessions'"),
    changed("a record of a table in upper case", ITEMS, "50", "\"table\" = 'KNOWLEDGE_ITEMS'"),
    changed("a record of the target's table", FETCHED, "25", "\"table\" = 'fetch_items'"),
    changed("a record of another file", ITEMS, "50", "file = 'rss'"),
    changed("a record of an unknown file", ITEMS, "50", "file = 'elsewhere'"),
    changed("a record of no file", ITEMS, "50", "file = ''"),
    changed("a record that says repaired", ITEMS, "50", "status = 'repaired'"),
    changed("a record of an unknown status", ITEMS, "50", "status = 'done'"),
    changed("a record of no status", ITEMS, "50", "status = ''"),
    changed("a record of a status in upper case", ITEMS, "50", "status = 'ACCEPTED'"),
    Corruption("two records swapped their keys", ASIDE, f"{ITEMS}*", "51", (
        "UPDATE transfer.quarantined_row SET key = (101 - key::int)::text, rowid = 101 - rowid WHERE \"table\" = 'knowledge_items' AND key IN ('50', '51')",)),
]

MENDED = [
    Corruption("an edit that is not what was loaded", VALUE, f"{ITEMS}:content", "55", (
        "UPDATE transfer.quarantined_row SET repairs = '{\"content\": [\"text\", \"b3RoZXI=\"]}' WHERE \"table\" = 'knowledge_items' AND key = '55'",)),
    Corruption("an edit that is lost", (ASIDE, VALUE), f"{ITEMS}*", "55", (
        "UPDATE transfer.quarantined_row SET repairs = '{}' WHERE \"table\" = 'knowledge_items' AND key = '55'",)),
    Corruption("an edit of another key", MISSING, ITEMS, "157", (
        "UPDATE transfer.quarantined_row SET repairs = jsonb_set(repairs, '{id,1}', '157') WHERE \"table\" = 'knowledge_items' AND key = '56'",)),
    Corruption("an edit of an unknown column", (ASIDE, VALUE), f"{ITEMS}*", "55", (
        "UPDATE transfer.quarantined_row SET repairs = repairs || '{\"more\": [\"integer\", 1]}' WHERE \"table\" = 'knowledge_items' AND key = '55'",)),
    Corruption("edits that are an array", (ASIDE, VALUE), f"{ITEMS}*", "55", (
        "UPDATE transfer.quarantined_row SET repairs = '[1]' WHERE \"table\" = 'knowledge_items' AND key = '55'",)),
    Corruption("a mended row that says accepted", FindingKind.EXTRA_ROW, ITEMS, "55", (
        "UPDATE transfer.quarantined_row SET status = 'accepted' WHERE \"table\" = 'knowledge_items' AND key = '55'",)),
    Corruption("a row under an edited key that says accepted", FindingKind.EXTRA_ROW, ITEMS, "156", (
        "UPDATE transfer.quarantined_row SET status = 'accepted' WHERE \"table\" = 'knowledge_items' AND key = '56'",)),
    Corruption("an edit that takes a healthy row's key", (ASIDE, VALUE, FindingKind.EXTRA_ROW), f"{ITEMS}*", "9", (
        "UPDATE transfer.quarantined_row SET repairs = jsonb_set(repairs, '{id,1}', '9') WHERE \"table\" = 'knowledge_items' AND key = '56'",)),
]

TWICE = [
    twice("a record twice", ITEMS, "50"),
    twice("a record twice, once open", ITEMS, "50", '{"status": "open"}'),
    twice("a record twice, once mended", ITEMS, "50", '{"status": "repaired"}'),
    twice("a record twice, of another rowid", ITEMS, "50", '{"rowid": 9}'),
    twice("a record twice, of another reason", ITEMS, "50", '{"reason": "blob"}'),
    Corruption("a record twice, without a key", ASIDE, f"{ITEMS}*", None, (copy_of(ITEMS, "50", '{"key": null}'),)),
    twice("a record twice, of other cells", ITEMS, "50", '{"cells": {}}'),
    twice("a mended record twice", ITEMS, "55"),
    twice("an orphan's record twice", FETCHED, "25"),
]

HEALTHY = [
    healthy("a healthy row is gone, accepted as refused", ITEMS, "9", "refused_by_target"),
    healthy("a healthy row is gone, accepted as bad UTF-8", ITEMS, "9", "invalid_utf8"),
    healthy("a healthy row is gone, accepted for no reason", ITEMS, "9", ""),
    healthy("a healthy row is gone, accepted as an orphan", FETCHED, "2", "missing_parent", cells=TRUE_CELLS),
    healthy("a healthy row is gone, accepted as refused, with its true cells", FETCHED, "2", "refused_by_target", cells=TRUE_CELLS),
    healthy("a healthy row is gone, said to be mended", FETCHED, "2", "refused_by_target", status="repaired", cells=TRUE_CELLS),
    healthy("a healthy row is gone, of an unknown status", FETCHED, "2", "refused_by_target", status="gone", cells=TRUE_CELLS),
    healthy("a healthy row is there and has a record", FETCHED, "2", "refused_by_target", lost=False, cells=TRUE_CELLS),
    healthy("a healthy row is there, of an unknown status", FETCHED, "2", "refused_by_target", status="gone", lost=False, cells=TRUE_CELLS),
]

# A row that nobody's legacy holds, and a record that seems to explain it.
EXCUSED = [
    Corruption("a row added, as the edit of a record of no row", FindingKind.EXTRA_ROW, ITEMS, "777", (
        copied(ITEMS, 60, 777), copy_of(ITEMS, "56", '{"key": "888", "rowid": 888, "repairs": {"id": ["integer", 777]}}'))),
    Corruption("a row added, as a second edit of a mended row", (FindingKind.EXTRA_ROW, ASIDE), f"{ITEMS}*", "*", (
        copied(ITEMS, 60, 777), copy_of(ITEMS, "56", '{"repairs": {"id": ["integer", 777]}}'))),
    Corruption("a row added, as the edit of an accepted record", FindingKind.EXTRA_ROW, ITEMS, "777", (
        copied(ITEMS, 60, 777), f"UPDATE transfer.quarantined_row SET repairs = '{{\"id\": [\"integer\", 777]}}' WHERE {_of(ITEMS, '50')}")),
    Corruption("a row added, as the edit of a record of another table", FindingKind.EXTRA_ROW, ITEMS, "777", (
        copied(ITEMS, 60, 777), f"UPDATE transfer.quarantined_row SET repairs = '{{\"id\": [\"integer\", 777]}}', status = 'repaired' WHERE {_of(LINKS, '10')}")),
    Corruption("a copied row under a key that an edit could mean", FindingKind.EXTRA_ROW, ITEMS, "777", (
        copied(ITEMS, 156, 777), f"UPDATE transfer.quarantined_row SET repairs = jsonb_set(repairs, '{{id,1}}', '777') WHERE {_of(ITEMS, '51')}")),
]

NOWHERE = [
    nowhere("a record of an unknown table", "*no_such_table*", ITEMS, "50", '{"table": "no_such_table"}'),
    nowhere("a mended record of an unknown table", "*no_such_table*", ITEMS, "50", '{"table": "no_such_table", "status": "repaired"}'),
    nowhere("a copy of a record in an unknown file", "*elsewhere*", ITEMS, "50", '{"file": "elsewhere"}'),
    nowhere("a copy of a record in another file", "*knowledge_items*", ITEMS, "50", '{"file": "rss"}'),
    nowhere("a record of no row", f"{ITEMS}*", ITEMS, "50", '{"key": "777", "rowid": 777}'),
    nowhere("a record of no row, without a key", f"{ITEMS}*", ITEMS, "50", '{"key": null, "rowid": null}'),
    nowhere("a record of a text key that is not there", f"{TIERS}*", TIERS, "None", '{"key": "ALPHA", "rowid": 500}'),
    nowhere("a record of a second NULL text key", f"{TIERS}*", TIERS, "None", '{"rowid": 500}'),
    nowhere("a record of a key that is no number", f"{ITEMS}*", ITEMS, "50", '{"key": "abc", "rowid": 777}'),
]
# fmt: on

CASES: list[Corruption] = [*GONE, *CELLS, *NAMED, *MENDED, *TWICE, *HEALTHY, *EXCUSED, *NOWHERE]
