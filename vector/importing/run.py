"""The import of a Chroma folder: snapshot, every item accounted for, indexes where pgvector is."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from django.db import connections

from stillme.postgresql.statements import fetch_all
from stillme.transfer.errors import TargetError
from stillme.transfer.findings import OnEvent, ignore_event
from stillme.transfer.models import Run
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records import ledger
from vector import chroma
from vector.chroma.inventory import folder_lines, unread_lines
from vector.chroma.snapshot import database_folder
from vector.importing import earlier_collections
from vector.importing.collection import Loader, tell_notice
from vector.importing.result import CollectionResult, VectorImport, VectorOptions

__all__ = ["CollectionResult", "VectorImport", "VectorOptions", "import_vectors"]


def import_vectors(
    path: Path | str,
    *,
    on_event: OnEvent | None = None,
    dry_run: bool = False,
    options: VectorOptions | None = None,
    run: Run | None = None,
) -> VectorImport:
    """Import the store at `path`. Raises TransferError; what was committed before stays.

    With `run` it works inside that run and under its lock; without, it opens its own.
    """
    chosen = options or VectorOptions(dry_run=dry_run)
    listen = on_event or ignore_event
    started = time.monotonic()
    with ExitStack() as stack:
        store = stack.enter_context(chroma.open_store(Path(path)))
        if not chosen.dry_run and run is None:
            check_target(chosen.database)
            stack.enter_context(exclusive(chosen.database))
            run = stack.enter_context(_own_run(chosen, path))
        result = VectorImport(run.pk if run else None, store.layout, dry_run=chosen.dry_run)
        for notice in store.notices:
            tell_notice(result, listen, notice.sentence)
        result.inventory = store.table_lines()
        result.inventory += folder_lines(database_folder(Path(path)), store.connection)
        earlier_collections.refuse_other_store(Path(path), store.collections, chosen)
        for collection in store.collections:
            loader = Loader(store, collection, chosen, result, listen)
            result.tables.append(loader.load())
            scanned = store.scanned(collection)
            result.inventory += unread_lines(collection.name, scanned, loader.rows_read)
        if chosen.prune or not chosen.dry_run:
            ids = {collection.id for collection in store.collections}
            for sentence in earlier_collections.remove_gone(ids, chosen, result.run_id):
                tell_notice(result, listen, sentence)
    result.seconds = time.monotonic() - started
    return result


def check_target(alias: str) -> None:
    """Raise TargetError where the tables are not there yet."""
    sql = "SELECT to_regclass('vector.items'), to_regclass('transfer.quarantined_row')"
    if None in fetch_all(connections[alias], sql)[0]:
        raise TargetError("The target has no vector tables yet: run `manage.py migrate` first.")


class _own_run:  # noqa: N801 - a context manager, used like a function
    """A run of our own in the ledger, closed as what it was."""

    def __init__(self, options: VectorOptions, path: Path | str) -> None:
        self.alias = options.database
        self.run = ledger.start_run(self.alias, "import_vectors", {"path": str(path)})

    def __enter__(self) -> Run:
        return self.run

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            ledger.finish_run(self.alias, self.run, failed=False)
        else:
            ledger.fail_run(self.alias, self.run, error)
