"""`--round-trip`: rebuilds the legacy file from the target, and compares it with the original.

Each legacy table is written into a scratch file from target rows, kept originals and quarantined
rows alone. Then every value is compared with the snapshot by storage class and bytes. One
difference is allowed and counted: a JSON document that is spelled otherwise, because jsonb keeps
the document and not its spelling.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.keys import Key, spelled_keys
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_record
from stillme.transfer.records.edited_rows import keys_of_edited_rows
from stillme.transfer.sqlite.reading.connect import quoted, uri
from stillme.transfer.sqlite.schema.found import FoundTable
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.base import Stored as Cell
from stillme.transfer.verify.result import Findings, RoundTripResult, TableProof
from stillme.transfer.verify.rows.quarantine_records import kept_cells
from stillme.transfer.verify.sides.target_table import TargetSide
from stillme.transfer.verify.tables.table_judge import TableCase

_AT_ONCE = 1000


def round_trip(alias: str, case: TableCase, directory: Path, proof: TableProof) -> None:
    """Rebuild one legacy table in a scratch file of `directory`, and compare, into `proof`."""
    mapping = case.mapping
    scratch = directory / f"{mapping.file}-{mapping.declared_table}.rebuilt"
    connection = sqlite3.connect(uri(scratch).replace("mode=ro", "mode=rwc"), uri=True)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        # What a CHECK calls may be its program's own, and every row comes from a table that had it.
        connection.execute("PRAGMA ignore_check_constraints = ON")
        table = case.snapshot.schema.table(mapping.table)
        assert table is not None
        connection.execute("ATTACH ? AS legacy", (uri(case.snapshot.path) + "&immutable=1",))
        connection.execute(plain_table(table) if table.foreign else table.sql)
        _Builder(alias, case, connection).build()
        keys = [quoted(c.name) for c in table.columns if c.primary_key]
        proof.round_trip = _compare(connection, mapping, keys, proof.findings)
    finally:
        connection.close()
        scratch.unlink(missing_ok=True)


def plain_table(table: FoundTable) -> str:
    """The declaration of a table without what only its own program has: names, types and the key.

    What it says beyond that (a CHECK, a default, a collation) is no value of a row.
    """
    keys = [
        quoted(c.name) for c in sorted(table.columns, key=lambda c: c.primary_key) if c.primary_key
    ]
    has_key = keys and (table.without_rowid or table.rowid_alias)
    parts = [f"{quoted(c.name)} {c.type}" for c in table.columns]
    parts += [f"PRIMARY KEY ({', '.join(keys)})"] if has_key else []
    ending = " WITHOUT ROWID" if table.without_rowid else ""
    return f"CREATE TABLE main.{quoted(table.name)} ({', '.join(parts)}){ending}"


class _Builder:
    """Writes one table from what the target side holds."""

    def __init__(self, alias: str, case: TableCase, connection: sqlite3.Connection) -> None:
        self._alias, self._case, self._db = alias, case, connection
        self._mapping = case.mapping
        table = case.snapshot.schema.table(case.mapping.table)
        self._computed = () if table is None or table.foreign else case.mapping.generated
        self._names = [c.legacy for c in self._mapping.columns] + list(self._mapping.extra)
        self._judges = [(column, judge_of(column.kind)) for column in self._mapping.columns]
        self._records = self._mapping.identity.of(QuarantinedRow.objects.using(alias))

    def build(self) -> None:
        """Target rows first; then the rows that were set aside, each with its own cells."""
        if self._mapping.key_columns:
            self._from_target()
        for record in self._records.order_by("id").iterator(_AT_ONCE):
            if record.status != record.Status.REPAIRED or record.repairs:
                cells = unpack_record(record.cells)
                # One whose key was lost has no place; its legacy row is found missing then.
                if cells and cells.keys() >= set(self._mapping.key_columns.names):
                    self._insert(self._place(record.rowid, cells), cells)
        self._db.commit()

    def _from_target(self) -> None:
        side = TargetSide(self._alias, self._mapping)
        edited = keys_of_edited_rows(self._alias, self._mapping)
        after: Key | None = None
        while keys := side.next_keys(after, _AT_ONCE):
            rows = side.rows(keys)
            kept = kept_cells(self._alias, self._mapping, list(rows))
            for key in spelled_keys(keys):
                if key not in edited:
                    originals = {name: _raw(cell) for name, cell in kept.get(key, {}).items()}
                    cells = {**self._cells(rows[key]), **originals}
                    self._insert(self._place(None, cells), cells)
            after = keys[-1]

    def _place(self, noted: int | None, cells: dict[str, Cell]) -> int | None:
        """Where the row stands in the legacy: rowids mean nothing, and a VACUUM moves them.

        At the rowid `noted` if it has this key, else at the first that has it.
        """
        mapping = self._mapping
        if not mapping.key_columns or mapping.key_is_rowid or not mapping.has_rowid:
            return noted
        where, values = mapping.key_columns.legacy_is(mapping.key_columns.of_cells(cells))
        found = self._db.execute(
            f"SELECT rowid FROM legacy.{quoted(mapping.table)} WHERE {where} "
            "ORDER BY rowid IS NOT ?, rowid LIMIT 1",
            (*values, noted),
        ).fetchone()
        return noted if found is None else int(found[0])

    def _cells(self, values: dict[str, Any]) -> dict[str, Cell]:
        cells: dict[str, Cell] = {}
        for column, judge in self._judges:
            value = values[column.target]
            cell = ("null", None) if value is None else judge.rebuilt(value, self._case.clock)
            cells[column.legacy] = cell
        extra = json.loads((self._mapping.extra and values.get(EXTRA_COLUMN)) or "{}")
        return {**cells, **{name: _extra(extra.get(name)) for name in self._mapping.extra}}

    def _insert(self, rowid: int | None, cells: dict[str, Cell]) -> None:
        names = [n for n in self._names if n in cells and n not in self._computed]
        marks = [_mark(cells[name][0]) for name in names]
        values: list[Any] = [cells[name][1] for name in names]
        columns = [quoted(name) for name in names]
        if self._mapping.has_rowid and not self._mapping.key_is_rowid:
            columns, marks, values = ["rowid", *columns], ["?", *marks], [rowid, *values]
        self._db.execute(
            f"INSERT OR IGNORE INTO main.{quoted(self._mapping.table)} ({', '.join(columns)}) "
            f"VALUES ({', '.join(marks)})",
            values,
        )


def _mark(storage: str) -> str:
    """A parameter's place; texts come as bytes, which need not be UTF-8."""
    return "CAST(? AS TEXT)" if storage == "text" else "?"


def _raw(cell: KeptCell) -> Cell:
    value = None if cell.value is None else bytes(cell.value)
    if value is None or cell.storage in ("text", "blob"):
        return cell.storage, value
    text = value.decode("ascii")
    return cell.storage, float.fromhex(text) if cell.storage == "real" else int(text)


def _extra(value: Any) -> Cell:
    if value is None:
        return "null", None
    if isinstance(value, int):
        return "integer", value
    if isinstance(value, str):
        return "text", value.encode()
    ((storage, spelled),) = value.items()
    if storage == "real":
        return "real", float.fromhex(spelled)
    return storage, bytes.fromhex(spelled)


def _compare(
    connection: sqlite3.Connection, mapping: TableMapping, keys: list[str], findings: Findings
) -> RoundTripResult:
    """`keys` are the columns of the table's own primary key, which need not be the mapping's."""
    found, already = RoundTripResult(), findings.total
    table = quoted(mapping.table)
    names = [c.legacy for c in mapping.columns] + list(mapping.extra)
    on = ["rowid"] if mapping.has_rowid else keys or [quoted(names[0])]
    found.rows = connection.execute(f"SELECT count(*) FROM legacy.{table}").fetchone()[0]
    found.cells = found.rows * len(names)
    key = quoted(mapping.key_columns.names[0]) if mapping.key_columns else on[0]
    for one, other, expected, present in (
        ("legacy", "main", "a row", "no row"),
        ("main", "legacy", "no row", "a row"),
    ):
        query = (
            f"SELECT CAST(a.{key} AS BLOB) FROM {one}.{table} AS a WHERE NOT EXISTS "
            f"(SELECT 1 FROM {other}.{table} AS b WHERE {_joined(on, 'a', 'b')})"
        )
        for (value,) in connection.execute(query):
            findings.add(_finding(mapping, value, "", expected, present))
    for name in names:
        for value, before, after in _different(connection, table, key, on, quoted(name)):
            column = mapping.column(name)
            if column and judge_of(column.kind).is_other_spelling(before, after):
                found.spelled_otherwise[name] = found.spelled_otherwise.get(name, 0) + 1
            else:
                findings.add(_finding(mapping, value, name, repr(before), repr(after)))
    found.findings = findings.total - already
    return found


def _joined(on: list[str], one: str, other: str) -> str:
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in on)


def _different(
    connection: sqlite3.Connection, table: str, key: str, on: list[str], name: str
) -> Iterator[tuple[Any, tuple[str, Any], tuple[str, Any]]]:
    """(key, legacy cell, rebuilt cell) where storage class or bytes are not the same."""
    cells = ", ".join(
        f"typeof({s}), iif(typeof({s}) = 'text', CAST({s} AS BLOB), {s})"
        for s in (f"l.{name}", f"r.{name}")
    )
    query = (
        f"SELECT CAST(l.{key} AS BLOB), {cells} FROM legacy.{table} AS l JOIN main.{table} AS r "
        f"ON {_joined(on, 'l', 'r')} WHERE typeof(l.{name}) <> typeof(r.{name}) "
        f"OR l.{name} IS NOT r.{name} OR (typeof(l.{name}) = 'text' "
        f"AND CAST(l.{name} AS BLOB) <> CAST(r.{name} AS BLOB))"
    )
    for value, storage, before, other, after in connection.execute(query):
        yield value, (storage, before), (other, after)


def _finding(mapping: TableMapping, key: Any, name: str, expected: str, found: str) -> Finding:
    where = f"{mapping.target}:{name}" if name else mapping.target
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    return Finding(FindingKind.ROUND_TRIP, where, text, expected[:120], found[:120], "rebuilt")
