"""`--round-trip`: rebuilds the legacy file from the target, and compares it with the original.

Each legacy table is written into a scratch file from target rows, kept originals and quarantined
rows alone. Then every value is compared with the snapshot by storage class and bytes. One
difference is allowed and counted: a JSON document that is spelled otherwise, because jsonb keeps
the document and not its spelling.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.edited_keys import keys_of_edited_rows
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.raw_cells import unpack_record
from stillme.transfer.sqlite.connect import quoted, uri
from stillme.transfer.sqlite.schema import FoundColumn, FoundTable
from stillme.transfer.verify import documents
from stillme.transfer.verify.local_clock import LocalClock
from stillme.transfer.verify.result import Findings, RoundTripResult, TableProof
from stillme.transfer.verify.table import TableCase
from stillme.transfer.verify.target_side import TargetSide

_AT_ONCE = 1000
_EPOCH = datetime(1970, 1, 1)
_BEYOND = "beyond the calendar"
Raw = None | int | float | bytes
Cell = tuple[str, Raw]


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
    keys = [quoted(c.name) for c in sorted(table.columns, key=_key_place) if c.primary_key]
    has_key = keys and (table.without_rowid or table.rowid_alias)
    parts = [f"{quoted(c.name)} {c.type}" for c in table.columns]
    parts += [f"PRIMARY KEY ({', '.join(keys)})"] if has_key else []
    ending = " WITHOUT ROWID" if table.without_rowid else ""
    return f"CREATE TABLE main.{quoted(table.name)} ({', '.join(parts)}){ending}"


def _key_place(column: FoundColumn) -> int:
    return column.primary_key


class _Builder:
    """Writes one table from what the target side holds."""

    def __init__(self, alias: str, case: TableCase, connection: sqlite3.Connection) -> None:
        self._alias, self._case, self._db = alias, case, connection
        self._mapping = case.mapping
        table = case.snapshot.schema.table(case.mapping.table)
        self._computed = () if table is None or table.foreign else case.mapping.generated
        self._names = [c.legacy for c in self._mapping.columns] + list(self._mapping.extra)
        self._records = self._mapping.identity.of(QuarantinedRow.objects.using(alias))

    def build(self) -> None:
        """Target rows first; then the rows that were set aside, each with its own cells."""
        if self._mapping.key is not None:
            self._from_target()
        for record in self._records.order_by("id").iterator(_AT_ONCE):
            if record.status != record.Status.REPAIRED or record.repairs:
                cells = unpack_record(record.cells)
                # One whose key was lost has no place; its legacy row is found missing then.
                if cells and (self._mapping.key is None or self._mapping.key.legacy in cells):
                    self._insert(self._place(record.rowid, cells), cells)
        self._db.commit()

    def _from_target(self) -> None:
        assert self._mapping.key is not None
        side = TargetSide(self._alias, self._mapping)
        edited = keys_of_edited_rows(self._alias, self._mapping)
        after: Any = None
        while keys := side.next_keys(after, _AT_ONCE):
            rows = side.rows(keys)
            kept = self._kept(list(rows))
            for key in keys:
                if str(key) not in edited:
                    cells = {**self._cells(rows[str(key)]), **kept.get(str(key), {})}
                    self._insert(self._place(None, cells), cells)
            after = keys[-1]

    def _place(self, noted: int | None, cells: dict[str, Cell]) -> int | None:
        """Where the row stands in the legacy: rowids mean nothing, and a VACUUM moves them.

        At the rowid `noted` if it has this key, else at the first that has it.
        """
        mapping = self._mapping
        if mapping.key is None or mapping.key_is_rowid or not mapping.has_rowid:
            return noted
        storage, raw = cells[mapping.key.legacy]
        name = quoted(mapping.key.legacy)
        found = self._db.execute(
            f"SELECT rowid FROM legacy.{quoted(mapping.table)} WHERE {name} IS {_mark(storage)} "
            "ORDER BY rowid IS NOT ?, rowid LIMIT 1",
            (raw, noted),
        ).fetchone()
        return noted if found is None else int(found[0])

    def _kept(self, keys: list[str]) -> dict[str, dict[str, Cell]]:
        found: dict[str, dict[str, Cell]] = {}
        cells = self._mapping.identity.of(KeptCell.objects.using(self._alias)).filter(key__in=keys)
        for cell in cells:
            value = None if cell.value is None else bytes(cell.value)
            found.setdefault(cell.key, {})[cell.column] = (cell.storage, _raw(cell.storage, value))
        return found

    def _cells(self, values: dict[str, Any]) -> dict[str, Cell]:
        cells = {
            column.legacy: _rebuilt(column.kind, values[column.target], self._case.clock)
            for column in self._mapping.columns
        }
        extra = json.loads(values.get(EXTRA_COLUMN) or "{}")
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


def _raw(storage: str, value: bytes | None) -> Raw:
    if value is None or storage in ("text", "blob"):
        return value
    text = value.decode("ascii")
    return float.fromhex(text) if storage == "real" else int(text)


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


def _rebuilt(kind: kinds.Kind, value: Any, clock: LocalClock) -> Cell:
    """The cell the old application would have written for a target value."""
    if value is None:
        return "null", None
    match kind:
        case kinds.Real():
            return "real", struct.unpack(">d", value)[0]
        case kinds.Json():
            return "text", _document(value).encode()
        case kinds.Timestamp(stamp=stamp):
            return "text", _stamp(stamp, value, clock).encode()
        case kinds.Date():
            return "text", _day(value).encode()
        case kinds.Text() | kinds.TextKey():
            return "text", str(value).encode()
    return "integer", value


def _document(text: str) -> str:
    """As the old application's `json.dumps` spells it, if that is still the same document."""
    try:
        spelled = json.dumps(json.loads(text))
        same = documents.is_same_tree(documents.target_tree(spelled), documents.target_tree(text))
    except (ValueError, documents.Beyond, RecursionError):
        return text
    return spelled if same else text


def _day(micros: int) -> str:
    # Not strftime: it writes the year 1 as 1.
    try:
        return (_EPOCH + timedelta(microseconds=micros)).date().isoformat()
    except OverflowError:
        return _BEYOND


def _stamp(stamp: kinds.Stamp, micros: int, clock: LocalClock) -> str:
    try:
        moment = _EPOCH + timedelta(microseconds=micros)
        if stamp is kinds.Stamp.SQL or (stamp is kinds.Stamp.MIXED and not moment.microsecond):
            return moment.isoformat(sep=" ")
        return clock.local_of(moment).isoformat()
    except OverflowError:
        return _BEYOND


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
    key = quoted(mapping.key.legacy) if mapping.key else on[0]
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
            if _same_document(mapping, name, before, after):
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


def _same_document(
    mapping: TableMapping, name: str, before: tuple[str, Any], after: tuple[str, Any]
) -> bool:
    column = mapping.column(name)
    if column is None or not isinstance(column.kind, kinds.Json):
        return False
    if before[0] != "text" or after[0] != "text":
        return False
    try:
        trees = [documents.expected_tree(bytes(cell[1]).decode()) for cell in (before, after)]
    except (UnicodeDecodeError, documents.Beyond):
        return False
    (before_tree, before_kept), (after_tree, after_kept) = trees
    return before_kept == after_kept and documents.is_same_tree(before_tree, after_tree)


def _finding(mapping: TableMapping, key: Any, name: str, expected: str, found: str) -> Finding:
    where = f"{mapping.target}:{name}" if name else mapping.target
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    return Finding(FindingKind.ROUND_TRIP, where, text, expected[:120], found[:120], "rebuilt")
