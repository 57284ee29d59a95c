"""Trying capture on a scratch copy of the operator's own file before it is trusted.

Every way of writing that could slip past a trigger is tried on every captured table, with the
triggers as they would be installed; each try runs in a transaction that is rolled back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stillme.transfer import kinds
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.capture.freeze import create_freeze
from stillme.transfer.sqlite.capture.install import install, remove
from stillme.transfer.sqlite.capture.log import Key, last_sequence
from stillme.transfer.sqlite.capture.tables import (
    CapturedTable,
    UniqueIndex,
    captured_tables,
    open_writable,
)
from stillme.transfer.sqlite.capture.templates import CHANGE_TABLE
from stillme.transfer.sqlite.connect import quoted


_ROWS = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """One try. `table` is "" where the whole file was tried."""

    name: str
    table: str
    ok: bool
    note: str = ""


def run_probes(copy: Path, mappings: list[TableMapping]) -> list[Probe]:
    """Try capture on `copy`, a scratch copy of a legacy file. The copy is changed."""
    connection = open_writable(copy)
    tables = captured_tables(connection, mappings)
    before = _schema(connection)
    _shrink(connection, tables)
    connection.close()
    install(copy, tables)
    probes: list[Probe] = []
    for journal in ("wal", "delete"):
        connection = open_writable(copy)
        try:
            mode = connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0]
            probes.append(Probe(f"journal mode {journal}", "", mode == journal, str(mode)))
            for mapping, table in zip(mappings, tables, strict=True):
                probes += _table_probes(connection, mapping, table)
        finally:
            connection.close()
    probes.append(_vacuum(copy, mappings))
    probes.append(_two_writers(copy, mappings))
    remove(copy)
    connection = open_writable(copy)
    probes.append(Probe("schema after removal", "", _schema(connection) == before))
    connection.close()
    return probes


def _shrink(connection: sqlite3.Connection, tables: list[CapturedTable]) -> None:
    """Leave a few rows a table: the probes are about the schema, and time is the operator's.

    Without triggers yet, SQLite empties a table at once (1,000,000 rows: 30 s of probes before).
    """
    for table in tables:
        name = quoted(table.name)
        connection.execute("SAVEPOINT shrink")
        try:
            connection.execute(
                f"CREATE TEMP TABLE probe_rows AS SELECT * FROM {name} LIMIT {_ROWS}"
            )
            connection.execute(f"DELETE FROM {name}")
            connection.execute(f"INSERT INTO {name} SELECT * FROM temp.probe_rows")
            connection.execute("DROP TABLE temp.probe_rows")
        except sqlite3.Error:
            # A generated column, say: then the table is probed as large as it is.
            connection.execute("ROLLBACK TO shrink")
        connection.execute("RELEASE shrink")


def _schema(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return sorted(
        connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall(),
        key=str,
    )


class _Tries:
    """The ways of writing to one table; each returns the keys that must be in the log."""

    def __init__(
        self, connection: sqlite3.Connection, mapping: TableMapping, table: CapturedTable
    ) -> None:
        self.connection = connection
        self.mapping = mapping
        self.table = table
        self.name = quoted(table.name)
        self.key = quoted(table.key or "")

    def all(self) -> Iterator[tuple[str, Callable[[], set[Key]]]]:
        """(name, try) pairs."""
        yield "insert", self.insert
        yield "update", self.update
        yield "key update", self.rekey
        yield "delete", self.delete
        yield "delete without WHERE", self.delete_all
        yield "insert or replace", self.replace
        for index in self.table.uniques:
            yield f"replace over {index.name}", partial(self.replace_unique, index)
        if self.table.has_rowid and not self.table.key_is_rowid:
            yield "replace over the rowid", self.replace_rowid

    def row(self, number: int) -> dict[str, object]:
        """A row that the table's declaration takes, with a key of its own."""
        row: dict[str, object] = {c.legacy: _sample(c.kind, number) for c in self.mapping.columns}
        info = self.connection.execute(f"PRAGMA table_info({self.name})").fetchall()
        for name, not_null, default in ((i[1], i[3], i[4]) for i in info):
            if name not in row and not_null and default is None:
                row[name] = f"probe{number}"
        if isinstance(self.key_kind(), kinds.Key):
            row[str(self.table.key)] = self.free_key() + number
        return row

    def key_kind(self) -> kinds.Kind:
        assert self.mapping.key is not None
        return self.mapping.key.kind

    def free_key(self) -> int:
        found = self.connection.execute(
            f"SELECT max({self.key}) FROM {self.name} WHERE typeof({self.key}) = 'integer'"
        ).fetchone()[0]
        # Next to 2**63 - 1 there is no free key: go below the smallest instead.
        return int(found or 0) + 1 if int(found or 0) < 2**62 else -(2**40)

    def put(self, row: dict[str, object], verb: str = "INSERT", *, rowid: int | None = None) -> Key:
        """Write a row; the key it got."""
        values = dict(row) if rowid is None else {"rowid": rowid, **row}
        names = ", ".join(n if n == "rowid" else quoted(n) for n in values)
        marks = ", ".join("?" * len(values))
        self.connection.execute(
            f"{verb} INTO {self.name} ({names}) VALUES ({marks})", list(values.values())
        )
        return row[str(self.table.key)]  # type: ignore[return-value]

    def insert(self) -> set[Key]:
        return {self.put(self.row(1))}

    def update(self) -> set[Key]:
        key = self.start(1)
        self.connection.execute(
            f"UPDATE {self.name} SET {self.key} = {self.key} WHERE {self.key} = ?", (key,)
        )
        return {key}

    def rekey(self) -> set[Key]:
        key = self.start(1)
        new: Key = key + 7 if isinstance(key, int) else "stillme-probe-moved"
        self.connection.execute(
            f"UPDATE {self.name} SET {self.key} = ? WHERE {self.key} = ?", (new, key)
        )
        return {key, new}

    def delete(self) -> set[Key]:
        key = self.start(1)
        self.connection.execute(f"DELETE FROM {self.name} WHERE {self.key} = ?", (key,))
        return {key}

    def delete_all(self) -> set[Key]:
        keys = {self.put(self.row(1)), self.put(self.row(2))}
        self.clear()
        marks = ", ".join("?" * len(keys))
        self.connection.execute(f"DELETE FROM {self.name}")
        left = self.connection.execute(
            f"SELECT count(*) FROM {self.name} WHERE {self.key} IN ({marks})", list(keys)
        ).fetchone()[0]
        assert left == 0
        return keys

    def replace(self) -> set[Key]:
        row = self.row(1)
        key = self.put(row)
        self.clear()
        self.put(row, "INSERT OR REPLACE")
        return {key}

    def replace_unique(self, index: UniqueIndex) -> set[Key]:
        first, second = self.row(1), self.row(2)
        columns = index.columns
        if index.by_expression:
            raise _UntriedError("a unique index over an expression: a REPLACE over it goes unseen")
        for column, _ in columns:
            second[column] = first.get(column)
        if all(first.get(c) is None for c, _ in columns):
            raise _UntriedError("no value to clash over")
        keys = {self.put(first)}
        self.clear()
        return keys | {self.put(second, "INSERT OR REPLACE")}

    def replace_rowid(self) -> set[Key]:
        key = self.put(self.row(1))
        rowid = self.connection.execute("SELECT last_insert_rowid()").fetchone()[0]
        self.clear()
        return {key, self.put(self.row(2), "INSERT OR REPLACE", rowid=rowid)}

    def start(self, number: int) -> Key:
        key = self.put(self.row(number))
        self.clear()
        return key

    def clear(self) -> None:
        self.connection.execute(f"DELETE FROM {CHANGE_TABLE} WHERE sequence > 0")


class _UntriedError(Exception):
    """The try cannot be made, or must fail."""


def _table_probes(
    connection: sqlite3.Connection, mapping: TableMapping, table: CapturedTable
) -> list[Probe]:
    if table.key is None:
        return [Probe("key", table.name, True, "no key column: its rows are re-read as a whole")]
    tries = _Tries(connection, mapping, table)
    found = [_one(connection, name, tries, attempt) for name, attempt in tries.all()]
    found.append(_frozen(connection, tries))
    found.append(_side_effects(connection, tries))
    return found


def _one(
    connection: sqlite3.Connection, name: str, tries: _Tries, attempt: Callable[[], set[Key]]
) -> Probe:
    connection.execute("BEGIN IMMEDIATE")
    try:
        expected = attempt()
        logged = {
            row[0]
            for row in connection.execute(
                f"SELECT key FROM {CHANGE_TABLE} WHERE sequence > 0 AND name = ?",
                (tries.table.name,),
            )
        }
        lost = expected - logged
        note = f"not logged: {sorted(map(str, lost))}" if lost else ""
        return Probe(name, tries.table.name, not lost, note)
    except (_UntriedError, sqlite3.Error) as error:
        return Probe(name, tries.table.name, False, str(error))
    finally:
        connection.execute("ROLLBACK")


def _frozen(connection: sqlite3.Connection, tries: _Tries) -> Probe:
    """A frozen table refuses every verb, the forgiving ones too."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        key = tries.put(tries.row(1))
        create_freeze(connection, [tries.table], seconds=None)
        before = last_sequence(connection)
        passed = [
            verb
            for verb in ("INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE")
            if not _refused(partial(tries.put, tries.row(2), verb))
        ]
        for sql in (
            f"UPDATE {tries.name} SET {tries.key} = {tries.key}",
            "DELETE FROM " + tries.name,
        ):
            where = f" WHERE {tries.key} = ?"
            if not _refused(partial(connection.execute, sql + where, (key,))):
                passed.append(sql.split()[0])
        ok = not passed and last_sequence(connection) == before
        return Probe("freeze", tries.table.name, ok, f"let through: {passed}" if passed else "")
    except sqlite3.Error as error:
        return Probe("freeze", tries.table.name, False, str(error))
    finally:
        connection.execute("ROLLBACK")


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except sqlite3.IntegrityError:
        return True
    return False


def _side_effects(connection: sqlite3.Connection, tries: _Tries) -> Probe:
    """The application's lastrowid and rowcount are those of its own statement."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = tries.row(1)
        tries.put(row)
        rowid, changes = connection.execute("SELECT last_insert_rowid(), changes()").fetchone()
        wanted = row[str(tries.table.key)]
        ok = changes == 1 and (not tries.table.key_is_rowid or rowid == wanted)
        return Probe("lastrowid and changes()", tries.table.name, ok, f"{rowid}, {changes}")
    except sqlite3.Error as error:
        return Probe("lastrowid and changes()", tries.table.name, False, str(error))
    finally:
        connection.execute("ROLLBACK")


def _vacuum(copy: Path, mappings: list[TableMapping]) -> Probe:
    """VACUUM renumbers rowids of tables without INTEGER PRIMARY KEY: the log must not care."""
    connection = open_writable(copy)
    try:
        connection.execute(
            f"INSERT INTO {CHANGE_TABLE} (sequence, name, key) VALUES (77, 'vacuum', 5)"
        )
        connection.execute("VACUUM")
        found = connection.execute(
            f"SELECT sequence, key FROM {CHANGE_TABLE} WHERE name = 'vacuum'"
        )
        ok = found.fetchall() == [(77, 5)]
        for mapping, table in zip(mappings, captured_tables(connection, mappings), strict=True):
            if ok and table.key is not None:
                tries = _Tries(connection, mapping, table)
                ok = _one(connection, "update", tries, tries.update).ok
        return Probe("VACUUM", "", ok)
    except sqlite3.Error as error:
        return Probe("VACUUM", "", False, str(error))
    finally:
        connection.close()


def _two_writers(copy: Path, mappings: list[TableMapping]) -> Probe:
    """Two connections by turns: numbers rise in the order of the commits."""
    keyed = [m for m in mappings if m.key is not None]
    if not keyed:
        return Probe("two writers", "", True, "no table with a key")
    one, two = open_writable(copy), open_writable(copy)
    try:
        table = captured_tables(one, keyed)[0]
        numbers: list[int] = []
        for connection in (one, two, one, two):
            _Tries(connection, keyed[0], table).put(
                _Tries(connection, keyed[0], table).row(len(numbers) + 1)
            )
            numbers.append(last_sequence(connection))
        return Probe("two writers", "", numbers == sorted(set(numbers)))
    except sqlite3.Error as error:
        return Probe("two writers", "", False, str(error))
    finally:
        one.close()
        two.close()


def _sample(kind: kinds.Kind, number: int) -> object:
    match kind:
        case kinds.Key() | kinds.Reference():
            return number
        case kinds.TextKey():
            return f"stillme-probe-{number}"
        case kinds.Text(choices=choices):
            return choices[0] if choices else f"probe{number}"
        case kinds.Integer():
            return number
        case kinds.Real():
            return number / 2
        case kinds.Json():
            return "{}"
    return f"2025-01-0{number} 00:00:00"
