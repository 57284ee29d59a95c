"""The ways of writing to one table that a probe tries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import each
from stillme.transfer.plumbing.quoting import row as row_of
from stillme.transfer.sqlite.capture.log import last_sequence
from stillme.transfer.sqlite.capture.tables import CapturedTable, UniqueIndex
from stillme.transfer.sqlite.capture.templates import CHANGE_TABLE
from stillme.transfer.sqlite.reading.connect import quoted

_UNREADABLE = "\ufffd"


class UntriedError(Exception):
    """The try cannot be made, or must fail."""


class Tries:
    """The ways of writing to one table; each returns the keys that must be in the log."""

    def __init__(
        self, connection: sqlite3.Connection, mapping: TableMapping, table: CapturedTable
    ) -> None:
        self.connection = connection
        self.mapping = mapping
        self.table = table
        self.name = quoted(table.name)
        self.key = row_of(each(table.key.names, ""))
        self.mark = row_of(["?"] * len(table.key.names))
        # The keys of the rows of the present try.
        self.taken: list[Key] = []
        # The triggers are tried, not the checks, which samples may break.
        connection.execute("PRAGMA ignore_check_constraints = ON")

    def all(self) -> Iterator[tuple[str, Callable[[], set[Key]]]]:
        """(name, try) pairs."""
        yield "insert", self.insert
        yield "update", self.update
        yield "key update", self.rekey
        yield "delete", partial(self.change, "DELETE FROM {table} WHERE {key} = {mark}")
        yield "delete without WHERE", self.delete_all
        yield "insert or replace", self.replace
        for index in self.table.uniques:
            yield f"replace over {index.name}", partial(self.replace_unique, index)
        if self.table.has_rowid and not self.table.key_is_rowid:
            yield "replace over the rowid", self.replace_rowid

    def row(self, number: int) -> dict[str, object]:
        """A row of the file, taken out of its table, so that it can be written again.

        A table's checks and unique indexes take it, as they may not take invented values. Where no
        row is left, it is the `number`-th of samples.
        """
        names = self._written()
        listed = ", ".join(map(quoted, names))
        usual = self.table.key.legacy_usual()
        among, values = self.table.key.legacy_among(self.taken) if self.taken else ("0", [])
        query = f"SELECT {listed} FROM {self.name} NOT INDEXED WHERE {usual} AND NOT {among} "
        found = self._readable(f"{query}LIMIT 1", values)
        row = self._sample(number) if found is None else dict(zip(names, found, strict=True))
        if any(_UNREADABLE in str(value) for value in self.key_of(row).values):
            # Not the bytes that are stored: such a key would find no row.
            row = self._sample(number)
        key = self.key_of(row)
        self.taken.append(key)
        before = last_sequence(self.connection)
        self.connection.execute(
            f"DELETE FROM {self.name} WHERE {self.key} = {self.mark}", key.values
        )
        self.connection.execute(f"DELETE FROM {CHANGE_TABLE} WHERE sequence > ?", (before,))
        return row

    def key_of(self, row: dict[str, object]) -> Key:
        return Key.of(*(row[name] for name in self.table.key.names))  # type: ignore[arg-type]

    def _readable(self, query: str, values: Sequence[object]) -> tuple[object, ...] | None:
        """Return the query's row, if any, with bytes that are not UTF-8 replaced.

        Triggers do the same with either.
        """
        before = self.connection.text_factory
        self.connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            found: tuple[object, ...] | None = self.connection.execute(query, values).fetchone()
        finally:
            self.connection.text_factory = before
        return found

    def _written(self) -> list[str]:
        """The columns that SQLite does not compute."""
        info = self.connection.execute(f"PRAGMA table_xinfo({self.name})").fetchall()
        return [str(column[1]) for column in info if column[6] == 0]

    def _sample(self, number: int) -> dict[str, object]:
        """A row of usual values, with a key of its own."""
        row: dict[str, object] = {
            c.legacy: c.kind.sample(number)
            for c in self.mapping.columns
            if c.legacy not in self.mapping.generated
        }
        info = self.connection.execute(f"PRAGMA table_info({self.name})").fetchall()
        for name, not_null, default in ((i[1], i[3], i[4]) for i in info):
            if name not in row and not_null and default is None:
                row[name] = f"probe{number}"
        for column in self.table.key:
            if not column.holds_text:
                row[column.legacy] = self.free_number(column.legacy) + number
        return row

    def free_number(self, column: str) -> int:
        name = quoted(column)
        found = self.connection.execute(
            f"SELECT max({name}) FROM {self.name} WHERE typeof({name}) = 'integer'"
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
        return self.key_of(row)

    def insert(self) -> set[Key]:
        # The way back leaves undeclared columns to their defaults: whether SQLite knows all that
        # these call. EXPLAIN compiles, and writes nothing.
        self.connection.execute(f"EXPLAIN INSERT INTO {self.name} DEFAULT VALUES").fetchall()
        return {self.put(self.row(1))}

    def change(self, statement: str) -> set[Key]:
        key = self.start()
        self.connection.execute(
            statement.format(table=self.name, key=self.key, mark=self.mark), key.values
        )
        return {key}

    def update(self) -> set[Key]:
        return self.change("UPDATE {table} SET {key} = {key} WHERE {key} = {mark}")

    def rekey(self) -> set[Key]:
        keys = [self.start()]
        for at, name in enumerate(self.table.key.names):
            values = list(keys[-1].values)
            is_number = isinstance(values[at], int)
            values[at] = self.free_number(name) if is_number else "transfer-probe-moved"
            self.connection.execute(
                f"UPDATE {self.name} SET {quoted(name)} = ? WHERE {self.key} = {self.mark}",
                (values[at], *keys[-1].values),
            )
            keys.append(Key.of(*values))
        return set(keys)

    def delete_all(self) -> set[Key]:
        keys = {self.put(self.row(1)), self.put(self.row(2))}
        self.clear()
        self.connection.execute(f"DELETE FROM {self.name}")
        return keys

    def replace(self) -> set[Key]:
        row = self.row(1)
        key = self.put(row)
        self.clear()
        self.put(row, "INSERT OR REPLACE")
        return {key}

    def replace_unique(self, index: UniqueIndex) -> set[Key]:
        first, second = self.row(1), self.row(2)
        if not index.columns:
            raise UntriedError("a unique index that is not understood: a REPLACE goes unseen")
        # An expression may be of any columns.
        every = [name for name in first if name not in self.table.key.names]
        columns = every if index.by_expression else [column for column, _ in index.columns]
        sample = self._sample(1)
        for column in columns:
            # A NULL clashes with nothing.
            if first.get(column) is None:
                first[column] = sample.get(column)
            second[column] = first.get(column)
        if all(first.get(column) is None for column in columns):
            raise UntriedError("no value to clash over")
        keys = {self.put(first)}
        self.clear()
        return keys | {self.put(second, "INSERT OR REPLACE")}

    def replace_rowid(self) -> set[Key]:
        key = self.put(self.row(1))
        rowid = self.connection.execute("SELECT last_insert_rowid()").fetchone()[0]
        self.clear()
        return {key, self.put(self.row(2), "INSERT OR REPLACE", rowid=rowid)}

    def start(self) -> Key:
        key = self.put(self.row(1))
        self.clear()
        return key

    def clear(self) -> None:
        self.connection.execute(f"DELETE FROM {CHANGE_TABLE} WHERE sequence > 0")
