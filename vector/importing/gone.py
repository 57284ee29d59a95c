"""What an earlier import left in the target and the store has no longer, or not as it was.

Items that are gone, and whole collections, are reported; `import_sqlite --prune` deletes them with
their kept originals, and the quarantine records of items that are gone as well.

Chroma knows a collection by its UUID: one that was deleted and made again under the same name is
another one, and StillMe does that when it resets its store. What was imported is told from what
was made here by `created_at`, for which the legacy has nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.db import connections, transaction

from stillme.postgresql.statements import execute, fetch_all
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.deletions import Deletion
from stillme.transfer.inventory.stores import StoreOptions
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.records import ledger
from stillme.transfer.records.outcome import MOST_KEYS
from stillme.visible import counted
from vector import chroma, models
from vector.importing import merging
from vector.importing.result import CollectionResult
from vector.names import FILE, ledger_name, target_name
from vector.serving import indexes


def refuse_other_store(
    path: Path, collections: Sequence[chroma.Collection], options: StoreOptions
) -> None:
    """Raise TransferError where `prune` would delete every collection that was ever imported.

    A store that has none of them, neither by UUID nor by name, is another one, or was emptied.
    """
    if not options.prune or options.moved:
        return
    imported = models.Collection.objects.using(options.database).filter(created_at=None)
    known = imported.filter(uuid__in=[each.id for each in collections])
    alike = imported.filter(name__in=[each.name for each in collections])
    count = imported.count()
    if count and not known.exists() and not alike.exists():
        raise TransferError(
            f"None of the imported collections ({count:,}) is in {path}, and --prune would "
            "delete all of them: set LEGACY_VECTOR_DIR to their store, or, where they were deleted "
            "there, give --moved."
        )


def make_room(
    collection: chroma.Collection,
    store_ids: set[str],
    options: StoreOptions,
    run_id: int | None,
) -> str:
    """Free the collection's name in the target where another has it; what was done, or ''.

    Raises TransferError where that one is not the import's to take away.
    """
    alias, name = options.database, collection.name
    place = {"tenant": collection.tenant, "database": collection.database, "name": name}
    rows = models.Collection.objects.using(alias).filter(**place)
    other = rows.exclude(uuid=collection.id).first()
    if other is None:
        return ""
    if str(other.uuid) in store_ids:
        # Renamed since, and its turn to be written is still to come.
        _rename(alias, other, f"{name} {other.uuid}")
        return ""
    if other.created_at is not None:
        raise TransferError(
            f"The target has a collection {name} that was not imported from this "
            "store: rename or delete it and run again."
        )
    if not options.prune:
        raise TransferError(
            f"The target has the collection {name} as an earlier import found it; the vector store "
            "has since deleted it and made another of that name: run `manage.py import_sqlite "
            "--file vector --prune` to put the new one in its place."
        )
    if not options.approve([_deletion_of(alias, other)]):
        raise TransferError(
            f"The target has the collection {name} as an earlier import found it, and the vector "
            "store has another of that name now; the earlier one was not deleted, because nobody "
            "confirmed it or --prune-share forbids it. Give --yes, and --prune-share 100."
        )
    items = _remove(other, options, run_id)
    what = f"The collection {name} was deleted and made again in the vector store"
    return f"{what}: with the earlier one {counted(items, 'item')} went here too."


def remove_gone(store_ids: set[str], options: StoreOptions, run_id: int | None) -> list[str]:
    """Imported collections that the store no longer has: deleted with `prune`, else named."""
    alias = options.database
    gone = models.Collection.objects.using(alias).filter(created_at=None)
    told = []
    rows = list(gone.exclude(uuid__in=store_ids).order_by("name", "pk"))
    found = [_deletion_of(alias, row) for row in rows] if options.prune else []
    allowed = options.prune and options.approve(found) and not options.dry_run
    for deletion in found:
        deletion.deleted = allowed
    for row in rows:
        what = f"The target's collection {row.name} is no longer in the vector store"
        if allowed:
            told.append(
                f"{what}: it was deleted with {counted(_remove(row, options, run_id), 'item')}."
            )
        elif options.prune and options.dry_run:
            told.append(f"{what}: --prune deletes it.")
        else:
            told.append(f"{what}; it was left as it is (--prune deletes it).")
    return told


def _deletion_of(alias: str, row: models.Collection) -> Deletion:
    """A whole collection, as a share of all that was imported."""
    items = models.Item.objects.using(alias)
    theirs = items.filter(collection=row)
    table = ledger_name(row.tenant, row.database, row.name)
    imported = models.Collection.objects.using(alias).filter(created_at=None)
    records = [each.objects.using(alias).filter(file=FILE) for each in (KeptCell, QuarantinedRow)]
    return Deletion(
        FILE,
        table,
        target_name(table),
        rows=theirs.count(),
        of=items.filter(collection__created_at=None).count(),
        keys=list(theirs.order_by("pk").values_list("embedding_id", flat=True)[:MOST_KEYS]),
        # The collection itself among them.
        records=1 + sum(each.filter(table=table).count() for each in records),
        of_records=imported.count() + sum(each.count() for each in records),
    )


def _remove(row: models.Collection, options: StoreOptions, run_id: int | None) -> int:
    """Delete a collection with all that belongs to it; how many items it had.

    Raises TransferError where the target side has written some of them, and `overwrite` is not on.
    """
    alias = options.database
    table = ledger_name(row.tenant, row.database, row.name)
    with transaction.atomic(using=alias):
        theirs = fetch_all(
            connections[alias],
            f"SELECT count(*) FROM {merging.ITEMS} AS t "
            f"WHERE t.collection_id = %s AND NOT {merging.OURS}",
            [row.pk],
        )[0][0]
        if theirs and not options.overwrite:
            written = counted(theirs, "item here that was", "items here that were")
            raise TransferError(
                f"The collection {row.name}, which the vector store no longer has, has {written} "
                "written since the import: run with --prune --overwrite to delete that, too."
            )
        indexes.drop_index(row)
        sql = f"DELETE FROM {merging.ITEMS} WHERE collection_id = %s"
        items = execute(connections[alias], sql, [row.pk])
        for records in (KeptCell, QuarantinedRow):
            records.objects.using(alias).filter(file=FILE, table=table).delete()
        row.delete(using=alias)
        ledger.mark_write(alias, run_id)
    return items


def follow_rename(alias: str, collection: chroma.Collection) -> None:
    """What the ledger keeps of a collection that was renamed goes under its new name."""
    row = models.Collection.objects.using(alias).filter(uuid=collection.id).first()
    if row is not None and row.name != collection.name:
        _rename(alias, row, collection.name)


def _rename(alias: str, row: models.Collection, name: str) -> None:
    then, now = (ledger_name(row.tenant, row.database, each) for each in (row.name, name))
    for records in (KeptCell, QuarantinedRow):
        records.objects.using(alias).filter(file=FILE, table=then).update(table=now)
    models.Collection.objects.using(alias).filter(pk=row.pk).update(name=name)


def find_vanished(pk: int, result: CollectionResult, options: StoreOptions) -> None:
    """Note in `result` which items are gone of the collection `pk`; delete them if so wished."""
    alias, table = options.database, result.table
    rows = fetch_all(
        connections[alias],
        f"SELECT t.embedding_id FROM {merging.ITEMS} AS t "
        f"WHERE t.collection_id = %s AND {merging.OURS} ORDER BY 1",
        [pk],
    )
    gone = [key for (key,) in rows if not result.has(key)]
    outcome = result.outcome
    outcome.vanished_count, outcome.vanished = len(gone), gone[:MOST_KEYS]
    if not options.prune:
        return
    records = QuarantinedRow.objects.using(alias).filter(file=FILE, table=table)
    surplus = [
        record
        for record, key, number in records.values_list("pk", "key", "rowid")
        if not result.has(number if key is None else key)
    ]
    found = Deletion(
        FILE,
        table,
        target_name(table),
        rows=len(gone),
        of=models.Item.objects.using(alias).filter(collection_id=pk).count() if gone else 0,
        keys=gone[:MOST_KEYS],
        records=len(surplus),
        of_records=records.count(),
    )
    if options.approve([found]) and not options.dry_run:
        found.deleted = True
        records.filter(pk__in=surplus).delete()
        KeptCell.objects.using(alias).filter(file=FILE, table=table, key__in=gone).delete()
        sql = f"DELETE FROM {merging.ITEMS} WHERE collection_id = %s AND embedding_id = ANY(%s)"
        outcome.pruned = execute(connections[alias], sql, [pk, gone])
