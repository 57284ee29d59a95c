"""The import of a Chroma folder: snapshot, every item accounted for, indexes where pgvector is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.db import DatabaseError, connections, transaction

from stillme.transfer import ledger
from stillme.transfer.errors import TargetError, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.models import KeptCell, QuarantinedRow, Run, RunTable
from stillme.transfer.postgresql.copy import execute, fetch_all
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.steps.outcome import MOST_KEYS, Outcome
from vector import chroma, indexes, merging, models
from vector.conversion import (
    FILE,
    Aside,
    Ready,
    convert,
    legacy_table,
    set_problem_aside,
)

BATCH_ROWS = 10_000
Record = chroma.Item | chroma.Problem


@dataclass(slots=True)
class CollectionResult:
    """What became of one collection."""

    table: str
    outcome: Outcome = field(default_factory=Outcome)
    origins: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    index: str = ""
    file: str = FILE
    target: str = "vector.items"
    chunks: int = 0
    skipped_chunks: int = 0


@dataclass(slots=True)
class VectorImport:
    """What became of the import. `conserved` is law 1 over all collections."""

    run_id: int | None
    layout: str
    tables: list[CollectionResult] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def conserved(self) -> bool:
        """Whether every legacy item is loaded, repaired or quarantined."""
        return all(table.outcome.conserved for table in self.tables)

    @property
    def conflicts(self) -> int:
        """Items left alone because the target side changed them."""
        return sum(table.outcome.conflict_count for table in self.tables)


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How to import."""

    dry_run: bool = False
    prune: bool = False
    overwrite: bool = False
    index: bool = True
    database: str = "default"


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
            _notice(result, listen, notice.sentence)
        for collection in store.collections:
            result.tables.append(_Loader(store, collection, chosen, result, listen).load())
        if not chosen.dry_run:
            _note_strangers(store, chosen.database, result, listen)
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

    def __exit__(self, kind: type[BaseException] | None, error: object, _trace: object) -> None:
        if kind is None:
            ledger.finish_run(self.alias, self.run, failed=False)
            return
        message = str(error) if isinstance(error, TransferError) else kind.__name__
        try:
            ledger.finish_run(self.alias, self.run, failed=True, message=message)
        except DatabaseError:
            # The server is gone: the next run marks this one as ended early.
            return


def _notice(result: VectorImport, listen: OnEvent, sentence: str) -> None:
    result.notices.append(sentence)
    listen(Event("notice", {"file": FILE, "message": sentence}))


class _Loader:
    """One collection of one import."""

    def __init__(
        self,
        store: chroma.Store,
        collection: chroma.Collection,
        options: VectorOptions,
        result: VectorImport,
        listen: OnEvent,
    ) -> None:
        self.store, self.collection, self.options = store, collection, options
        self.result, self.listen = result, listen
        self.alias, self.run_id = options.database, result.run_id
        self.table = CollectionResult(legacy_table(collection))
        self.seen: set[str] = set()
        self.aside_keys: set[str] = set()
        self.pk = self.done = 0
        self.fresh = True

    def load(self) -> CollectionResult:
        """Load the collection, batch by batch, each in a transaction of its own."""
        begun = time.monotonic()
        outcome = self.table.outcome
        outcome.legacy_rows = self.store.count(self.collection)
        self._tell("table", total=outcome.legacy_rows)
        if not self.options.dry_run:
            self._open_target()
        records = self.store.items(self.collection)
        with closing(records):
            while self._batch(islice(records, BATCH_ROWS)):
                done = outcome.loaded + outcome.repaired + outcome.quarantined
                self._tell("progress", rows=done)
        self.table.seconds = time.monotonic() - begun
        if not self.options.dry_run:
            self._finish()
        self._tell("done", rows=outcome.legacy_rows)
        return self.table

    def _tell(self, name: str, **data: object) -> None:
        self.listen(Event(name, {"file": FILE, "table": self.table.table, **data}))

    def _open_target(self) -> None:
        with transaction.atomic(using=self.alias):
            self.pk = merging.write_collection(self.alias, self.collection, self.run_id)
            ledger.mark_write(self.alias, self.run_id)
        there = models.Item.objects.using(self.alias).filter(collection_id=self.pk).exists()
        aside = QuarantinedRow.objects.using(self.alias).filter(table=self.table.table).exists()
        self.fresh = not there and not aside

    def _batch(self, records: Iterator[Record]) -> bool:
        """One batch, in a transaction of its own; False where no records were left."""
        asides: list[Aside] = []
        repaired: list[Ready] = []
        ready = self._convert(records, asides, repaired)
        before = self.done
        if self.options.dry_run:
            for _ in ready:
                pass
        else:
            self._write(ready, repaired, asides)
        for aside in asides:
            reasons = self.table.outcome.reasons
            reasons[aside.reason] = reasons.get(aside.reason, 0) + 1
        self.table.chunks += self.done > before
        return self.done > before

    def _convert(
        self, records: Iterator[Record], asides: list[Aside], repaired: list[Ready]
    ) -> Iterator[Ready]:
        """Rows to load, as they are asked for; what is not one goes to the two lists."""
        outcome = self.table.outcome
        for record in records:
            self.done += 1
            made = self._convert_one(record)
            if isinstance(made, Ready):
                self.seen.add(made.key)
                if made.kept:
                    repaired.append(made)
                    outcome.repaired += 1
                else:
                    outcome.loaded += 1
                yield made
            elif made is not None:
                asides.append(made)
                outcome.quarantined += 1
                if made.key is not None:
                    self.aside_keys.add(made.key)

    def _convert_one(self, record: Record) -> Ready | Aside | None:
        if isinstance(record, chroma.Item):
            self.table.origins[record.origin.value] += 1
            return convert(self.pk, self.collection, record)
        if record.reason is chroma.Reason.NO_ID:
            # It is among no ids that were counted.
            self.table.outcome.legacy_rows += 1
        aside = set_problem_aside(self.collection, record)
        if aside is None:
            _notice(self.result, self.listen, record.sentence)
        return aside

    def _write(self, ready: Iterator[Ready], repaired: list[Ready], asides: list[Aside]) -> None:
        """The rows stream into COPY while they are converted: both sides work at once."""
        alias, table, outcome = self.alias, self.table.table, self.table.outcome
        with transaction.atomic(using=alias):
            # Not to wait for the disk after each batch: the collection's last transaction does, and
            # with it everything before it is safe. A crash loses whole batches, never the order.
            execute(connections[alias], "SET LOCAL synchronous_commit = off")
            ledger.mark_write(alias, self.run_id)
            if self.fresh:
                merging.write_fresh(alias, ready, outcome)
            else:
                overwrite = self.options.overwrite
                merging.write_merged(alias, table, ready, outcome, overwrite=overwrite)
            merging.keep_cells(alias, table, self.run_id, repaired)
            if asides:
                merging.set_aside(alias, table, self.run_id, asides)

    def _finish(self) -> None:
        """What is gone from the legacy, the ledger's line, the index."""
        begun = time.monotonic()
        with transaction.atomic(using=self.alias):
            if not self.fresh:
                self._find_vanished()
            self._record()
        if self.table.outcome.inserted + self.table.outcome.updated:
            execute(connections[self.alias], f"ANALYZE {merging.ITEMS}")
        if self.options.index:
            collection = models.Collection.objects.using(self.alias).get(pk=self.pk)
            self.table.index = indexes.ensure_index(collection).sentence
            self._tell("index", message=self.table.index, seconds=time.monotonic() - begun)

    def _find_vanished(self) -> None:
        """Items the import loaded whose legacy item is gone: reported, or deleted with `prune`."""
        rows = fetch_all(
            connections[self.alias],
            f"SELECT t.embedding_id FROM {merging.ITEMS} AS t "
            f"WHERE t.collection_id = %s AND {merging.OURS} ORDER BY 1",
            [self.pk],
        )
        gone = [key for (key,) in rows if key not in self.seen and key not in self.aside_keys]
        outcome = self.table.outcome
        outcome.vanished_count, outcome.vanished = len(gone), gone[:MOST_KEYS]
        if self.options.prune and gone:
            kept = KeptCell.objects.using(self.alias).filter(table=self.table.table, key__in=gone)
            kept.delete()
            outcome.pruned = execute(
                connections[self.alias],
                f"DELETE FROM {merging.ITEMS} WHERE collection_id = %s AND embedding_id = ANY(%s)",
                [self.pk, gone],
            )

    def _record(self) -> None:
        outcome = self.table.outcome
        assert self.run_id is not None
        counts = {
            name: getattr(outcome, name)
            for name in (
                "legacy_rows", "loaded", "repaired", "quarantined", "inserted", "updated", "pruned",
            )
        }  # fmt: skip
        RunTable.objects.using(self.alias).update_or_create(
            run_id=self.run_id,
            table=self.table.table,
            defaults={
                **counts,
                "file": FILE,
                "target": self.table.target,
                "vanished": outcome.vanished_count,
                "conflicts": outcome.conflict_count,
                "seconds": self.table.seconds,
            },
        )


def _note_strangers(store: chroma.Store, alias: str, result: VectorImport, listen: OnEvent) -> None:
    """Collections that were imported once and that the store no longer has."""
    imported = models.Item.objects.using(alias).exclude(origin=models.Item.Origin.TARGET)
    gone = models.Collection.objects.using(alias).filter(pk__in=imported.values("collection"))
    for row in gone.exclude(uuid__in=[c.id for c in store.collections]).order_by("name"):
        what = f"The target's collection {row.name} is no longer in the vector store"
        _notice(result, listen, f"{what}; it was left as it is.")
