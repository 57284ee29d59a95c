"""Rows that are set aside for a well-known reason: SQLite tells it, and spells the row's record.

Of a row with U+0000 in its `source` SQLite says that `source` is its first column with a fault,
that the fault is a `nul_in_text` at character 17, and what the quarantine stores of the row:
``{"id": ["integer", 7], "source": ["text", "YQBi"]}``. Which faults SQL can tell, says the class of
each kind (`KindLoader.faults`). If a column before that one is neither common nor repaired by SQL,
the row goes through `unusual_rows` cell by cell.
"""

from __future__ import annotations

import json
import sqlite3
from binascii import b2a_base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.garbage import no_search_for_cycles
from stillme.transfer.plumbing.quoting import stored_value
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.row_source import RowSource
from stillme.transfer.steps.kinds import NULL_IN_REQUIRED, UNWANTED_BLOB, loader_of
from stillme.transfer.steps.kinds.base import Fault, Table
from stillme.transfer.steps.rows.packed import PackedRow, as_jsonb_orders

# Of a row with more bytes the cells are read one by one: thousands of records are kept at a time.
_MOST_BYTES = 64_000
# By the first letter of the storage class.
_SPELLED = {
    "i": b'["integer", %d]',
    "r": b'["real", "%b"]',
    "n": b'["null", null]',
    "t": b'["text", "%b"]',
    "b": b'["blob", "%b"]',
}
_NULL = Fault("null_in_required", "typeof({}) = 'null'", NULL_IN_REQUIRED)
_BLOB = Fault("blob", "typeof({}) = 'blob'", UNWANTED_BLOB)


@dataclass(frozen=True, slots=True)
class FaultyRows:
    """The query, of a list of rowids; what the numbers mean that it gives: column, the place of its
    cell, and fault; the `names` of the cells that it gives, in jsonb's order, and the key's place
    among them."""

    query: str
    known: dict[int, tuple[str, int, Fault]]
    names: tuple[str, ...]
    key_place: int

    def read(self, source: RowSource, rowids: Sequence[int]) -> tuple[list[PackedRow], list[int]]:
        """The rows that SQL knows, in key order, and the rowids of the others."""
        found: list[PackedRow] = []
        with suppress(sqlite3.DataError), no_search_for_cycles():
            for few in source.bounded(self.query, [f"[{', '.join(map(str, rowids))}]"]):
                for rowid, number, classes, *cells in few:
                    if number is None:
                        continue
                    column, place, fault = self.known[number]
                    record = _template(self.names, classes) % tuple(
                        [
                            b2a_base64(cell, newline=False)
                            if isinstance(cell, bytes)
                            else cell.hex().encode()
                            if isinstance(cell, float)
                            else cell
                            for cell in cells
                            if cell is not None
                        ]
                    )
                    said, key = fault.told(cells[place]), cells[self.key_place]
                    key = key.decode() if isinstance(key, bytes) else str(key)
                    found.append(PackedRow(key, rowid, (), record, fault.reason, column, said, ()))
            told = {row.rowid for row in found}
            return found, [rowid for rowid in rowids if rowid not in told]
        # Something large is among them.
        return [], list(rowids)


def faulty_rows(table: Table) -> FaultyRows | None:
    """The SQL for one table; None where it cannot tell which row has a key."""
    mapping = table.mapping
    keys = mapping.key_columns
    if not (mapping.sql_tells_unusual and mapping.key_is_unique):
        return None
    known: dict[int, tuple[str, int, Fault]] = {}
    names = as_jsonb_orders((*(c.legacy for c in mapping.columns), *mapping.extra))
    tests: list[str] = []
    for column in mapping.columns:
        is_key = column in keys.columns
        for fault in () if is_key else _faults(column, table):
            known[len(known) + 1] = column.legacy, names.index(column.legacy), fault
            tests.append(f"WHEN {fault.test} THEN {len(known)}")
        usual = _usual_key(column, table) if is_key else _usual(column, table)
        tests.append(f"WHEN ifnull({usual}, 1) THEN NULL")
    if not known:
        return None
    name, key = quoted(mapping.table), keys.legacy()
    parts = ("rowid", f"CASE {' '.join(tests)} END", *_cells(names, table.source))
    size = " + ".join(f"ifnull({table.source.size(quoted(each))}, 0)" for each in names)
    # Rowids come sorted. Otherwise whole records would be sorted, as SQLite cannot know that.
    order = "" if mapping.key_is_rowid else f" ORDER BY {key}"
    query = (
        f"SELECT {', '.join(parts)} FROM {name} NOT INDEXED WHERE {name}.rowid IN "
        f"(SELECT value FROM json_each(?)) AND {size} <= {_MOST_BYTES}{order}"
    )
    return FaultyRows(query, known, names, names.index(keys.names[0]))


def _faults(column: MappedColumn, table: Table) -> tuple[Fault, ...]:
    """NULL and binary data first, as `convert` looks at them; then those of the kind."""
    loader, name = loader_of(column.kind), quoted(column.legacy)
    general = [_NULL] if column.required else []
    general += [] if loader.decides_blobs else [_BLOB]
    sound = loader.sound_test(name)
    return (
        *(replace(fault, test=fault.test.format(name)) for fault in general),
        # Not AND, of which SQLite works out both sides.
        *(
            replace(fault, test=f"CASE WHEN {fault.test} THEN {sound} END")
            for fault in loader.faults(column, table)
        ),
    )


def _usual(column: MappedColumn, table: Table) -> str:
    """SQL: 0 for a value that is surely loaded or repaired."""
    loader, name = loader_of(column.kind), quoted(column.legacy)
    shape, strict = loader.shape(column, table), loader.strict_test(name) or "1"
    sure = f"CASE {shape} WHEN 0 THEN NOT ({strict}) ELSE min(0, {shape}) END"
    test = f"CASE WHEN {loader.sound_test(name)} THEN {sure} END"
    return test if column.required else f"CASE WHEN {name} IS NOT NULL THEN {test} ELSE 0 END"


def _usual_key(column: MappedColumn, table: Table) -> str:
    """SQL: 0 for a key that is surely loaded as it is."""
    loader, name = loader_of(column.kind), quoted(column.legacy)
    tests = (loader.sound_test(name), loader.common_test(column, table), loader.strict_test(name))
    whole = " AND ".join(f"({test})" for test in (f"{name} IS NOT NULL", *tests) if test)
    return f"NOT ({whole})"


def _cells(names: Sequence[str], source: RowSource) -> list[str]:
    """SQL: the first letters of the cells' storage classes as one text, then the cells, a text as
    its bytes."""
    cells = [quoted(name) for name in names]
    return [
        source.joined([f"substr(typeof({cell}), 1, 1)" for cell in cells]),
        *map(stored_value, cells),
    ]


@lru_cache(maxsize=1_000)
def _template(names: tuple[str, ...], classes: str) -> bytes:
    """What the quarantine stores of such a row, as `pack_cell` and jsonb spell it."""
    told = (json.dumps(name, ensure_ascii=False).replace("%", "%%").encode() for name in names)
    pairs = zip(told, map(_SPELLED.__getitem__, classes), strict=True)
    return b"{" + b", ".join(b": ".join(pair) for pair in pairs) + b"}"
