"""One collection on its way into the target, part by part, large ones by several processes.

Turning vectors into COPY rows keeps one processor busy: with a single process the server would wait
for it. Each process has a database session and a view of the copied store for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain, islice

from django.db import connections, transaction

from stillme.postgresql.statements import execute
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.inventory.deletions import always
from stillme.transfer.inventory.stores import StoreOptions
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.processes import default_jobs, in_processes
from stillme.transfer.postgresql.distributed import commit_lazily, knows_writers
from stillme.transfer.postgresql.locks import share_as_worker
from stillme.transfer.records import ledger
from vector import chroma, models
from vector.importing import gone, merging
from vector.importing.conversion import Ready, convert, set_problem_aside
from vector.importing.result import CollectionResult, empty_result
from vector.names import FILE
from vector.serving import indexes

BATCH_ROWS = 10_000
# A process needs a third of a second to look where the vectors are.
PART_ROWS = 12_500
# An index takes a row in milliseconds and is built at a fifth of one a row: where many are new it
# is built again. Should the import be broken off meanwhile, the next one builds it.
GROWN_ROWS, GROWN_SHARE = 2_000, 0.25
Record = chroma.Item | chroma.Problem


class PartLoader:
    """Loads parts of a collection, batch by batch, each batch in a transaction of its own.

    It goes to other processes as it is. `fresh` says that the target had nothing of the collection,
    whose number there is `pk`.
    """

    def __init__(
        self, collection: chroma.Collection, options: StoreOptions, run_id: int | None
    ) -> None:
        # What asks a person does not go to another process.
        self.collection, self.options = collection, replace(options, approve=always)
        self.alias, self.run_id = options.database, run_id
        self.pk, self.fresh = 0, True
        self.result = empty_result(collection)

    def load(self, store: chroma.Store, part: chroma.Part) -> CollectionResult:
        """Load the items of a part."""
        self.result = result = empty_result(self.collection)
        before = store.rows_read.copy()
        with closing(store.items(self.collection, part)) as records:
            for first in records:
                self._batch(chain([first], islice(records, BATCH_ROWS - 1)))
                result.chunks += 1
        result.rows_read = store.rows_read - before
        return result

    def _batch(self, records: Iterator[Record]) -> None:
        """The rows stream into COPY while they are converted: both sides work at once."""
        asides: list[QuarantinedRow] = []
        repaired: list[Ready] = []
        ready = self._convert(records, asides, repaired)
        if self.options.dry_run:
            for _ in ready:
                pass
            return
        alias, table, outcome = self.alias, self.result.table, self.result.outcome
        with transaction.atomic(using=alias):
            # Not to wait for the disk after each batch: the collection's last transaction does, and
            # with it everything before it is safe. A crash loses whole batches, never the order.
            commit_lazily(connections[alias])
            ledger.mark_write(alias, self.run_id)
            if self.fresh:
                outcome.inserted += merging.copy_rows(alias, merging.ITEMS, ready)
            else:
                overwrite = self.options.overwrite
                merging.write_merged(alias, table, ready, outcome, overwrite=overwrite)
            merging.keep_cells(alias, table, self.run_id, repaired)
            if asides:
                merging.set_aside(alias, table, self.run_id, asides)

    def _convert(
        self, records: Iterator[Record], asides: list[QuarantinedRow], repaired: list[Ready]
    ) -> Iterator[Ready]:
        """Rows to load, as they are asked for; what is not one goes to the two lists."""
        result, outcome = self.result, self.result.outcome
        for record in records:
            made: Ready | QuarantinedRow | None
            if isinstance(record, chroma.Item):
                result.origins[record.origin.value] += 1
                made = convert(self.pk, self.collection, record)
            else:
                # One without an id is among no ids that were counted.
                outcome.legacy_rows += record.reason is chroma.Reason.NO_ID
                made = set_problem_aside(self.collection, record)
                if made is None:
                    result.notices.append(record.sentence)
                    continue
            if isinstance(made, QuarantinedRow):
                asides.append(made)
                outcome.quarantined += 1
                outcome.reasons[made.reason] = outcome.reasons.get(made.reason, 0) + 1
                result.aside_keys.add(made.rowid if made.key is None else made.key)
                continue
            result.seen.add(made.key)
            if made.kept:
                repaired.append(made)
                outcome.repaired += 1
            else:
                outcome.loaded += 1
            yield made


class Loader:
    """One collection of one import. `say` is told a remark for the end."""

    def __init__(
        self,
        store: chroma.Store,
        collection: chroma.Collection,
        options: StoreOptions,
        run_id: int | None,
        say: Callable[[str], None],
        listen: OnEvent,
    ) -> None:
        self.store, self.collection, self.options = store, collection, options
        self.alias, self.run_id, self.say, self.listen = options.database, run_id, say, listen
        self.result = empty_result(collection)
        self.part_loader = PartLoader(collection, options, run_id)

    def load(self) -> CollectionResult:
        """Load the collection, part by part."""
        begun = time.monotonic()
        outcome = self.result.outcome
        outcome.legacy_rows = len(self.store.ids(self.collection))
        self._tell("table", total=outcome.legacy_rows)
        if not self.options.dry_run:
            self._open_target()
        for part in self._loaded():
            self.result.add(part)
            for sentence in part.notices:
                self.say(sentence)
            rows = outcome.loaded + outcome.repaired + outcome.quarantined
            self._tell("progress", rows=rows)
        self.result.seconds = time.monotonic() - begun
        if not self.options.dry_run:
            self._finish()
        elif self.options.prune:
            known = models.Collection.objects.using(self.alias).filter(uuid=self.collection.id)
            for row in known:
                # What would be deleted: a dry run approves nothing.
                gone.find_vanished(row.pk, self.result, self.options)
        self._tell("done", rows=outcome.legacy_rows)
        return self.result

    def _loaded(self) -> Iterator[CollectionResult]:
        """The result of each part, as it comes. Raises TransferError where a process was killed."""
        parts = self.store.parts(self.collection, PART_ROWS)
        jobs = 1 if self.options.dry_run else self.options.jobs or default_jobs()
        if jobs < 2 or len(parts) < 2:
            yield from (self.part_loader.load(self.store, part) for part in parts)
            return
        load = partial(chroma.on_own_view, self.store.folder, self.part_loader.load)
        start = partial(_share_locks, self.alias)
        yield from (result for _, result in in_processes(load, parts, jobs, start))

    def _tell(self, name: str, **data: object) -> None:
        self.listen(Event(name, {"file": FILE, "table": self.result.table, **data}))

    def _open_target(self) -> None:
        store_ids = {each.id for each in self.store.collections}
        with transaction.atomic(using=self.alias):
            done = gone.make_room(self.collection, store_ids, self.options, self.run_id)
            gone.follow_rename(self.alias, self.collection)
            pk = merging.write_collection(self.alias, self.collection, self.run_id)
            ledger.mark_write(self.alias, self.run_id)
        if done:
            self.say(done)
        there = models.Item.objects.using(self.alias).filter(collection_id=pk).count()
        asides = QuarantinedRow.objects.using(self.alias)
        aside = asides.filter(file=FILE, table=self.result.table).exists()
        self.part_loader.pk, self.part_loader.fresh = pk, not there and not aside
        new = self.result.outcome.legacy_rows - there
        if not there or new > max(GROWN_ROWS, there * GROWN_SHARE):
            indexes.drop_index(models.Collection.objects.using(self.alias).get(pk=pk))

    def _finish(self) -> None:
        """What is gone from the legacy, the ledger's line, the index."""
        assert self.run_id is not None
        begun = time.monotonic()
        connection, pk = connections[self.alias], self.part_loader.pk
        with transaction.atomic(using=self.alias):
            if not self.part_loader.fresh and knows_writers(connection, merging.ITEMS):
                gone.find_vanished(pk, self.result, self.options)
            self.result.record(self.alias, self.run_id)
        if self.result.outcome.inserted + self.result.outcome.updated:
            execute(connection, f"ANALYZE {merging.ITEMS}")
        collection = models.Collection.objects.using(self.alias).get(pk=pk)
        self.result.index = indexes.ensure_index(collection)
        self._tell("index", message=self.result.index, seconds=time.monotonic() - begun)


def _share_locks(alias: str) -> None:
    share_as_worker(connections[alias])
