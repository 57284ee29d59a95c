"""Trying capture on a scratch copy of the operator's own file before it is trusted.

Every way of writing that could slip past a trigger is tried on every captured table, with the
triggers as they would be installed; each try runs in a transaction that is rolled back. What is so
in every file (several writers, both journal modes, `changes()`) is for this project's own
tests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.capture.freeze import create_freeze, drop_freeze, freeze_tables
from stillme.transfer.sqlite.capture.install import install, remove
from stillme.transfer.sqlite.capture.log import ChangeLog, collapse, last_sequence
from stillme.transfer.sqlite.capture.probe_tries import Tries, UntriedError
from stillme.transfer.sqlite.capture.tables import CapturedTable, captured_tables, open_writable
from stillme.transfer.sqlite.reading.connect import quoted

_ROWS = 200
# Whether a try went well, and what to say of it.
Outcome = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class Probe:
    """One try. `table` is "" where the whole file was tried."""

    name: str
    table: str
    ok: bool
    note: str = ""


def run_probes(copy: Path, mappings: list[TableMapping]) -> list[Probe]:
    """Try capture on `copy`, a scratch copy of a legacy file. The copy is changed."""
    with closing(open_writable(copy)) as connection:
        tables = captured_tables(connection, mappings)
        before = _schema(connection)
        _shrink(connection, tables)
    install(copy, tables)
    probes: list[Probe] = []
    with closing(open_writable(copy)) as connection:
        for mapping, table in zip(mappings, tables, strict=True):
            probes += _table_probes(connection, mapping, table)
        all_frozen = partial(_all_frozen, connection, tables)
        probes.append(_tried("freeze of the file", "", all_frozen))
        probes.append(_tried("VACUUM", "", partial(_writes_all_anew, connection)))
    remove(copy)
    with closing(open_writable(copy)) as connection:
        probes.append(Probe("schema after removal", "", _schema(connection) == before))
    return probes


def _tried(name: str, table: str, attempt: Callable[[], Outcome]) -> Probe:
    try:
        return Probe(name, table, *attempt())
    except (UntriedError, sqlite3.Error) as error:
        return Probe(name, table, False, str(error))


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
    if not table.key:
        return [Probe("key", table.name, True, "no key column: its rows are re-read as a whole")]
    tries = Tries(connection, mapping, table)
    attempts = {name: partial(_is_logged, tries, attempt) for name, attempt in tries.all()}
    attempts["freeze"] = partial(_is_frozen, tries)
    return [_tried(name, table.name, attempt) for name, attempt in attempts.items()]


@contextmanager
def _undone(tries: Tries) -> Iterator[None]:
    """A transaction for one try, rolled back."""
    tries.connection.execute("BEGIN IMMEDIATE")
    tries.taken.clear()
    try:
        yield
    finally:
        tries.connection.execute("ROLLBACK")


def _is_logged(tries: Tries, attempt: Callable[[], set[Key]]) -> Outcome:
    with _undone(tries):
        expected = attempt()
        changes = ChangeLog(tries.connection).after(0, 2**31)
    logged = collapse(changes, [tries.mapping]).get(tries.table.name, [])
    lost = expected - set(logged)
    return not lost, f"not logged: {sorted(key.shown() for key in lost)}" if lost else ""


def _is_frozen(tries: Tries) -> Outcome:
    """A frozen table refuses every way of writing, OR IGNORE and OR REPLACE too.

    It also ends the writer's transaction, so that its lock is released.
    """
    connection = tries.connection
    tries.taken.clear()
    key, other = tries.put(tries.row(1)), tries.row(2)
    # This table alone: all of them for each of 120 tables were 170,000 statements.
    freeze_tables(connection, [tries.table])
    before = last_sequence(connection)
    where = f" WHERE {tries.key} = {tries.mark}"
    change = f"UPDATE {tries.name} SET {tries.key} = {tries.key}{where}"
    attempts: dict[str, Callable[[], object]] = {
        verb: partial(tries.put, other, verb)
        for verb in ("INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE")
    }
    attempts["UPDATE"] = partial(connection.execute, change, key.values)
    attempts["DELETE"] = partial(connection.execute, f"DELETE FROM {tries.name}{where}", key.values)
    passed = [verb for verb, attempt in attempts.items() if not _refused(connection, attempt)]
    ok = not passed and last_sequence(connection) == before
    drop_freeze(connection)
    tries.put(other)
    return ok, f"let through: {passed}" if passed else ""


def _all_frozen(connection: sqlite3.Connection, tables: list[CapturedTable]) -> Outcome:
    """Every table of the file can be frozen, those that no model declares, too."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        create_freeze(connection, tables, seconds=None)
        return True, ""
    finally:
        connection.execute("ROLLBACK")


def _writes_all_anew(connection: sqlite3.Connection) -> Outcome:
    """SQLite knows each collation and function of the schema, as the way back will have to."""
    connection.execute("VACUUM")
    return True, ""


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
