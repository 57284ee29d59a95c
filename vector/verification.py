"""The proof: every id, document, metadata value and float32 of the store against the target.

Reads the store itself, reads the target itself, and shares no conversion with the import.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from stillme.transfer.findings import Event, Finding, FindingKind, OnEvent, ignore_event
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.processes import default_jobs
from vector import chroma, expectation, models, ranking, sought_index
from vector.chroma.snapshot import copy_digest
from vector.judge_parts import Ground, judge_parts
from vector.proof import CollectionProof, ItemProof, VectorProof
from vector.targets import target_ids

__all__ = ["CollectionProof", "VectorProof", "prove_vectors", "verify_vectors"]

FILE = "vector"
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
        proof = VectorProof(store.layout, *copy_digest(store.folder))
        for collection in store.collections:
            judge = _Judge(store, collection, database, jobs or default_jobs(), listen)
            judge.tell("table", total=store.count(collection))
            proof.collections.append(judge.judge(level, sample))
            judge.tell("done", rows=judge.proof.legacy_ids)
        known = [collection.id for collection in store.collections]
    strangers = models.Collection.objects.using(database).exclude(uuid__in=known)
    proof.strangers = [
        Finding(FindingKind.EXTRA_ROW, "vector.collections", name, note="it is not in the store")
        for name in strangers.order_by("name", "pk").values_list("name", flat=True)
    ]
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

    def tell(self, name: str, **data: object) -> None:
        """Report progress."""
        self.listen(Event(name, {"file": FILE, "table": self.table, **data}))

    def judge(self, level: str, sample: int) -> CollectionProof:
        """Run every comparison of the collection that the level asks for."""
        begun = time.monotonic()
        self.proof.legacy_ids = self.store.count(self.collection)
        row = models.Collection.objects.using(self.alias).filter(uuid=self.collection.id).first()
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
        self._judge_quarantine()
        self.findings += sought_index.missing(row)
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
        if difference := expectation.metadata_difference(expected_metadata, row.metadata):
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
        legacy = ranking.merge(queries, [proof.nearest for proof in proofs])
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
        """Counts by another road: both databases count for themselves."""
        found = target_ids(self.alias, row.pk)
        self.proof.target_rows = len(found)
        if whole:
            for key in sorted(found - self.proof.items.seen)[:MOST_EXTRA]:
                self._find(FindingKind.EXTRA_ROW, "items", key, note=self.collection.name)
        set_aside = self._aside_keys()
        expected = self.proof.legacy_ids - len(set_aside & self._legacy_ids())
        if len(found) != expected:
            self._find(FindingKind.COUNT, "items", None, expected, len(found), self.collection.name)

    def _aside_keys(self) -> set[str]:
        rows = QuarantinedRow.objects.using(self.alias).filter(table=self.table)
        waiting = rows.exclude(status=QuarantinedRow.Status.REPAIRED).exclude(key=None)
        return {str(key) for key in waiting.values_list("key", flat=True)}

    def _legacy_ids(self) -> set[str]:
        return {key.replace("\x00", "\\x00") for key in self.store.ids(self.collection)}

    def _judge_quarantine(self) -> None:
        """What the store cannot give whole is in the quarantine; what is open is a finding."""
        known = {
            (r.key, r.rowid if r.key is None else None): r
            for r in QuarantinedRow.objects.using(self.alias).filter(table=self.table)
        }
        for key, number, reason in self.proof.items.asides:
            if key is None and number is None:
                # It is about a whole segment; the ids it touches follow one by one.
                continue
            row = known.get((key, number))
            if row is None or row.status == QuarantinedRow.Status.REPAIRED:
                note = f"{reason} in {self.collection.name}, and not in the quarantine"
                self._find(FindingKind.CONSERVATION, "items", key, note=note)
        states = [row.status for row in known.values()]
        self.proof.open = states.count(QuarantinedRow.Status.OPEN)
        self.proof.accepted = states.count(QuarantinedRow.Status.ACCEPTED)
        for row in known.values():
            if row.status == QuarantinedRow.Status.OPEN:
                self._find(FindingKind.QUARANTINE_OPEN, "items", row.key, note=row.reason)
