"""The proof: every id, document, metadata value and float32 of the store against the target.

Reads the store itself, reads the target itself, and shares no conversion with the import.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from stillme.transfer.findings import Event, Finding, FindingKind, OnEvent, ignore_event
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.processes import default_jobs
from stillme.transfer.verify.structure.table_structure import forbids_reading
from vector import chroma, models
from vector.chroma.inventory import folder_lines, unread_lines
from vector.chroma.snapshot import database_folder
from vector.judge import expectation, index, nearest, ranking, set_aside, whole_tables
from vector.judge.parts import Ground, judge_parts
from vector.judge.proof import CollectionProof, ItemProof, VectorProof
from vector.judge.target_reading import target_ids
from vector.names import FILE

__all__ = ["CollectionProof", "VectorProof", "prove_vectors", "verify_vectors"]


# A process needs a fifth of a second to look where 100,000 vectors are.
PART_ROWS = 12_500
# Level "sample" takes neighbours in runs of this many.
RUN_ROWS = 10
QUERIES = 10
MOST_EXTRA = 100


def verify_vectors(
    path: Path | str, *, on_event: OnEvent | None = None, database: str = "default"
) -> list[Finding]:
    """The findings of `prove_vectors`."""
    return prove_vectors(path, on_event=on_event, database=database).findings


def prove_vectors(
    path: Path | str,
    *,
    on_event: OnEvent | None = None,
    database: str = "default",
    level: str = "full",
    sample: int = 3000,
    jobs: int = 0,
) -> VectorProof:
    """Compare the store at `path` with the target. Raises TransferError where it cannot be read.

    Level "counts" compares collections, counts and the quarantine, and reads no item; "sample"
    compares about `sample` items of each collection too. `jobs` processes, 0 for one a core.
    """
    listen = on_event or ignore_event
    with chroma.open_store(Path(path)) as store:
        proof = VectorProof(store.layout, *store.digest)
        proof.notices = [notice.sentence for notice in store.notices]
        proof.inventory = store.table_lines()
        proof.inventory += folder_lines(database_folder(Path(path)), store.connection)
        proof.general = whole_tables.structure(database)
        if any(map(forbids_reading, proof.general)):
            return proof
        for collection in store.collections:
            judge = _Judge(store, collection, database, jobs or default_jobs(), listen)
            judge.tell("table", total=store.count(collection))
            proof.collections.append(judge.judge(level, sample))
            judge.tell("done", rows=judge.proof.legacy_ids)
            proof.inventory += judge.unread
        proof.general += whole_tables.others(database, store.collections)
        tables = [each.table for each in proof.collections]
        proof.general += set_aside.of_unknown_tables(database, tables)
        proof.general += set_aside.collection_originals(database, store.collections)
    return proof


class _Judge:
    """One collection."""

    def __init__(
        self,
        store: chroma.Store,
        collection: chroma.Collection,
        alias: str,
        jobs: int,
        listen: OnEvent,
    ) -> None:
        self.store, self.collection, self.alias = store, collection, alias
        self.jobs, self.listen = jobs, listen
        place = (collection.tenant, collection.database)
        default = place == ("default_tenant", "default_database")
        prefix = "" if default else f"{collection.tenant}/{collection.database}/"
        self.table = f"vector_db.{prefix}{collection.name}"
        self.proof = CollectionProof(
            collection.name, self.table, collection.metric.value, collection.dimension
        )
        self.findings = self.proof.findings
        self.unread: list[InventoryLine] = []

    def tell(self, name: str, **data: object) -> None:
        """Report progress."""
        self.listen(Event(name, {"file": FILE, "table": self.table, **data}))

    def judge(self, level: str, sample: int) -> CollectionProof:
        """Run every comparison of the collection that the level asks for."""
        begun = time.monotonic()
        self.proof.legacy_ids = self.store.count(self.collection)
        # Its metadata is read as text: Python refuses some numbers that jsonb takes.
        rows = models.Collection.objects.using(self.alias).filter(uuid=self.collection.id)
        row = rows.defer("metadata").order_by("pk").first()
        if row is None:
            self._find(FindingKind.MISSING_ROW, "collections", self.collection.name)
            return self.proof
        self._judge_collection(row)
        if level == "sample" and sample < self.proof.legacy_ids:
            self._judge_sample(row, sample)
        elif level != "counts":
            self._judge_items(row)
        whole = level == "full" or self.proof.items.items >= self.proof.legacy_ids > 0
        self._judge_counts(row, whole=whole)
        self._judge_quarantine(whole=whole)
        if whole:
            self.findings += set_aside.needless_originals(
                self.alias, self.table, self.proof.items.seen
            )
            scanned = self.store.scanned(self.collection)
            read = self.proof.items.rows_read
            self.unread = unread_lines(self.collection.name, scanned, read)
        self.findings += index.missing(row)
        self.proof.seconds = time.monotonic() - begun
        return self.proof

    def _find(
        self, kind: FindingKind, where: str, key: str | None, expected: object = None,
        found: object = None, note: str = "",
    ) -> None:  # fmt: skip
        self.findings.append(
            Finding(
                kind, f"vector.{where}", key,
                None if expected is None else str(expected),
                None if found is None else str(found), note,
            )
        )  # fmt: skip

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
        rows = self.proof.legacy_ids
        queries = ranking.choose_queries(self.store, self.collection, rows, QUERIES)
        if row.dimension != self.collection.dimension:
            # A finding already, and there is nothing that could be measured.
            queries = []
        parts = self.store.parts(self.collection, PART_ROWS)
        proofs, answers = judge_parts(
            self.store, self._ground(row, queries), row, parts, self.jobs, self._tell_items
        )
        self._take(proofs)
        legacy = nearest.merge(queries, [proof.nearest for proof in proofs])
        found = ranking.compare(row.name, legacy, answers)
        self.proof.queries, self.proof.queries_equal = found.queries, found.equal
        self.proof.recall_at_10, self.proof.search = found.recall, found.sentence
        for note in found.differences:
            self._find(FindingKind.VALUE, "items:embedding", None, note=note)

    def _judge_sample(self, row: models.Collection, sample: int) -> None:
        """Runs of neighbours, evenly spread with a random start."""
        parts = self.store.parts(self.collection, RUN_ROWS)
        step = max(1, len(parts) * RUN_ROWS // sample)
        chosen = parts[random.SystemRandom().randrange(step) :: step]
        judge = self._ground(row, []).judge(self.store)
        self._take([judge.judge(part) for part in chosen])

    def _ground(self, row: models.Collection, queries: list[list[float]]) -> Ground:
        return Ground(
            self.store.folder, self.collection, self.alias, int(row.pk), self.table, queries
        )

    def _take(self, proofs: list[ItemProof]) -> None:
        for proof in proofs:
            self.proof.items.add(proof)
        self.findings += self.proof.items.findings

    def _tell_items(self, done: int) -> None:
        self.tell("progress", rows=done)

    def _judge_counts(self, row: models.Collection, *, whole: bool) -> None:
        """Counts by another road: each database counts, the target by a full scan."""
        found = target_ids(self.alias, row.pk)
        self.proof.target_rows = found.total()
        if whole:
            extra = [key for key in found if key not in self.proof.items.seen]
            twice = [key for key, rows in found.items() if rows > 1]
            for key in sorted(extra)[:MOST_EXTRA]:
                self._find(FindingKind.EXTRA_ROW, "items", key, note=self.collection.name)
            for key in sorted(twice)[:MOST_EXTRA]:
                note = f"it is in {self.collection.name} {found[key]} times"
                self._find(FindingKind.EXTRA_ROW, "items", key, note=note)
            self.proof.more_extra = sum(max(0, len(e) - MOST_EXTRA) for e in (extra, twice))
            expected = len(self.proof.items.seen)
        else:
            expected = self.proof.legacy_ids - len(self._aside_keys() & self._legacy_ids())
        if found.total() != expected:
            name = self.collection.name
            self._find(FindingKind.COUNT, "items", None, expected, found.total(), name)

    def _aside_keys(self) -> set[str]:
        rows = QuarantinedRow.objects.using(self.alias).filter(file=FILE, table=self.table)
        waiting = rows.exclude(status=QuarantinedRow.Status.REPAIRED).exclude(key=None)
        return {str(key) for key in waiting.values_list("key", flat=True)}

    def _legacy_ids(self) -> set[str]:
        return {key.replace("\x00", "\\x00") for key in self.store.ids(self.collection)}

    def _judge_quarantine(self, *, whole: bool) -> None:
        """What the store cannot give whole is in the quarantine; what is open is a finding."""
        rows = QuarantinedRow.objects.using(self.alias).filter(file=FILE, table=self.table)
        known = list(rows.order_by("pk"))
        name, asides = self.collection.name, self.proof.items.asides
        self.findings += set_aside.compare(known, asides, name, whole=whole)
        states = [row.status for row in known]
        self.proof.open = states.count(QuarantinedRow.Status.OPEN)
        self.proof.accepted = states.count(QuarantinedRow.Status.ACCEPTED)
        for row in known:
            if row.status == QuarantinedRow.Status.OPEN:
                self._find(FindingKind.QUARANTINE_OPEN, "items", row.key, note=row.reason)
