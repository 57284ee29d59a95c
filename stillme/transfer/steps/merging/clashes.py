"""Staged rows that clash with other rows over a unique index of the target.

Two rows of the file may have changed places: written one by one, the first clashes with what the
second still is. Then the changed rows are deleted and inserted again. Or the target has a unique
index that the file has not, or that finds texts equal which SQLite tells apart (`lower('Ä')`): then
the first row by key stays, and the others are quarantined as `refused_by_target`.

Everything is tried in a savepoint that is rolled back, and done for good outside of it: rows that a
savepoint wrote would bear the number of a subtransaction, which no write mark names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import IntegrityError, connections, transaction

from stillme.transfer.errors import TransferError
from stillme.transfer.key_columns import Condition
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import STAGE, execute, fetch_all, quoted
from stillme.transfer.postgresql.distributed import refuse_where_distributed

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Clashes:
    """What a plain merge of the stage would clash over.

    `rewrite`: changed rows must be deleted and inserted again. `refused` are staged keys, each with
    PostgreSQL's message, that clash even so.
    """

    rewrite: bool = False
    refused: list[tuple[Row, str]] = field(default_factory=list)


def find_clashes(
    alias: str, mapping: TableMapping, changed: Sequence[Row], merge: Callable[[], object]
) -> Clashes:
    """Try to `merge` the stage, in which the rows of the keys `changed` differ from the target.

    Raises TransferError where deleting a row would delete those that refer to it.
    """
    if not has_unique_index(alias, mapping) or _refusal(alias, mapping, merge) is None:
        return Clashes()
    _refuse_cascades(alias, mapping)
    refused: list[tuple[Row, str]] = []

    def try_one_by_one() -> None:
        delete_rows(alias, mapping, mapping.relation, changed)
        keys = mapping.key_columns
        query = f"SELECT {keys.target('s')} FROM {STAGE} AS s ORDER BY {keys.target_order('s')}"
        refused.extend(_bisect(alias, mapping, fetch_all(alias, query)))

    _refusal(alias, mapping, try_one_by_one)
    return Clashes(True, refused)


def delete_rows(alias: str, mapping: TableMapping, relation: str, keys: Iterable[Key | Row]) -> int:
    """Delete the rows of these keys, of the target table or of the stage; how many."""
    among, values = mapping.key_columns.target_among(keys)
    return execute(alias, f"DELETE FROM {relation} WHERE {among}", values)


def has_unique_index(alias: str, mapping: TableMapping) -> bool:
    """Whether anything but the key is unique in the target."""
    query = (
        "SELECT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = %s::regclass "
        "AND (indisunique OR indisexclusion) AND NOT indisprimary)"
    )
    return bool(fetch_all(alias, query, [mapping.relation])[0][0])


def _refuse_cascades(alias: str, mapping: TableMapping) -> None:
    query = (
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE confrelid = %s::regclass "
        "AND contype = 'f' AND confdeltype <> 'a'"
    )
    if found := fetch_all(alias, query, [mapping.relation]):
        raise TransferError(
            f"Rows of {mapping.target} clash over a unique index, and would have to be deleted and "
            f"inserted again; but {found[0][0]} deletes or changes its own rows with them (ON "
            "DELETE): nothing was changed. Take that rule off its foreign key, then run the same "
            "command again."
        )


def _refusal(alias: str, mapping: TableMapping, work: Callable[[], object]) -> str | None:
    """What PostgreSQL says against it, None for nothing; in any case it is undone."""
    try:
        with transaction.atomic(using=alias):
            _ask_at_once(alias, mapping)
            work()
            transaction.set_rollback(True, using=alias)
    except IntegrityError as error:
        return _message(error)
    return None


def _ask_at_once(alias: str, mapping: TableMapping) -> None:
    """Deferred unique constraints, too; foreign keys stay deferred."""
    names = fetch_all(
        alias,
        "SELECT quote_ident(nspname) || '.' || quote_ident(conname) FROM pg_constraint AS k "
        "JOIN pg_namespace AS n ON n.oid = k.connamespace "
        "WHERE conrelid = %s::regclass AND contype IN ('u', 'x') AND condeferrable",
        [mapping.relation],
    )
    if names:
        # The setting stays on this node: the rows would be found unique, and the commit fail.
        refuse_where_distributed(connections[alias], "Merging over deferred unique constraints")
        listed = ", ".join(name for (name,) in names)
        execute(alias, f"SET CONSTRAINTS {listed} IMMEDIATE")


def _bisect(alias: str, mapping: TableMapping, keys: Sequence[Row]) -> list[tuple[Row, str]]:
    """Insert the staged rows of keys that the target has not; those that it refuses."""
    if not keys:
        return []
    try:
        with transaction.atomic(using=alias):
            _insert(alias, mapping, mapping.key_columns.target_among(keys, "s"))
    except IntegrityError as error:
        if len(keys) == 1:
            return [(keys[0], _message(error))]
        middle = len(keys) // 2
        left = _bisect(alias, mapping, keys[:middle])
        return left + _bisect(alias, mapping, keys[middle:])
    return []


def _insert(alias: str, mapping: TableMapping, among: Condition) -> None:
    names = [quoted(name) for name in mapping.target_columns]
    condition, values = among
    execute(
        alias,
        f"INSERT INTO {mapping.relation} ({', '.join(names)}) "
        f"SELECT {', '.join(f's.{name}' for name in names)} FROM {STAGE} AS s WHERE {condition} "
        f"AND NOT EXISTS (SELECT 1 FROM {mapping.relation} AS t "
        f"WHERE {mapping.key_columns.target_same('t', 's')})",
        values,
    )


def _message(error: IntegrityError) -> str:
    cause = error.__cause__
    primary = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return primary or str(error)
