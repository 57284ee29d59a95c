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

from django.db.models import QuerySet

from stillme.transfer.findings import Event, FindingKind, OnEvent
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.inventory.stores import StoreOptions, StoreReport
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.processes import default_jobs, in_processes
from stillme.transfer.verify.structure.table_structure import forbids_reading
from vector import chroma, models
from vector.chroma.inventory import folder_lines, unread_lines
from vector.chroma.snapshot import database_folder
from vector.judge import expectation, index, nearest, ranking, set_aside, whole_tables
from vector.judge.items import ItemJudge
from vector.judge.proof import CollectionProof, empty_proof, finding
from vector.judge.target_reading import target_ids
from vector.names import FILE, ledger_name

# A process needs a fifth of a second to look where 100,000 vectors are.
PART_ROWS = 12_500
# Level "sample" takes neighbours in runs of this many.
RUN_ROWS = 10
QUERIES = 10
Task = Callable[[], Any]


def prove_vectors(folder: Path, options: StoreOptions, on_event: OnEvent) -> StoreReport:
    """Compare the store in `folder` with the target. Raises TransferError if it cannot be read.

    Level "counts" compares collections, counts and the quarantine, and reads no item; "sample"
    compares about `sample` items of each collection too.
    """
    alias = options.database
    with chroma.open_store(folder, hashed=True) as store:
        assert store.digest is not None
        sha256, size = store.digest
        report = StoreReport(files={FILE: {"path": str(folder), "sha256": sha256, "size": size}})
        report.notices = [f"{FILE}: {notice}" for notice in store.notices]
        report.inventory = store.table_lines()
        report.inventory += folder_lines(database_folder(folder), store.connection)
        report.findings = whole_tables.structure(alias)
        if any(map(forbids_reading, report.findings)):
            return report
        for collection in store.collections:
            judge = _Judge(store, collection, options, on_event)
            judge.tell("table", total=store.count(collection))
            report.tables.append(judge.judge())
            judge.tell("done", rows=judge.proof.legacy_rows)
            report.inventory += judge.unread
            if words := judge.proof.words:
                report.notices.append(f"{FILE}: {judge.table.partition('.')[2]}: {words}.")
        report.findings += whole_tables.others(alias, store.collections)
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
        self.table = ledger_name(collection.tenant, collection.database, collection.name)
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
        proof.legacy_rows = self.store.count(self.collection)
        # Its metadata is read as text: Python refuses some numbers that jsonb takes.
        rows = models.Collection.objects.using(self.alias).filter(uuid=self.collection.id)
        row = rows.defer("metadata").order_by("pk").first()
        if row is None:
            self._find(FindingKind.MISSING_ROW, "collections", self.collection.name)
            return proof
        self._judge_collection(row)
        if level == "sample" and sample < proof.legacy_rows:
            self._judge_sample(row, sample)
        elif level != "counts":
            self._judge_items(row)
        whole = level == "full" or proof.compared >= proof.legacy_rows > 0
        self._judge_counts(row, whole=whole)
        self._judge_quarantine(whole=whole)
        if whole:
            proof.findings.extend(set_aside.needless_originals(self.alias, self.table, proof.seen))
            scanned = self.store.scanned(self.collection)
            self.unread = unread_lines(self.collection.name, scanned, proof.rows_read)
        proof.findings.extend(index.missing(row))
        proof.seconds = time.monotonic() - begun
        return proof

    def _find(
        self, kind: FindingKind, where: str, key: str | None, *values: object, note: str = ""
    ) -> None:
        self.proof.findings.add(finding(kind, where, key, *values, note=note))

    def _judge_collection(self, row: models.Collection) -> None:
        legacy = self.collection
        pairs = {
            "name": (legacy.name, row.name),
            "tenant": (legacy.tenant, row.tenant),
            "database": (legacy.database, row.database),
            "metric": (legacy.metric.value, row.metric),
            "dimension": (legacy.dimension, row.dimension),
            "configuration": (legacy.configuration, row.configuration),
            "schema": (legacy.schema, row.schema),
            # The legacy has none.
            "created_at": (None, row.created_at),
        }
        for column, (expected, found) in pairs.items():
            if expected != found:
                where = f"collections:{column}"
                self._find(FindingKind.VALUE, where, legacy.name, expected, found)
        expected_metadata, _ = expectation.expected_metadata(dict(legacy.metadata))
        found = expectation.read_json(whole_tables.collection_metadata(self.alias, row.pk))
        if difference := expectation.metadata_difference(expected_metadata, found):
            where = "collections:metadata"
            self._find(FindingKind.VALUE, where, legacy.name, note=difference)

    def _judge_items(self, row: models.Collection) -> None:
        """Every item, and the ten nearest to some queries in the store and in the target."""
        rows = self.proof.legacy_rows
        queries = ranking.choose_queries(self.store, self.collection, rows, QUERIES)
        if row.dimension != self.collection.dimension:
            # A finding already, and there is nothing that could be measured.
            queries = []
        parts = self.store.parts(self.collection, PART_ROWS)
        proofs, answers = self._judged(parts, row, queries)
        for proof in proofs:
            self.proof.add(proof)
        legacy = nearest.merge(queries, [proof.nearest for proof in proofs])
        ranking.compare(self.proof, row.name, legacy, answers)

    def _judged(
        self, parts: list[chroma.Part], row: models.Collection, queries: list[list[float]]
    ) -> tuple[list[CollectionProof], ranking.Answers]:
        """The proof of each part, in their order, and what the target answers the queries.

        Several processes at once where there are several parts. The search comes first: it is the
        longest.
        """
        judge = self._item_judge(row, queries)
        ask: Task = partial(ranking.ask_target, row, queries)
        jobs = self.options.jobs or default_jobs()
        if jobs < 2 or len(parts) < 2:
            tasks: list[Task] = [partial(judge.judge, self.store, part) for part in parts]
            done: Iterator[tuple[Task, Any]] = ((task, task()) for task in [ask, *tasks])
        else:
            on_view = partial(chroma.on_own_view, self.store.folder, judge.judge)
            tasks = [partial(on_view, part) for part in parts]
            done = in_processes(_call, [ask, *tasks], jobs)
        found: dict[Task, Any] = {}
        rows = 0
        for task, result in done:
            found[task] = result
            if task is not ask:
                rows += result.compared
                self.tell("progress", rows=rows)
        return [found[task] for task in tasks], found[ask]

    def _judge_sample(self, row: models.Collection, sample: int) -> None:
        """Runs of neighbours, evenly spread with a random start."""
        parts = self.store.parts(self.collection, RUN_ROWS)
        step = max(1, len(parts) * RUN_ROWS // sample)
        judge = self._item_judge(row, [])
        for part in parts[random.SystemRandom().randrange(step) :: step]:
            self.proof.add(judge.judge(self.store, part))

    def _item_judge(self, row: models.Collection, queries: list[list[float]]) -> ItemJudge:
        return ItemJudge(self.collection, self.alias, int(row.pk), self.table, queries)

    def _judge_counts(self, row: models.Collection, *, whole: bool) -> None:
        """Counts by another road: each database counts, the target by a full scan."""
        found = target_ids(self.alias, row.pk)
        self.proof.target_rows = found.total()
        name = self.collection.name
        if whole:
            for key in sorted(found.keys() - self.proof.seen):
                self._find(FindingKind.EXTRA_ROW, "items", key, note=name)
            for key in sorted(key for key, rows in found.items() if rows > 1):
                note = f"it is in {name} {found[key]} times"
                self._find(FindingKind.EXTRA_ROW, "items", key, note=note)
            expected = len(self.proof.seen)
        else:
            expected = self.proof.legacy_rows - len(self._aside_keys() & self._legacy_ids())
        if found.total() != expected:
            self._find(FindingKind.COUNT, "items", None, expected, found.total(), note=name)

    def _records(self) -> QuerySet[QuarantinedRow]:
        return QuarantinedRow.objects.using(self.alias).filter(file=FILE, table=self.table)

    def _aside_keys(self) -> set[str]:
        waiting = self._records().exclude(status=QuarantinedRow.Status.REPAIRED).exclude(key=None)
        return {str(key) for key in waiting.values_list("key", flat=True)}

    def _legacy_ids(self) -> set[str]:
        return {key.replace("\x00", "\\x00") for key in self.store.ids(self.collection)}

    def _judge_quarantine(self, *, whole: bool) -> None:
        """What the store cannot give whole is in the quarantine. Open rows are counted."""
        proof = self.proof
        known = list(self._records().order_by("pk"))
        proof.findings.extend(
            set_aside.compare(known, proof.asides, self.collection.name, whole=whole)
        )
        states = [row.status for row in known]
        proof.open = states.count(QuarantinedRow.Status.OPEN)
        proof.accepted = states.count(QuarantinedRow.Status.ACCEPTED)


def _call(task: Task) -> Any:
    return task()
