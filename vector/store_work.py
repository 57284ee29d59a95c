"""What the vector folder's part in `import_sqlite` and `verify_migration` does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.models import Count

from stillme.postgresql.statements import execute
from stillme.transfer.findings import FindingKind, OnEvent
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.inventory.stores import StoreOptions, StoreReport
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.reading.connect import explain, open_legacy
from stillme.transfer.verify.result import Findings, TableProof
from vector.chroma.inventory import folder_lines, is_store, table_lines, unreadable_lines
from vector.chroma.snapshot import copy_digest, copy_store
from vector.importing.conversion import table_name
from vector.importing.run import VectorOptions, import_vectors
from vector.judge.run import CollectionProof, prove_vectors
from vector.models import Collection, Item
from vector.names import DATABASE, FILE
from vector.serving.indexes import drop_index


def import_folder(folder: Path, options: StoreOptions, run: Any, on_event: OnEvent) -> StoreReport:
    """Load it; a folder that cannot be read as a store is only accounted for."""
    if not is_store(folder):
        return _unreadable(folder)
    chosen = VectorOptions(
        dry_run=options.dry_run,
        prune=options.prune,
        overwrite=options.overwrite,
        moved=options.moved,
        approve=options.approve,
        jobs=options.jobs,
        database=options.database,
    )
    result = import_vectors(folder, options=chosen, run=run, on_event=on_event)
    notices = [f"{FILE}: {notice}" for notice in result.notices]
    indexes = [f"{FILE}: {table.index}" for table in result.tables if table.index]
    return StoreReport(list(result.tables), notices=notices + indexes, inventory=result.inventory)


def empty_tables(alias: str) -> None:
    """Delete items, collections and the index of each, in the caller's transaction."""
    for collection in Collection.objects.using(alias):
        drop_index(collection)
    names = ", ".join(model._meta.db_table for model in (Item, Collection))
    execute(connections[alias], f"TRUNCATE {names} RESTART IDENTITY")


def prove_folder(folder: Path, options: StoreOptions, on_event: OnEvent) -> StoreReport:
    """Compare it with the target; a folder that cannot be read as a store is only accounted for."""
    if not is_store(folder):
        return _unreadable(folder)
    proof = prove_vectors(
        folder,
        on_event=on_event,
        database=options.database,
        level=options.level,
        sample=options.sample,
        jobs=options.jobs,
    )
    judged = {"path": str(folder), "sha256": proof.sha256, "size": proof.size}
    report = StoreReport(files={FILE: judged}, inventory=proof.inventory)
    report.notices = [f"{FILE}: {notice}" for notice in proof.notices]
    for collection in proof.collections:
        report.tables.append(_table_proof(collection))
        if collection.more_extra:
            what = f"{collection.more_extra:,} more rows of the target are extra than are listed"
            report.notices.append(f"{FILE}: {collection.name}: {what}.")
        if collection.words:
            name = collection.table.partition(".")[2]
            report.notices.append(f"{FILE}: {name}: {collection.words}.")
    report.findings = proof.general
    return report


def inventory_now(folder: Path) -> list[InventoryLine]:
    """What is in the folder now, read in place. Raises LegacyFileError where it cannot be read."""
    if not is_store(folder):
        return unreadable_lines(folder)
    database = folder / DATABASE
    with closing(open_legacy(database)) as connection:
        try:
            return table_lines(connection) + folder_lines(folder, connection)
        except sqlite3.Error as error:
            raise explain(database, error) from error


def _unreadable(folder: Path) -> StoreReport:
    lines = unreadable_lines(folder)
    report = StoreReport(inventory=lines)
    if lines:
        report.notices = [f"{FILE}: {folder} was not read: {lines[0].why}."]
    return report


def items_by_table(alias: str) -> dict[str, int]:
    """Items of imported collections, by the names of the import; others were made here."""
    imported = Item.objects.using(alias).filter(collection__created_at=None).order_by()
    place = ("collection__tenant", "collection__database", "collection__name")
    counted = imported.values_list(*place).annotate(rows=Count("pk"))
    return {table_name(*name): rows for *name, rows in counted}


def _table_proof(collection: CollectionProof) -> TableProof:
    """In the judge's words. Open rows are counted, not found a second time."""
    findings = Findings()
    findings.extend(f for f in collection.findings if f.kind is not FindingKind.QUARANTINE_OPEN)
    if collection.more_extra:
        findings.counts[FindingKind.EXTRA_ROW] += collection.more_extra
    items = collection.items
    return TableProof(
        FILE,
        collection.table,
        f"vector.items ({collection.table.partition('.')[2]})",
        legacy_rows=collection.legacy_ids,
        target_rows=collection.target_rows,
        by_cell=items.equal,
        # Of each item: id, vector, where it was read, time, sequence; and what it has besides.
        cells=5 * items.equal + items.documents + items.metadata_values,
        repaired=items.repaired,
        open=collection.open,
        accepted=collection.accepted,
        findings=findings,
        seconds=collection.seconds,
        compared=items.items,
    )


def digest_now(folder: Path) -> str:
    """SHA-256 of a store as it is now: of a copy, as a proof has it."""
    with scratch_folder("chroma") as scratch:
        return copy_digest(copy_store(folder, scratch / "store"))[0]
