"""Transactions on live legacy files as the old classes open them, with a witness of each commit.

A connection per call, with the settings of the class it stands for. After an exception the old
classes do not close it: it stays open, with its transaction and its lock, until Python's collector
of cycles comes by. Here it stays open until `let_go`: a collector may not come for a long time.
(The old RSS class does close its connection. Here all four keep it, which is harder on others.)

Rows that a transaction touched are read back before its commit and handed to `on_commit` after it,
so that a test has a witness that knows nothing of capture.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillme.demo.samples import schema

Key = int | str
RSS_TIMEOUT = 10.0
RSS_ATTEMPTS = 5


@dataclass(frozen=True)
class Touched:
    """A row as it stood just before the commit; without a row, it was deleted."""

    table: str
    key: Key
    row: dict[str, Any] | None


@dataclass(frozen=True)
class Acknowledged:
    """One committed transaction. `at` orders the transactions of a file, also between processes."""

    method: str
    file: str
    at: int
    touched: list[Touched]


@dataclass
class Work:
    """An open transaction and the keys it touched."""

    connection: sqlite3.Connection
    keys: list[tuple[str, Key]] = field(default_factory=list)

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self.connection.execute(sql, values)

    def insert(self, table: str, **cells: Any) -> int:
        """INSERT the named cells, the way the old classes name them; the rest are defaults."""
        sql = schema.insert_sql(table, tuple(cells))
        number = self.execute(sql, tuple(cells.values())).lastrowid
        assert number is not None
        self.touch(table, cells.get("item_id", number) if table == "tier_metrics" else number)
        return number

    def touch(self, table: str, key: Key) -> None:
        """Remember that this row is to be read back."""
        self.keys.append((table, key))

    def read_back(self) -> list[Touched]:
        """The touched rows as they stand."""
        return [Touched(table, key, self._row(table, key)) for table, key in self.keys]

    def _row(self, table: str, key: Key) -> dict[str, Any] | None:
        column = "item_id" if table == "tier_metrics" else "id"
        cursor = self.execute(f"SELECT * FROM {table} WHERE {column} = ?", (key,))
        names = [description[0] for description in cursor.description]
        found = cursor.fetchone()
        return None if found is None else dict(zip(names, found, strict=True))


class Session:
    """Opens the files of a directory as the old application does, one transaction per call."""

    def __init__(
        self,
        directory: Path,
        on_commit: Callable[[Acknowledged], None] | None = None,
        *,
        synchronous: bool = True,
    ) -> None:
        self.directory = directory
        self._on_commit = on_commit
        self._synchronous = synchronous
        self._left_open: list[sqlite3.Connection] = []

    def _connect(self, file: str) -> sqlite3.Connection:
        path = self.directory / file
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; make the sample files first.")
        connection = _connect_rss(path) if file == schema.RSS else sqlite3.connect(path)
        if not self._synchronous:
            connection.execute("PRAGMA synchronous=OFF")
        return connection

    @contextmanager
    def transaction(self, file: str, method: str) -> Iterator[Work]:
        """One transaction; its time is taken while the file's write lock is held."""
        connection = self._connect(file)
        # Forgotten again only where nothing is raised.
        self._left_open.append(connection)
        work = Work(connection)
        yield work
        at, touched = time.monotonic_ns(), work.read_back()
        connection.commit()
        self._left_open.remove(connection)
        connection.close()
        if self._on_commit:
            self._on_commit(Acknowledged(method, file, at, touched))

    @property
    def left_open(self) -> int:
        """How many connections exceptions have left open."""
        return len(self._left_open)

    def let_go(self) -> None:
        """What the collector does in the end: close them; what was not committed is rolled back."""
        while self._left_open:
            self._left_open.pop().close()


def _connect_rss(path: Path) -> sqlite3.Connection:
    """Ten seconds of patience, five attempts, and WAL asked for each time."""
    for attempt in range(RSS_ATTEMPTS):
        connection = sqlite3.connect(path, timeout=RSS_TIMEOUT)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            connection.close()
            if attempt == RSS_ATTEMPTS - 1:
                raise
            time.sleep(0.05 * 2**attempt)
        else:
            return connection
    raise AssertionError("unreachable")
