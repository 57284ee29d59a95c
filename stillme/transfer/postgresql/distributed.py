"""What the engine cannot do with a table whose rows are on another node of a Citus cluster.

Such a table is only a shell here. A statement that names it goes whole to the node that has the
rows, so it cannot name a table of this node with it: not the stage, not the ledger, not the
quarantine. The rows carry the transaction ids of their node, which no write mark knows, so the
engine cannot tell the rows that it wrote from those of others, and takes all for others'. Triggers
are refused. A commit that does not wait for the disk could keep rows there and lose their record
here.

Whoever merges a stage asks `staged_for` once, and works with the answer: a `NearTable`, or a
`FarTable` that does the same by another way. What has no other way asks `refuse_where_distributed`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.postgresql.distributed import distributed_tables, is_distributed
from stillme.postgresql.statements import execute, fetch_all, set_local
from stillme.transfer.errors import StateError
from stillme.transfer.plumbing.quoting import quoted

_IMAGE = "transfer_image"
_IN_MEMORY, _BLOCK = 1 << 24, 1 << 16


def knows_writers(connection: BaseDatabaseWrapper, relation: str) -> bool:
    """Whether the `xmin` of the table's rows tells which transaction of this node wrote them."""
    return not is_distributed(connection, relation)


def refuse_where_distributed(connection: BaseDatabaseWrapper, what: str) -> None:
    """Raise StateError for what needs triggers on, or the transaction ids of, the target."""
    if sentence := why_not_distributed(connection, what):
        raise StateError(sentence)


def why_not_distributed(connection: BaseDatabaseWrapper, what: str) -> str:
    """The sentence of that refusal; empty while all tables are on this node."""
    names = sorted(distributed_tables(connection))
    if not names:
        return ""
    return (
        f"{what} does not work once tables are distributed over a Citus cluster "
        f"({names[0]} is): do it before `manage.py distribute` (docs/howto/run-on-a-cluster.md)."
    )


def commit_lazily(connection: BaseDatabaseWrapper) -> None:
    """Let the present transaction's commit return before the disk has it.

    For a chunk: rows and ledger record are one transaction, a crash loses both and the next run
    loads it again. The run's last commit waits, and with it everything before it is on disk.
    """
    if not distributed_tables(connection):
        set_local(connection, {"synchronous_commit": "off"})


def staged_for(
    connection: BaseDatabaseWrapper, relation: str, stage: str, keys: Sequence[str]
) -> NearTable:
    """The target table `relation`, to be merged with the rows of `stage` by their `keys`."""
    kind = FarTable if is_distributed(connection, relation) else NearTable
    return kind(connection, relation, stage, keys)


class NearTable:
    """A target table, called `t` in conditions, and the stage `s` whose rows go into it."""

    is_near = True

    def __init__(
        self, connection: BaseDatabaseWrapper, relation: str, stage: str, keys: Sequence[str]
    ) -> None:
        self._connection = connection
        self._relation = relation
        self._stage = stage
        self._keys = keys
        self.same_row = " AND ".join(f"t.{name} = s.{name}" for name in map(quoted, keys))

    def present(self) -> str:
        """The relation to read the target's rows of the staged keys from."""
        return self._relation

    def update(self, columns: Sequence[str], condition: str, values: Sequence[Any]) -> int:
        """Give rows their staged values where a condition on `t` and `s` holds; how many."""
        changes = ", ".join(f"{name} = s.{name}" for name in map(quoted, columns))
        return execute(
            self._connection,
            f"UPDATE {self._relation} AS t SET {changes} FROM {self._stage} AS s "
            f"WHERE {self.same_row} AND {condition}",
            values,
        )

    def insert(
        self, columns: Sequence[str], within: str = "TRUE", values: Sequence[Any] = ()
    ) -> int:
        """Insert the staged rows whose keys are not there; how many.

        `within` holds for every staged key, and spares the server a look at the whole table.
        """
        names = ", ".join(map(quoted, columns))
        sql = f"INSERT INTO {self._relation} ({names}) {self._new_rows(columns, within)}"
        return execute(self._connection, sql, values)

    def _new_rows(self, columns: Sequence[str], within: str) -> str:
        staged = ", ".join(f"s.{quoted(name)}" for name in columns)
        return (
            f"SELECT {staged} FROM {self._stage} AS s WHERE NOT EXISTS "
            f"(SELECT 1 FROM {self.present()} AS t WHERE {self.same_row} AND {within})"
        )


class FarTable(NearTable):
    """The same where the rows are on another node.

    The rows of the staged keys are copied into a temporary table of this node, the *image*, which
    the stage is compared with. What is found is written back row by row, or by COPY.
    """

    is_near = False
    _image = ""

    def present(self) -> str:
        """The image. It is made at the first call: the stage must be complete then."""
        self._image = self._image or self._make_image()
        return self._image

    def _make_image(self) -> str:
        names = ", ".join(f"array_agg(DISTINCT s.{quoted(name)})" for name in self._keys)
        found = fetch_all(self._connection, f"SELECT {names} FROM {self._stage} AS s")[0]
        wanted = " AND ".join(f"t.{quoted(name)} = ANY(%s)" for name in self._keys)
        execute(self._connection, f"DROP TABLE IF EXISTS pg_temp.{_IMAGE}")
        execute(
            self._connection,
            f"CREATE TEMPORARY TABLE {_IMAGE} ON COMMIT DROP AS "
            f"SELECT t.* FROM {self._relation} AS t WHERE {wanted}",
            [list(keys or ()) for keys in found],
        )
        execute(self._connection, f"ANALYZE pg_temp.{_IMAGE}")
        return f"pg_temp.{_IMAGE}"

    def update(self, columns: Sequence[str], condition: str, values: Sequence[Any]) -> int:
        """Row by row, by their text: it is exact for every type, and an untyped literal takes the
        column's."""
        names = [quoted(name) for name in (*self._keys, *columns)]
        parts = ", ".join(f"s.{name}::text" for name in names)
        found = fetch_all(
            self._connection,
            f"SELECT {parts} FROM {self._stage} AS s JOIN {self.present()} AS t ON {self.same_row} "
            f"WHERE {condition}",
            values,
        )
        count = len(self._keys)
        changes = ", ".join(f"{name} = %s" for name in names[count:])
        which = " AND ".join(f"{name} = %s" for name in names[:count])
        sql = f"UPDATE {self._relation} SET {changes} WHERE {which}"
        return sum(execute(self._connection, sql, [*r[count:], *r[:count]]) for r in found)

    def insert(
        self, columns: Sequence[str], within: str = "TRUE", values: Sequence[Any] = ()
    ) -> int:
        """By way of this process: what Citus makes of INSERT ... SELECT differs by version.

        The image holds the rows of the staged keys alone, so `within` is not needed.
        """
        names = ", ".join(map(quoted, columns))
        with (
            tempfile.SpooledTemporaryFile(_IN_MEMORY) as between,
            self._connection.cursor() as cursor,
        ):
            query = self._new_rows(columns, "TRUE")
            with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy:
                for block in copy:
                    between.write(block)
            between.seek(0)
            into = f"COPY {self._relation} ({names}) FROM STDIN (FORMAT binary)"
            with cursor.copy(into) as copy:
                while block := between.read(_BLOCK):
                    copy.write(block)
            return int(cursor.rowcount)
