"""The import of a Chroma folder: snapshot, every item accounted for, indexes where pgvector is."""

from __future__ import annotations

from pathlib import Path

from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.inventory.stores import StoreOptions, StoreReport
from stillme.transfer.models import Run
from vector import chroma
from vector.chroma.inventory import is_store, unreadable_report
from vector.importing import gone
from vector.importing.collection import Loader
from vector.names import FILE


def import_vectors(
    folder: Path, options: StoreOptions, run: Run | None, on_event: OnEvent
) -> StoreReport:
    """Import the store in `folder` inside `run` and under its lock; a dry run has none.

    A folder that cannot be read as a store is only accounted for.
    Raises TransferError; what was committed before stays.
    """
    report = StoreReport()
    run_id = run.pk if run else None

    def say(sentence: str) -> None:
        report.notices.append(f"{FILE}: {sentence}")
        on_event(Event("notice", {"file": FILE, "message": sentence}))

    if not is_store(folder):
        return unreadable_report(folder)
    with chroma.open_store(folder) as store:
        for notice in store.notices:
            say(notice)
        report.inventory = store.inventory(folder)
        gone.refuse_other_store(folder, store.collections, options)
        for collection in store.collections:
            loaded = Loader(store, collection, options, run_id, say, on_event).load()
            report.tables.append(loaded)
            report.inventory += store.unread(collection, loaded.rows_read)
        if options.prune or not options.dry_run:
            ids = {collection.id for collection in store.collections}
            for sentence in gone.remove_gone(ids, options, run_id):
                say(sentence)
    report.notices += [f"{FILE}: {table.index}" for table in report.tables if table.index]
    return report
