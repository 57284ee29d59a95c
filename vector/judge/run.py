"""The proof: every id, document, metadata value and float32 of the store against the target.

Reads the store itself, reads the target itself, and shares no conversion with the import.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stillme.transfer.findings import Event, FindingKind, OnEvent
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.inventory.stores import StoreOptions, StoreReport
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.processes import default_jobs, in_processes
from stillme.transfer.verify.rows.stored_records import as_stored
from stillme.transfer.verify.structure.table_structure import forbids_reading
from vector import chroma, models
from vector.chroma.inventory import is_store, unreadable_report
from vector.chroma.records import as_text
from vector.judge import expectation, ranking, set_aside, whole_tables
from vector.judge.items import ItemJudge
from vector.judge.proof import CollectionProof, empty_proof
from vector.judge.target_reading import collection_cells, target_ids
from vector.names import FILE

# A process needs a fifth of a second to look where 100,000 vectors are.
PART_ROWS = 12_500
# Level "sample" takes neighbours in runs of this many.
RUN_ROWS = 10
QUERIES = 10
Task = Callable[[], Any]


def prove_vectors(folder: Path, options: StoreOptions, on_event: OnEvent) -> StoreReport:
    """Compare the store in `folder` with the target. Raises TransferError if it cannot be read.

    A folder that cannot be read as a store is only accounted for.
    Level "counts" compares collections, counts and the quarantine, and reads no item; "sample"
    compares about `sample` items of each collection too.
    """
    alias = options.database
    if not is_store(folder):
        return unreadable_report(folder)
    with chroma.open_store(folder, hashed=True) as store:
        assert store.digest is not None
        sha256, size = store.digest
        report = StoreReport(files={FILE: {"path": str(folder), "sha256": sha256, "size": size}})
        report.notices = [f"{FILE}: {notice}" for notice in store.notices]
        report.inventory = store.inventory(folder)
        report.findings = whole_tables.structure(alias, report.notices)
        if any(map(forbids_reading, report.findings)):
            return report
        for collection in store.collections:
            judge = _Judge(store, collection, options, on_event)
            report.tables.append(judge.judge())
            judge.tell("done", rows=judge.proof.legacy_rows)
            report.inventory += judge.unread
            if words := judge.proof.words:
                report.notices.append(f"{FILE}: {judge.table.partition('.')[2]}: {words}.")
        report.findings += whole_tables.others(alias, store.collections)
        if options.level == "full":
            report.findings += whole_tables.broken_indexes(alias)
        tables = [each.table for each in report.tables]
        report.findings += set_aside.of_unknown_tables(alias, tables)
        report.findings += set_aside.collection_originals(alias, store.collections)
    return report


class _Judge:
    """One collection."""

    def __init__(
        self,
        store: chroma.Store,
        collection: chroma.Collection,
        options: StoreOptions,
        listen: OnEvent,
    ) -> None:
        self.store, self.collection, self.options = store, collection, options
        self.alias, self.listen = options.database, listen
        self.table = collection.table
        self.proof = empty_proof(self.table)
        self.unread: list[InventoryLine] = []

    def tell(self, name: str, **data: object) -> None:
        """Report progress."""
        self.listen(Event(name, {"file": FILE, "table": self.table, **data}))

    def judge(self) -> CollectionProof:
        """Run every comparison of the collection that the level asks for."""
        begun = time.monotonic()
        level, sample = self.options.level, self.options.sample
        proof = self.proof
        proof.legacy_rows = len(self.store.ids(self.collection))
        self.tell("table", total=proof.legacy_rows)
        # Its other cells are the judge's own to read: a model takes not every text and time.
        rows = models.Collection.objects.using(self.alias).filter(uuid=self.collection.id)
        row = rows.only("dimension", "metric").order_by("pk").first()
        if row is None:
            self.proof.find(FindingKind.MISSING_ROW, "collections", self.collection.name)
            return proof
        self._judge_collection(row.pk)
        if level == "sample" and sample < proof.legacy_rows:
            self._judge_sample(row, sample)
        elif level != "counts":
            self._judge_items(row)
        whole = level == "full" or proof.compared >= proof.legacy_rows > 0
        # What the store cannot give whole is in the quarantine. Open rows are counted.
        records = QuarantinedRow.objects.using(self.alias).filter(file=FILE, table=self.table)
        known = list(as_stored(records.order_by("pk")))
        self._judge_counts(row, known, whole=whole)
        name = self.collection.name
        proof.findings.extend(set_aside.compare(known, proof.asides, name, whole=whole))
        states = [record.status for record in known]
        proof.open = states.count(QuarantinedRow.Status.OPEN)
        proof.accepted = states.count(QuarantinedRow.Status.ACCEPTED)
        if whole:
            proof.findings.extend(set_aside.needless_originals(self.alias, self.table, proof.seen))
            self.unread = self.store.unread(self.collection, proof.rows_read)
        proof.findings.extend(whole_tables.missing_index(row, self.collection.name))
        proof.seconds = time.monotonic() - begun
        return proof

    def _judge_collection(self, pk: int) -> None:
        legacy = self.collection
        wanted: dict[str, Any] = {
            "name": legacy.name,
            "tenant": legacy.tenant,
            "database": legacy.database,
            "metric": legacy.metric.value,
            "dimension": legacy.dimension,
            "configuration": legacy.configuration,
            "schema": legacy.schema,
            # The legacy has none.
            "created_at": None,
        }
        *cells, metadata = collection_cells(self.alias, pk)
        for (column, expected), found in zip(wanted.items(), cells, strict=True):
            if expected != found:
                where = f"collections:{column}"
                self.proof.find(FindingKind.VALUE, where, legacy.name, expected, found)
        expected_metadata, _ = expectation.expected_metadata(dict(legacy.metadata))
        content = expectation.read_json(metadata)
        if difference := expectation.metadata_difference(expected_metadata, content):
            where = "collections:metadata"
            self.proof.find(FindingKind.VALUE, where, legacy.name, note=difference)

    def _judge_items(self, row: models.Collection) -> None:
        """Every item, and the ten nearest to some queries in the store and in the target.

        Several processes at once where there are several parts. The search comes first: it is the
        longest.
        """
        rows = self.proof.legacy_rows
        queries = ranking.choose_queries(self.store, self.collection, rows, QUERIES)
        if row.dimension != self.collection.dimension:
            # A finding already, and there is nothing that could be measured.
            queries = []
        judge = ItemJudge(self.collection, self.alias, row.pk, self.table, queries)
        ask: Task = partial(ranking.ask_target, row, queries)
        parts = self.store.parts(self.collection, PART_ROWS)
        jobs = self.options.jobs or default_jobs()
        if jobs < 2 or len(parts) < 2:
            tasks: list[Task] = [partial(judge.judge, self.store, part) for part in parts]
            done: Iterator[tuple[Task, Any]] = ((task, task()) for task in [ask, *tasks])
        else:
            on_view = partial(chroma.on_own_view, self.store.folder, judge.judge)
            tasks = [partial(on_view, part) for part in parts]
            done = in_processes(_call, [ask, *tasks], jobs)
        found: dict[Task, Any] = {}
        compared = 0
        for task, result in done:
            found[task] = result
            if task is not ask:
                compared += result.compared
                self.tell("progress", rows=compared)
        for task in tasks:
            self.proof.add(found[task])
        ranking.compare(self.proof, self.collection.name, found[ask])

    def _judge_sample(self, row: models.Collection, sample: int) -> None:
        """Runs of neighbours, evenly spread with a random start."""
        parts = self.store.parts(self.collection, RUN_ROWS)
        step = max(1, len(parts) * RUN_ROWS // sample)
        judge = ItemJudge(self.collection, self.alias, row.pk, self.table, [])
        for part in parts[random.SystemRandom().randrange(step) :: step]:
            self.proof.add(judge.judge(self.store, part))

    def _judge_counts(
        self, row: models.Collection, records: list[QuarantinedRow], *, whole: bool
    ) -> None:
        """Counts by another road: each database counts, the target by a full scan."""
        found = target_ids(self.alias, row.pk)
        self.proof.target_rows = found.total()
        name = self.collection.name
        if whole:
            for key in sorted(found.keys() - self.proof.seen):
                self.proof.find(FindingKind.EXTRA_ROW, "items", key, note=name)
            for key in sorted(key for key, rows in found.items() if rows > 1):
                note = f"it is in {name} {found[key]} times"
                self.proof.find(FindingKind.EXTRA_ROW, "items", key, note=note)
            expected = len(self.proof.seen)
        else:
            waiting = {r.key for r in records if r.status != QuarantinedRow.Status.REPAIRED}
            ids = map(as_text, self.store.ids(self.collection))
            aside = {key for key in ids if key.replace("\x00", "\\x00") in waiting}
            expected = self.proof.legacy_rows - len(aside)
        if found.total() != expected:
            self.proof.find(FindingKind.COUNT, "items", None, expected, found.total(), note=name)


def _call(task: Task) -> Any:
    return task()
