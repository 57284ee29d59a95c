"""Trying capture on a scratch copy of the operator's own file before it is trusted.

Every way of writing that could slip past a trigger is tried on every captured table, with the
triggers as they would be installed; each try runs in a transaction that is rolled back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.capture.freeze import create_freeze, drop_freeze, freeze_tables
from stillme.transfer.sqlite.capture.install import install, remove
from stillme.transfer.sqlite.capture.log import ChangeLog, last_sequence
from stillme.transfer.sqlite.capture.probe_tries import Tries, UntriedError
from stillme.transfer.sqlite.capture.tables import (
    CapturedTable,
    captured_tables,
    open_writable,
)
from stillme.transfer.sqlite.capture.templates import CHANGE_TABLE
from stillme.transfer.sqlite.reading.connect import quoted

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
            probes.append(_all_frozen(connection, tables))
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
    """All but SQLite's own table of marks, which VACUUM drops with the last AUTOINCREMENT."""
    found = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name <> 'sqlite_sequence'"
    )
    return sorted(found.fetchall(), key=str)


def _table_probes(
    connection: sqlite3.Connection, mapping: TableMapping, table: CapturedTable
) -> list[Probe]:
    if table.key is None:
        return [Probe("key", table.name, True, "no key column: its rows are re-read as a whole")]
    tries = Tries(connection, mapping, table)
    found = [_one(connection, name, tries, attempt) for name, attempt in tries.all()]
    found.append(_frozen(connection, tries))
    found.append(_side_effects(connection, tries))
    return found


def _one(
    connection: sqlite3.Connection, name: str, tries: Tries, attempt: Callable[[], set[Key]]
) -> Probe:
    connection.execute("BEGIN IMMEDIATE")
    tries.taken.clear()
    try:
        expected = attempt()
        changes = ChangeLog(connection).after(0, 2**31)
        logged = {change.key for change in changes if change.name == tries.table.name}
        lost = expected - logged
        note = f"not logged: {sorted(key.shown() for key in lost)}" if lost else ""
        return Probe(name, tries.table.name, not lost, note)
    except (UntriedError, sqlite3.Error) as error:
        return Probe(name, tries.table.name, False, str(error))
    finally:
        connection.execute("ROLLBACK")


def _frozen(connection: sqlite3.Connection, tries: Tries) -> Probe:
    """A frozen table refuses every verb, the forgiving ones too, and ends the writer's transaction:
    a lock that it kept would lock everybody else out."""
    tries.taken.clear()
    try:
        key, other = tries.put(tries.row(1)), tries.row(2)
        # This table alone: all of them for each of 120 tables were 170,000 statements.
        freeze_tables(connection, [tries.table])
        before = last_sequence(connection)
        where = f" WHERE {tries.key} = ?"
        change = f"UPDATE {tries.name} SET {tries.key} = {tries.key}{where}"
        attempts: dict[str, Callable[[], object]] = {
            verb: partial(tries.put, other, verb)
            for verb in ("INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE")
        }
        attempts["UPDATE"] = partial(connection.execute, change, key.values)
        delete = f"DELETE FROM {tries.name}{where}"
        attempts["DELETE"] = partial(connection.execute, delete, key.values)
        passed = [verb for verb, attempt in attempts.items() if not _refused(connection, attempt)]
        ok = not passed and last_sequence(connection) == before
        drop_freeze(connection)
        tries.put(other)
        return Probe("freeze", tries.table.name, ok, f"let through: {passed}" if passed else "")
    except sqlite3.Error as error:
        return Probe("freeze", tries.table.name, False, str(error))


def _all_frozen(connection: sqlite3.Connection, tables: list[CapturedTable]) -> Probe:
    """Every table of the file can be frozen, those that no model declares, too."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        create_freeze(connection, tables, seconds=None)
        return Probe("freeze of the file", "", True)
    except sqlite3.Error as error:
        return Probe("freeze of the file", "", False, str(error))
    finally:
        connection.execute("ROLLBACK")


def _refused(connection: sqlite3.Connection, attempt: Callable[[], object]) -> bool:
    """Whether a write is refused, in a transaction that has ended then."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        attempt()
    except sqlite3.IntegrityError:
        if not connection.in_transaction:
            return True
    connection.execute("ROLLBACK")
    return False


def _side_effects(connection: sqlite3.Connection, tries: Tries) -> Probe:
    """The application's lastrowid and rowcount are those of its own statement."""
    connection.execute("BEGIN IMMEDIATE")
    tries.taken.clear()
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
        connection.execute(f"DELETE FROM {CHANGE_TABLE} WHERE sequence > 0")
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
                tries = Tries(connection, mapping, table)
                ok = _one(connection, "update", tries, tries.update).ok
        return Probe("VACUUM", "", ok)
    except sqlite3.Error as error:
        return Probe("VACUUM", "", False, str(error))
    finally:
        connection.close()


def _two_writers(copy: Path, mappings: list[TableMapping]) -> Probe:
    """Two connections by turns: numbers rise in the order of the commits."""
    keyed = [m for m in mappings if m.key_columns]
    if not keyed:
        return Probe("two writers", "", True, "no table with a key")
    one, two = open_writable(copy), open_writable(copy)
    try:
        table = captured_tables(one, keyed)[0]
        numbers: list[int] = []
        for connection in (one, two, one, two):
            Tries(connection, keyed[0], table).put(
                Tries(connection, keyed[0], table).row(len(numbers) + 1)
            )
            numbers.append(last_sequence(connection))
        return Probe("two writers", "", numbers == sorted(set(numbers)))
    except sqlite3.Error as error:
        return Probe("two writers", "", False, str(error))
    finally:
        one.close()
        two.close()
