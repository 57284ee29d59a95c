"""Statements on the target by its alias, and COPY into a table of it or into a staging table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.postgresql import statements
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.csv_format import COPY_OPTIONS
from stillme.transfer.plumbing.quoting import quoted as quoted

STAGE = "transfer_stage"


def fetch_all(alias: str, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a query on the database of an alias and return its rows."""
    return statements.fetch_all(connections[alias], sql, params)


def execute(alias: str, sql: str, params: Sequence[Any] = ()) -> int:
    """Run a statement there and return how many rows it touched."""
    return statements.execute(connections[alias], sql, params)


def copy_csv(
    connection: BaseDatabaseWrapper,
    relation: str,
    columns: Sequence[str],
    blocks: Iterable[bytes],
) -> None:
    """Send CSV blocks into `relation`. Raises psycopg.Error where PostgreSQL refuses a value."""
    names = ", ".join(quoted(column) for column in columns)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {relation} ({names}) FROM STDIN ({COPY_OPTIONS})") as copy,
    ):
        for block in blocks:
            copy.write(block)


def create_stage(connection: BaseDatabaseWrapper, mapping: TableMapping) -> None:
    """An empty staging table of the target's shape, checks included, gone at commit."""
    with connection.cursor() as cursor:
        # One trip: a follower makes a dozen of them a round.
        cursor.execute(
            f"DROP TABLE IF EXISTS pg_temp.{STAGE}; "
            f"CREATE TEMPORARY TABLE {STAGE} (LIKE {mapping.relation} "
            "INCLUDING DEFAULTS INCLUDING CONSTRAINTS) ON COMMIT DROP; "
            f"CREATE UNIQUE INDEX ON {STAGE} ({mapping.key_columns.target_names()})"
        )


class StageWriter:
    """Copies lines into the stage; on refusal bisects until the refused lines are alone."""

    def __init__(self, connection: BaseDatabaseWrapper, columns: Sequence[str]) -> None:
        self._connection = connection
        self._columns = columns

    def try_blocks(self, blocks: Iterable[bytes]) -> bool:
        """Copy a stream whole, or not at all."""
        return self.refusal(blocks) is None

    def refusal(self, blocks: Iterable[bytes]) -> str | None:
        """The same; PostgreSQL's message where it refuses."""
        try:
            self._copy(blocks)
        except psycopg.Error as error:
            if lost_connection(error):
                raise
            return str(error.diag.message_primary or type(error).__name__)
        return None

    def lines(self, lines: Sequence[str]) -> list[tuple[int, str]]:
        """Copy `lines`; return (index, PostgreSQL's message) of those it refuses."""
        return self._bisect(lines, 0) if lines else []

    def _bisect(self, lines: Sequence[str], start: int) -> list[tuple[int, str]]:
        message = self.refusal(["".join(lines).encode("utf-8")])
        if message is None:
            return []
        if len(lines) == 1:
            return [(start, message)]
        middle = len(lines) // 2
        return self._bisect(lines[:middle], start) + self._bisect(lines[middle:], start + middle)

    def _copy(self, blocks: Iterable[bytes]) -> None:
        savepoint = str(self._connection.savepoint())
        try:
            copy_csv(self._connection, f"pg_temp.{STAGE}", self._columns, blocks)
        except psycopg.Error as error:
            if not lost_connection(error):
                self._connection.savepoint_rollback(savepoint)
                # Rolling back leaves the savepoint open, and the rows to come would be those of
                # its subtransaction, which no write mark names.
                self._connection.savepoint_commit(savepoint)
            raise
        self._connection.savepoint_commit(savepoint)


_NOT_ABOUT_A_VALUE = ("08", "53", "57", "58")


def lost_connection(error: psycopg.Error) -> bool:
    """Whether the error is about the server (gone, disk full, shut down), not about a value."""
    state = error.sqlstate
    return state is None or state[:2] in _NOT_ABOUT_A_VALUE
