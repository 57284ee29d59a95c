"""Whether PostgreSQL really refuses a row that was set aside as `refused_by_target`.

By docs/reference/values.md such a row can be loaded, and the loader says that PostgreSQL refused
it: a key is longer than an index entry can be, say. The judge does not believe that. It inserts the
row into an empty temporary copy of the table, then next to the other rows of the table itself (what
is unique may be taken), and rolls back. A table that is frozen for a cut-over cannot be tried.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import DatabaseError, connections, transaction

from stillme.postgresql.statements import execute, set_local
from stillme.transfer import kinds
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.plumbing.own_sql import ORIGIN, REPLAY
from stillme.transfer.plumbing.quoting import quoted
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.huge_text import HugeText
from stillme.transfer.verify.rows.row_expectation import Fate
from stillme.transfer.verify.sides.target_table import select

_IMAGE = "pg_temp.judged_row"
TAKEN = "PostgreSQL takes this row"
NOT_TRIED = "whether PostgreSQL refuses this row could not be tried"
# Not about the row: a standby, a role without the right to make a temporary table.
_CANNOT_TRY = (
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.LockNotAvailable,
)


def takes_row(alias: str, mapping: TableMapping, fate: Fate) -> str:
    """`TAKEN` where PostgreSQL takes the row, `NOT_TRIED`, or "" where it refuses the row."""
    names, values = [], []
    for name, value in fate.values.items():
        if isinstance(value, HugeText):
            return NOT_TRIED
        names.append(quoted(name))
        values.append(_parameter(mapping, name, value))
    marks = ", ".join(["%s"] * len(names))
    into = f"({', '.join(names)}) VALUES ({marks})"
    try:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(
                f"CREATE TEMPORARY TABLE {_IMAGE} (LIKE {mapping.relation} INCLUDING ALL) "
                "ON COMMIT DROP"
            )
            cursor.execute(f"INSERT INTO {_IMAGE} {into}", values)
            # After a rollback the table takes the engine's rows only.
            set_local(connections[alias], {"lock_timeout": "5s", ORIGIN: REPLAY})
            _ask_at_once(alias, mapping)
            cursor.execute(f"INSERT INTO {mapping.relation} {into}", values)
            transaction.set_rollback(True, using=alias)
    except (psycopg.Error, DatabaseError) as error:
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        if isinstance(cause, _CANNOT_TRY):
            return NOT_TRIED
        if isinstance(cause, psycopg.errors.UniqueViolation) and _is_key(alias, mapping, cause):
            # An earlier version of the row is there. That is told elsewhere.
            return TAKEN
        if not isinstance(cause, psycopg.Error) or (cause.sqlstate or "08")[:2] in ("08", "57"):
            raise
        return ""
    return TAKEN


def _ask_at_once(alias: str, mapping: TableMapping) -> None:
    """Unique constraints that wait for the commit, which never comes; no foreign keys."""
    query = (
        "SELECT format('%%s.%%I', connamespace::regnamespace, conname) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND condeferrable AND contype IN ('p', 'u', 'x')"
    )
    for (name,) in select(alias, query, [mapping.relation]):
        execute(connections[alias], f"SET CONSTRAINTS {name} IMMEDIATE")


def _is_key(alias: str, mapping: TableMapping, error: psycopg.errors.UniqueViolation) -> bool:
    """Whether it is the primary key of the table that is taken."""
    query = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'"
    names = [row[0] for row in select(alias, query, [mapping.relation])]
    return error.diag.constraint_name in names


def _parameter(mapping: TableMapping, target: str, value: Any) -> Any:
    """An expected value, as the judge compares it, for PostgreSQL to take."""
    column = next((c for c in mapping.columns if c.target == target), None)
    if value is None or (column is None and target != EXTRA_COLUMN):
        return value
    return judge_of(column.kind if column else kinds.Json()).parameter(value)
