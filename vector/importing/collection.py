"""One collection on its way into the target, batch by batch, large ones by several processes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice

from django.db import connections, transaction

from stillme.postgresql.statements import execute
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.deletions import always
from stillme.transfer.models import QuarantinedRow, RunTable
from stillme.transfer.plumbing.processes import default_jobs
from stillme.transfer.postgresql.distributed import commit_lazily, knows_writers
from stillme.transfer.records import ledger
from vector import chroma, models
from vector.importing import earlier_collections, merging
from vector.importing.conversion import (
    Aside,
    Ready,
    convert,
    legacy_table,
    set_problem_aside,
)
from vector.importing.parts import PartResult, PartTask, load_parts
from vector.importing.result import CollectionResult, VectorImport, VectorOptions
from vector.importing.vanished import StillThere, find_vanished
from vector.names import FILE
from vector.serving import indexes

BATCH_ROWS = 10_000
# A process needs a third of a second to look where the vectors are.
PART_ROWS = 12_500
# An index takes a row in milliseconds and is built at a fifth of one a row: where many are new it
# is built again. Should the import be broken off meanwhile, the next one builds it.
GROWN_ROWS, GROWN_SHARE = 2_000, 0.25
Record = chroma.Item | chroma.Problem


def tell_notice(result: VectorImport, listen: OnEvent, sentence: str) -> None:
    """Keep a remark for the end and tell it now."""
    result.notices.append(sentence)
    listen(Event("notice", {"file": FILE, "message": sentence}))


class Loader:
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
        # Ids, and labels of vectors without one.
        self.aside_keys: set[str | int | None] = set()
        # Of each table of the store, as its reader counted them.
        self.rows_read: Counter[str] = Counter()
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
        parts = self._parts()
        if len(parts) > 1:
            self._load_side_by_side(parts)
        else:
            self.load_part(None)
        self.table.seconds = time.monotonic() - begun
        if not self.options.dry_run:
            self._finish()
        elif self.options.prune:
            self._say_gone()
        self._tell("done", rows=outcome.legacy_rows)
        return self.table

    def load_part(self, part: chroma.Part | None) -> None:
        """Load the items of a part, or all."""
        before = self.store.rows_read.copy()
        records = self.store.items(self.collection, part)
        with closing(records):
            while self._batch(islice(records, BATCH_ROWS)):
                self._tell_progress()
        self.rows_read += self.store.rows_read - before

    def _parts(self) -> list[chroma.Part]:
        jobs = self.options.jobs or default_jobs()
        if self.options.dry_run or jobs < 2:
            return []
        return self.store.parts(self.collection, PART_ROWS)

    def _load_side_by_side(self, parts: list[chroma.Part]) -> None:
        outcome = self.table.outcome
        # What asks a person does not go to another process.
        options = replace(self.options, approve=always)
        tasks = [
            PartTask(
                self.store.folder, self.collection, options, self.run_id, self.pk, self.fresh, part
            )
            for part in parts
        ]
        for done in load_parts(tasks, _load_in_a_process, options):
            outcome.add(done.outcome)
            self.table.origins.update(done.origins)
            self.table.chunks += done.chunks
            self.rows_read += done.rows_read
            self.seen |= done.seen
            self.aside_keys |= done.aside_keys
            for sentence in done.notices:
                tell_notice(self.result, self.listen, sentence)
            self._tell_progress()

    def _tell_progress(self) -> None:
        outcome = self.table.outcome
        self._tell("progress", rows=outcome.loaded + outcome.repaired + outcome.quarantined)

    def _tell(self, name: str, **data: object) -> None:
        self.listen(Event(name, {"file": FILE, "table": self.table.table, **data}))

    def _open_target(self) -> None:
        store_ids = {each.id for each in self.store.collections}
        with transaction.atomic(using=self.alias):
            done = earlier_collections.make_room(
                self.collection, store_ids, self.options, self.run_id
            )
            earlier_collections.follow_rename(self.alias, self.collection)
            self.pk = merging.write_collection(self.alias, self.collection, self.run_id)
            ledger.mark_write(self.alias, self.run_id)
        if done:
            tell_notice(self.result, self.listen, done)
        there = models.Item.objects.using(self.alias).filter(collection_id=self.pk).count()
        aside = (
            QuarantinedRow.objects.using(self.alias)
            .filter(file=FILE, table=self.table.table)
            .exists()
        )
        self.fresh = not there and not aside
        new = self.table.outcome.legacy_rows - there
        if not there or (self.options.index and new > max(GROWN_ROWS, there * GROWN_SHARE)):
            collection = models.Collection.objects.using(self.alias).get(pk=self.pk)
            indexes.drop_index(collection)

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
                self.aside_keys.add(made.number if made.key is None else made.key)

    def _convert_one(self, record: Record) -> Ready | Aside | None:
        if isinstance(record, chroma.Item):
            self.table.origins[record.origin.value] += 1
            return convert(self.pk, self.collection, record)
        if record.reason is chroma.Reason.NO_ID:
            # It is among no ids that were counted.
            self.table.outcome.legacy_rows += 1
        aside = set_problem_aside(self.collection, record)
        if aside is None:
            tell_notice(self.result, self.listen, record.sentence)
        return aside

    def _write(self, ready: Iterator[Ready], repaired: list[Ready], asides: list[Aside]) -> None:
        """The rows stream into COPY while they are converted: both sides work at once."""
        alias, table, outcome = self.alias, self.table.table, self.table.outcome
        with transaction.atomic(using=alias):
            # Not to wait for the disk after each batch: the collection's last transaction does, and
            # with it everything before it is safe. A crash loses whole batches, never the order.
            commit_lazily(connections[alias])
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
            if not self.fresh and knows_writers(connections[self.alias], merging.ITEMS):
                self._find_vanished()
            self._record()
        if self.table.outcome.inserted + self.table.outcome.updated:
            execute(connections[self.alias], f"ANALYZE {merging.ITEMS}")
        if self.options.index:
            collection = models.Collection.objects.using(self.alias).get(pk=self.pk)
            self.table.index = indexes.ensure_index(collection).sentence
            self._tell("index", message=self.table.index, seconds=time.monotonic() - begun)

    def _find_vanished(self) -> None:
        still_there = StillThere(self.seen, self.aside_keys)
        find_vanished(self.alias, self.pk, self.table, still_there, self.options)

    def _say_gone(self) -> None:
        """What `prune` would delete of this collection; a dry run approves nothing."""
        known = models.Collection.objects.using(self.alias).filter(uuid=self.collection.id)
        if (pk := known.values_list("pk", flat=True).first()) is not None:
            self.pk = pk
            self._find_vanished()

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
            file=FILE,
            table=self.table.table,
            defaults={
                **counts,
                "target": self.table.target,
                "vanished": outcome.vanished_count,
                "conflicts": outcome.conflict_count,
                "seconds": self.table.seconds,
            },
        )


def _load_in_a_process(task: PartTask) -> PartResult:
    """Load one part, in a process that `load_parts` started."""
    store = task.store()
    result = VectorImport(task.run_id, store.layout)
    loader = Loader(store, task.collection, task.options, result, ignore_event)
    loader.pk, loader.fresh = task.pk, task.fresh
    loader.load_part(task.part)
    table = loader.table
    done = PartResult(table.outcome, table.origins, table.chunks, result.notices, loader.rows_read)
    if not task.fresh:
        done.seen, done.aside_keys = loader.seen, loader.aside_keys
    return done
