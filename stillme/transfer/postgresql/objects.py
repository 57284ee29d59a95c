"""Indexes and foreign keys that are taken down for a large load and built again (law 9).

The definition is written in the transaction that drops the object and deleted in the one that
builds it, so a `kill -9` in between leaves a record from which the next run restores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.db import IntegrityError, connections, transaction

from stillme.postgresql.statements import set_local
from stillme.transfer.models import DroppedObject
from stillme.transfer.plumbing.processes import SessionThreads, usable_cores
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted
from stillme.transfer.postgresql.locks import exclusive_transaction


def take_down(
    alias: str,
    relation: str,
    run_id: int | None,
    *,
    indexes: bool = True,
    foreign_keys: bool = True,
    parents: Sequence[str] = (),
) -> None:
    """Drop the secondary indexes of `relation` and its foreign keys, or those to `parents` only."""
    constraints = fetch_all(
        alias,
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype = 'f' "
        "AND (%s OR confrelid = ANY(%s::text[]::regclass[])) ORDER BY conname",
        [relation, foreign_keys, list(parents)],
    )
    found = fetch_all(
        alias,
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index AS i "
        "JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = i.indexrelid) "
        "AND NOT i.indisunique AND %s ORDER BY c.relname",
        [relation, indexes],
    )
    schema = relation.split(".")[0]
    dropped = [
        DroppedObject(
            relation=relation,
            name=name,
            is_constraint=is_constraint,
            definition=definition,
            run_id=run_id,
        )
        for is_constraint, rows in ((True, constraints), (False, found))
        for name, definition in rows
    ]
    with exclusive_transaction(alias):
        DroppedObject.objects.using(alias).bulk_create(dropped)
        for name, _ in constraints:
            execute(alias, f"ALTER TABLE {relation} DROP CONSTRAINT {quoted(name)}")
        for name, _ in found:
            execute(alias, f"DROP INDEX {schema}.{quoted(name)}")


def dropped_objects(alias: str, relation: str | None = None) -> list[DroppedObject]:
    """What is down: indexes first, because a foreign key is checked with their help."""
    found = DroppedObject.objects.using(alias).order_by("is_constraint", "relation", "name")
    return list(found if relation is None else found.filter(relation=relation))


def build_again(alias: str, dropped: DroppedObject, *, helped: bool = True) -> None:
    """Build one object as it was, and forget its record, in one transaction.

    An index is `helped` by parallel workers of the server unless others are built next to it.
    Raises IntegrityError where rows do not keep a foreign key: it stays down and recorded.
    """
    connection = connections[alias]
    with transaction.atomic(using=alias, durable=True):
        if dropped.is_constraint:
            execute(
                alias,
                f"ALTER TABLE {dropped.relation} ADD CONSTRAINT {quoted(dropped.name)} "
                f"{dropped.definition}",
            )
        else:
            set_local(connection, {"maintenance_work_mem": "128MB"})
            if not helped:
                set_local(connection, {"max_parallel_maintenance_workers": 0})
            execute(alias, dropped.definition)
        DroppedObject.objects.using(alias).filter(pk=dropped.pk).delete()


def build_all_again(alias: str, dropped: Sequence[DroppedObject]) -> None:
    """Build objects of one relation: indexes side by side, then foreign keys, which use them."""
    _side_by_side(alias, [each for each in dropped if not each.is_constraint])
    for constraint in (each for each in dropped if each.is_constraint):
        build_again(alias, constraint)


def _side_by_side(alias: str, indexes: Sequence[DroppedObject]) -> None:
    """Build each index in its own session.

    That is a quarter faster than one parallel build after the other (measured). One index alone,
    or one core, needs no second session.
    """
    if len(indexes) < 2 or usable_cores() < 2:
        for index in indexes:
            build_again(alias, index)
        return
    with SessionThreads(alias) as threads:
        # The list raises what a build raised.
        list(threads.map(partial(build_again, alias, helped=False), indexes))


def restore_all(alias: str) -> int:
    """Build everything that an earlier run left down. Returns how many objects.

    A foreign key whose parent rows are not there is left for the end of its table's import, which
    may bring them.
    """
    built = 0
    for dropped in dropped_objects(alias):
        try:
            build_again(alias, dropped)
        except IntegrityError:
            continue
        built += 1
    return built
