"""What the vector folder's part in `import_sqlite` and `verify_migration` does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.models import Count

from stillme.postgresql.statements import execute
from stillme.transfer.findings import OnEvent
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.inventory.stores import StoreOptions, StoreReport
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.reading.connect import explain, open_legacy
from vector.chroma.inventory import folder_lines, is_store, table_lines, unreadable_lines
from vector.chroma.snapshot import copy_digest, copy_store
from vector.importing.run import import_vectors
from vector.judge.run import prove_vectors
from vector.models import Collection, Item
from vector.names import DATABASE, FILE, ledger_name
from vector.serving.indexes import drop_index


def import_folder(folder: Path, options: StoreOptions, run: Any, on_event: OnEvent) -> StoreReport:
    """Load it; a folder that cannot be read as a store is only accounted for."""
    if not is_store(folder):
        return _unreadable(folder)
    return import_vectors(folder, options, run, on_event)


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
    return prove_vectors(folder, options, on_event)


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
    return {ledger_name(*name): rows for *name, rows in counted}


def digest_now(folder: Path) -> str:
    """SHA-256 of a store as it is now: of a copy, as a proof has it."""
    with scratch_folder("chroma") as scratch:
        return copy_digest(copy_store(folder, scratch / "store"))[0]
