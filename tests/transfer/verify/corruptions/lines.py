"""Rows of which both sides might print the same line, or the same documents, and that differ.

Some values are put into the legacy, and what only looks like them is planted in the target.
"""

from __future__ import annotations

from stillme.transfer.findings import FindingKind
from tests.transfer.verify.corruptions.case import (
    CYCLES,
    ITEMS,
    KNOWLEDGE,
    LEGACY_NAME,
    RSS,
    Corruption,
    row_of,
)

FILE_OF = {CYCLES: RSS, ITEMS: KNOWLEDGE}
COUNTS = ("fetched", "added", "filtered", "duplicate")


def looks_like(
    what: str, column: str, key: int, table: str, legacy: tuple[str, ...], *sql: str
) -> Corruption:
    """Rows that are changed on both sides; the finding must name this cell."""
    where, tables = f"{table}:{column}", (LEGACY_NAME[table],)
    planted = (FILE_OF[table], *legacy)
    return Corruption(what, FindingKind.VALUE, where, str(key), sql, planted, tables=tables)


def counts(what: str, legacy: tuple[str, ...], target: tuple[str, ...]) -> Corruption:
    """Four whole numbers next to each other, of which any may be NULL."""
    before = ", ".join(f"entries_{n} = {v}" for n, v in zip(COUNTS, legacy, strict=True))
    after = ", ".join(f"items_{n} = {v}" for n, v in zip(COUNTS, target, strict=True))
    update = f"UPDATE rss_fetch_cycles SET {before} WHERE id = 2"
    plant = f"UPDATE {CYCLES} SET {after} WHERE id = 2"
    return looks_like(what, "items_fetched", 2, CYCLES, (update,), plant)


def documents(what: str, legacy: tuple[str, ...], target: tuple[str, ...]) -> Corruption:
    """The documents of neighbouring rows, from row 9 on."""
    before = [
        f"UPDATE knowledge_items SET metadata = '{document}' WHERE id = {key}"
        for key, document in enumerate(legacy, start=9)
    ]
    after = [
        f"UPDATE {ITEMS} SET metadata = '{document}' WHERE {row_of(ITEMS, key)}"
        for key, document in enumerate(target, start=9)
    ]
    return looks_like(what, "metadata", 9, ITEMS, tuple(before), *after)


# fmt: off
CASES: list[Corruption] = [
    counts("a NULL and a sign changed places", ("NULL", "5", "-7", "3"), ("-5", "NULL", "7", "3")),
    counts("a sign and a NULL changed places", ("-5", "NULL", "7", "3"), ("NULL", "5", "-7", "3")),
    documents("a JSON number too small for a double became zero", ('{"a": 1e-400}',), ('{"a": 0.0}',)),
    Corruption("a JSON number too small for jsonb became zero", FindingKind.QUARANTINE_KEPT_ROW, ITEMS, "9", (
        f"UPDATE {ITEMS} SET metadata = '[0.0]' WHERE id = 9",), (KNOWLEDGE, "UPDATE knowledge_items SET metadata = '[1E-20000]' WHERE id = 9")),
    documents("texts that are no documents became some of their neighbours", ("1,2", '"a', 'b"'), ("1", "2", '"a,b"')),
    documents("halves of an array became one", ("[1", "2]", "3,4"), ("[1, 2]", "3", "4")),
]
# fmt: on
