"""Staged rows that PostgreSQL refuses next to the other rows, or for what it computes of them.

Two rows of the file may have changed places: written one by one, the first clashes with what the
second still is. Then the changed rows are deleted and inserted again. Or the target has a unique
index that the file has not, or that finds texts equal which SQLite tells apart (`lower('Ä')`): then
the first row by key stays, and the others are quarantined as `refused_by_target`. So is a row of
which an index cannot hold an entry (a text of 5,000 characters), or whose generated column is
beyond its type: SQLite computes with 64 bits, PostgreSQL with those of the columns.

Everything is tried in a savepoint that is rolled back, and done for good outside of it: rows that a
savepoint wrote would bear the number of a subtransaction, which no write mark names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import DatabaseError, connections, transaction

from stillme.transfer.errors import TransferError
from stillme.transfer.key_columns import Condition
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import STAGE, execute, fetch_all, quoted
from stillme.transfer.postgresql.distributed import refuse_where_distributed

Row = tuple[Any, ...]
# A value that cannot be computed, a constraint, an index entry that is too long.
_ABOUT_A_ROW = ("22", "23", "54")
# Bytes that surely fit into an entry of any index: a B-tree takes 2,704.
_SURE_ENTRY = 2_000


@dataclass(frozen=True, slots=True)
class Clashes:
    """What a plain merge of the stage would be refused for.

    `rewrite`: changed rows must be deleted and inserted again. `refused` are staged keys, each with
    PostgreSQL's message, that it refuses even so.
    """

    rewrite: bool = False
    refused: list[tuple[Row, str]] = field(default_factory=list)


def find_clashes(
    alias: str, mapping: TableMapping, changed: Sequence[Row], merge: Callable[[], object]
) -> Clashes:
    """Try to `merge` the stage, in which the rows of the keys `changed` differ from the target.

    Raises TransferError where deleting a row would delete those that refer to it.
    """
    if not _may_refuse(alias, mapping) or _refusal(alias, mapping, merge) is None:
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


def _may_refuse(alias: str, mapping: TableMapping) -> bool:
    """Whether the target may refuse rows that the stage took: it has no indexes but the key's."""
    query = (
        "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = %s::regclass "
        "AND attgenerated <> '') OR EXISTS (SELECT 1 FROM pg_index WHERE indrelid = %s::regclass "
        "AND NOT indisprimary AND (indisunique OR indisexclusion OR indexprs IS NOT NULL "
        "OR indpred IS NOT NULL))"
    )
    return bool(fetch_all(alias, query, [mapping.relation] * 2)[0][0]) or _is_long(alias, mapping)


def _is_long(alias: str, mapping: TableMapping) -> bool:
    """Whether an entry of a staged row may be too long for an index."""
    indexed = fetch_all(
        alias,
        "SELECT DISTINCT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid "
        "AND attnum = ANY(indkey) WHERE indrelid = %s::regclass AND NOT indisprimary "
        "AND attlen < 0",
        [mapping.relation],
    )
    sizes = [f"coalesce(octet_length(s.{quoted(name)}::text), 0)" for (name,) in indexed]
    if not sizes:
        return False
    query = f"SELECT EXISTS (SELECT 1 FROM {STAGE} AS s WHERE {' + '.join(sizes)} > {_SURE_ENTRY})"
    return bool(fetch_all(alias, query)[0][0])


def _refuse_cascades(alias: str, mapping: TableMapping) -> None:
    query = (
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE confrelid = %s::regclass "
        "AND contype = 'f' AND confdeltype <> 'a'"
    )
    if found := fetch_all(alias, query, [mapping.relation]):
        raise TransferError(
            f"PostgreSQL refuses rows of {mapping.target} (a unique index, say), which would have "
            f"to be deleted and inserted again; but {found[0][0]} deletes or changes its own rows "
            "with them (ON DELETE): nothing was changed. Take that rule off its foreign key, then "
            "run the same command again."
        )


def _refusal(alias: str, mapping: TableMapping, work: Callable[[], object]) -> str | None:
    """What PostgreSQL says against it, None for nothing; in any case it is undone."""
    try:
        with transaction.atomic(using=alias):
            _ask_at_once(alias, mapping)
            work()
            transaction.set_rollback(True, using=alias)
    except DatabaseError as error:
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
    except DatabaseError as error:
        message = _message(error)
        if len(keys) == 1:
            return [(keys[0], message)]
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


def _message(error: DatabaseError) -> str:
    """PostgreSQL's message about a row. Raises the error where it is about something else."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or (cause.sqlstate or "")[:2] not in _ABOUT_A_ROW:
        raise error
    return cause.diag.message_primary or str(error)
