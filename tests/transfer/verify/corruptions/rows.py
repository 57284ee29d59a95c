"""Rows that are missing, too many, doubled, moved, or hidden behind an index of PostgreSQL."""

from __future__ import annotations

from stillme.transfer.findings import FindingKind
from tests.transfer.verify.corruptions.case import (
    AUDIT,
    CYCLES,
    FETCHED,
    FORGOT,
    GOALS,
    ITEMS,
    LEGACY_NAME,
    LINKS,
    RSS,
    SCORES,
    TIERS,
    TRENDS,
    Corruption,
    key_of,
    row_of,
)

MISSING, EXTRA, VALUE = FindingKind.MISSING_ROW, FindingKind.EXTRA_ROW, FindingKind.VALUE


def of_table(what: str, kind: FindingKind, table: str, key: int | str, *sql: str) -> Corruption:
    """A corruption that the judge of this table finds."""
    return Corruption(what, kind, table, str(key), sql, tables=(LEGACY_NAME[table],))


def lost(what: str, table: str, key: int | str, *before: str) -> Corruption:
    """A row of the target is deleted."""
    sql = f"DELETE FROM {table} WHERE {row_of(table, key)}"
    return of_table(what, MISSING, table, key, *before, sql)


def copied(table: str, of: int | str, key: int | str) -> str:
    """SQL: a copy of a row under another key."""
    new = str(key).replace("'", "''")
    patch = f"jsonb_build_object('{key_of(table)}', '{new}')"
    return (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, {patch})).* FROM {table} AS t "
        f"WHERE {row_of(table, of)}"
    )


def added(what: str, table: str, of: int | str, key: int | str, *before: str) -> Corruption:
    """A copy of a row stands under another key."""
    return of_table(what, EXTRA, table, key, *before, copied(table, of, key))


def moved(what: str, kind: FindingKind, table: str, key: int | str, *sql: str) -> Corruption:
    """Rows are changed by statements of their own."""
    return of_table(what, kind, table, key, *sql)


def no_key(table: str) -> str:
    """SQL: take down the primary key, what refers to it too."""
    return f"ALTER TABLE {table} DROP CONSTRAINT {table.split('.')[1]}_pkey CASCADE"


def again(table: str, condition: str) -> str:
    """SQL: these rows a second time."""
    return f"INSERT INTO {table} SELECT * FROM {table} WHERE {condition}"


def twice(what: str, table: str, key: int | str, *sql: str) -> Corruption:
    """A row of a key stands there twice."""
    return of_table(what, EXTRA, table, key, *sql)


def blind(table: str, *, live: bool = True) -> tuple[str, ...]:
    """SQL: the primary key's index sees no writes; not `live`: PostgreSQL does not know it."""
    flags = "indisready = false" + ("" if live else ", indislive = false")
    return (f"UPDATE pg_index SET {flags} WHERE {_primary(table)}",)


def sees(table: str) -> tuple[str, ...]:
    """SQL: the index is believed again, and preferred."""
    return (
        f"UPDATE pg_index SET indisready = true, indislive = true WHERE {_primary(table)}",
        "SET LOCAL enable_seqscan = off",
        "SET LOCAL enable_bitmapscan = off",
    )


def _primary(table: str) -> str:
    return f"indrelid = '{table}'::regclass AND indisprimary"


def unseen(what: str, kind: FindingKind, table: str, key: int | str, *sql: str) -> Corruption:
    """Something happens to the rows that the primary key's index was not told of."""
    return of_table(what, kind, table, key, *blind(table), *sql, *sees(table))


# fmt: off
LOST = [
    lost("the first row is missing", ITEMS, 1, f"DELETE FROM {LINKS} WHERE source_id = 1"),
    lost("the last row is missing", ITEMS, 60),
    lost("a row in the middle is missing", ITEMS, 20),
    lost("the last row of the first block is missing", FETCHED, 7),
    lost("the first row of the second block is missing", FETCHED, 8),
    lost("the last row of the first part is missing", FETCHED, 20),
    lost("the first row of the second part is missing", FETCHED, 22),
    lost("the only row of a kept cell is missing", ITEMS, 26),
    lost("a mended row is missing", ITEMS, 55),
    lost("a row under an edited key is missing", ITEMS, 156),
    lost("the first text key is missing", TIERS, ""),
    lost("the last text key is missing", TIERS, "zeta"),
    lost("one of two text keys that differ in case is missing", TIERS, "Alpha"),
    lost("one of two text keys that differ in a blank is missing", TIERS, "alpha "),
    lost("the composed one of two equal words is missing", TIERS, "caf\u00e9"),
    lost("the decomposed one of two equal words is missing", TIERS, "cafe\u0301"),
    lost("a number as a text key is missing", TIERS, "007"),
    lost("the row with both clocks is missing", FORGOT, 10),
    moved("every row of a block is missing", MISSING, FETCHED, 10, f"DELETE FROM {FETCHED} WHERE id BETWEEN 8 AND 14"),
    moved("every second row is missing", MISSING, AUDIT, 6, f"DELETE FROM {AUDIT} WHERE id % 2 = 0"),
    moved("every row of a table is missing", MISSING, TRENDS, 8, f"DELETE FROM {TRENDS}"),
    moved("a table is truncated", MISSING, GOALS, 1, f"TRUNCATE {GOALS}"),
    Corruption("every row of a file is missing", MISSING, CYCLES, "8",
               (f"TRUNCATE {FETCHED}, {CYCLES}",), files=(RSS,)),
]

ADDED = [
    added("a row before the first", ITEMS, 1, -1),
    added("a row of the least key", ITEMS, 1, -(2**63)),
    added("a row in a gap", ITEMS, 12, 13),
    added("a row after the last", ITEMS, 60, 61),
    added("a row below the legacy's mark", ITEMS, 60, 199),
    added("a row far away", ITEMS, 60, 4_000_000_000_000),
    added("a row of the largest key", ITEMS, 60, 2**63 - 1),
    added("a row between two parts", FETCHED, 20, 21),
    added("a row of an accepted orphan", FETCHED, 24, 25),
    added("a row of an accepted reference", LINKS, 1, 11),
    added("a row of a record under an edited key", ITEMS, 60, 56),
    added("a text key of blanks", TIERS, " ", "  "),
    added("a text key in upper case", TIERS, "beta", "BETA"),
    added("a text key with a blank in front", TIERS, "beta", " beta"),
    added("a text key with a blank behind", TIERS, "zeta", "zeta "),
    added("a text key with a zero-width space", TIERS, "beta", "beta\u200b"),
    added("a number as another text key", TIERS, "7", "07"),
    added("a text key after the last", TIERS, "zeta", "\u0111\u1eb9p"),
    added("a text key in place of NULL", TIERS, "zeta", "None"),
    added("a row in a table of dates", TRENDS, 1, 9),
]

TWICE = [
    twice("the first row twice, no primary key", SCORES, 1, no_key(SCORES), again(SCORES, "id = 1")),
    twice("a row in the middle twice, no primary key", SCORES, 5, no_key(SCORES), again(SCORES, "id = 5")),
    twice("the last row twice, no primary key", SCORES, 13, no_key(SCORES), again(SCORES, "id = 13")),
    twice("a row with a kept cell twice, no primary key", SCORES, 7, no_key(SCORES), again(SCORES, "id = 7")),
    twice("a row three times, no primary key", AUDIT, 2, no_key(AUDIT), again(AUDIT, "id = 2"), again(AUDIT, "id = 2 AND ctid = (SELECT min(ctid) FROM continuum.tier_audit WHERE id = 2)")),
    twice("a text key twice, no primary key", TIERS, "beta", no_key(TIERS), again(TIERS, "item_id = 'beta'")),
    twice("a mended row twice, no primary key", ITEMS, 55, no_key(ITEMS), again(ITEMS, "id = 55")),
    twice("a row under an edited key twice, no primary key", ITEMS, 156, no_key(ITEMS), again(ITEMS, "id = 156")),
    twice("the whole table twice, no primary key", TRENDS, 4, no_key(TRENDS), again(TRENDS, "true")),
    twice("the whole table of text keys twice", TIERS, "zeta", no_key(TIERS), again(TIERS, "true")),
    twice("a second row of a key with other cells", SCORES, 5, no_key(SCORES), again(SCORES, "id = 5"),
          f"UPDATE {SCORES} SET question = 'other' WHERE ctid = (SELECT max(ctid) FROM {SCORES} WHERE id = 5)"),
    twice("a row twice past a blind primary key", FETCHED, 24, *blind(FETCHED), again(FETCHED, "id = 24"), *sees(FETCHED)),
    twice("a row twice past a blind primary key, within a block", FETCHED, 10, *blind(FETCHED), again(FETCHED, "id = 10"), *sees(FETCHED)),
    twice("the whole table twice past a blind primary key", TRENDS, 8, *blind(TRENDS), again(TRENDS, "true"), *sees(TRENDS)),
    twice("a row of a table that inherits", ITEMS, 9,
          f"CREATE TABLE public.more_items () INHERITS ({ITEMS})",
          f"INSERT INTO public.more_items SELECT * FROM {ITEMS} WHERE id = 9"),
    Corruption("a new row of a table that inherits", EXTRA, ITEMS, "700", (
        f"CREATE TABLE public.more_items () INHERITS ({ITEMS})",
        "INSERT INTO public.more_items (id, content, source, knowledge_type) VALUES (700, 'c', 's', 'k')")),
    Corruption("a row of NULL key, no primary key", (EXTRA, FindingKind.COUNT), SCORES, "*", (
        no_key(SCORES), f"ALTER TABLE {SCORES} ALTER COLUMN id DROP IDENTITY", f"ALTER TABLE {SCORES} ALTER COLUMN id DROP NOT NULL",
        f"INSERT INTO {SCORES} (question, actual_answer, accuracy_score, scoring_method) VALUES ('q', 'a', 1, 's')")),
]

MOVED = [
    moved("a key changed: the old one is missing", MISSING, ITEMS, 60, f"UPDATE {ITEMS} SET id = 62 WHERE id = 60"),
    moved("a key changed: the new one is too many", EXTRA, ITEMS, 62, f"UPDATE {ITEMS} SET id = 62 WHERE id = 60"),
    moved("a key became negative", EXTRA, ITEMS, -60, f"UPDATE {ITEMS} SET id = -60 WHERE id = 60"),
    moved("a key moved into another block", EXTRA, FETCHED, 30, f"UPDATE {FETCHED} SET id = 30 WHERE id = 7"),
    moved("a text key in another case", MISSING, TIERS, "beta", f"UPDATE {TIERS} SET item_id = 'Beta' WHERE item_id = 'beta'"),
    moved("a text key composed", EXTRA, TIERS, "\u00e9", f"UPDATE {TIERS} SET item_id = normalize(E'e\\u0301', NFC) WHERE item_id = 'beta'"),
    moved("a text key cut to a number", EXTRA, TIERS, "7.00", f"UPDATE {TIERS} SET item_id = '7.00' WHERE item_id = '7.0'"),
    moved("a text key of blanks trimmed", MISSING, TIERS, " ", f"DELETE FROM {TIERS} WHERE item_id = ''", f"UPDATE {TIERS} SET item_id = '' WHERE item_id = ' '"),
    moved("every key one higher", EXTRA, AUDIT, 11, f"UPDATE {AUDIT} SET id = -id", f"UPDATE {AUDIT} SET id = 1 - id"),
    Corruption("two keys swapped", VALUE, f"{ITEMS}:content", "15", (
        f"UPDATE {ITEMS} SET id = -1 WHERE id = 15", f"UPDATE {ITEMS} SET id = 15 WHERE id = 16",
        f"UPDATE {ITEMS} SET id = 16 WHERE id = -1")),
    Corruption("two text keys swapped", VALUE, f"{TIERS}:tier", "Alpha", (
        f"UPDATE {TIERS} SET item_id = 'x' WHERE item_id = 'alpha'",
        f"UPDATE {TIERS} SET item_id = 'alpha' WHERE item_id = 'Alpha'",
        f"UPDATE {TIERS} SET item_id = 'Alpha' WHERE item_id = 'x'")),
    Corruption("a row replaced by a copy of its neighbour", VALUE, f"{ITEMS}:content", "18", (
        f"DELETE FROM {ITEMS} WHERE id = 18", copied(ITEMS, 17, 18))),
    Corruption("a row of a kept cell replaced by its neighbour", VALUE, f"{ITEMS}:access_count", "31", (
        f"DELETE FROM {ITEMS} WHERE id = 31", copied(ITEMS, 32, 31))),
    Corruption("the rows of a table in reverse", VALUE, f"{TRENDS}:metric_value", "1", (
        f"UPDATE {TRENDS} SET id = -id", f"UPDATE {TRENDS} SET id = 9 + id")),
    Corruption("the rows of two cycles swapped", VALUE, f"{CYCLES}:items_fetched", "2", (
        f"UPDATE {CYCLES} AS a SET (cycle_number, started_at, completed_at, items_fetched, created_at) = (SELECT "
        f"cycle_number, started_at, completed_at, items_fetched, created_at FROM {CYCLES} AS b WHERE b.id = 5 - a.id) "
        "WHERE id IN (2, 3)",)),
    Corruption("a default in place of every cell", VALUE, f"{ITEMS}:created_at", "17", (
        f"DELETE FROM {ITEMS} WHERE id = 17",
        f"INSERT INTO {ITEMS} (id, content, source, knowledge_type) VALUES (17, 'n\u1ed9i dung 17', 'source 17', 'general')")),
    Corruption("a dangling reference", FindingKind.FOREIGN_KEY, f"{FETCHED}:cycle_id", "24", (
        f"UPDATE {FETCHED} SET cycle_id = 4711 WHERE id = 24",)),
]

# The index of a primary key is not what the table holds: the table counts.
UNSEEN = [
    unseen("a new row that the primary key does not know", EXTRA, FETCHED, 90, copied(FETCHED, 24, 90)),
    unseen("a new first row that the primary key does not know", EXTRA, FETCHED, -3, copied(FETCHED, 24, -3)),
    unseen("a new text key that the primary key does not know", EXTRA, TIERS, "hidden", copied(TIERS, "zeta", "hidden")),
    unseen("a row of an accepted one that the primary key does not know", EXTRA, ITEMS, 51, copied(ITEMS, 60, 51)),
    Corruption("a cell of a row that the primary key does not know", (VALUE, MISSING), f"{TRENDS}*", "3", (
        *blind(TRENDS), f"DELETE FROM {TRENDS} WHERE id = 3", copied(TRENDS, 2, 99),
        f"UPDATE {TRENDS} SET id = 3, context = 'hidden' WHERE id = 99", *sees(TRENDS))),
    Corruption("a key changed behind the primary key's back", EXTRA, TRENDS, "88", (
        *blind(TRENDS, live=False), f"UPDATE {TRENDS} SET id = 88 WHERE id = 8", *sees(TRENDS))),
    Corruption("two keys swapped behind the primary key's back", (VALUE, MISSING), f"{TRENDS}*", "2", (
        *blind(TRENDS, live=False), f"UPDATE {TRENDS} SET id = 4 - id WHERE id IN (1, 3)",
        f"UPDATE {TRENDS} SET id = 3 - id WHERE id IN (1, 2)", *sees(TRENDS))),
]
# fmt: on

CASES: list[Corruption] = [*LOST, *ADDED, *TWICE, *MOVED, *UNSEEN]
