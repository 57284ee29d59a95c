"""The proof: every id, document, metadata value and float32 of the store against the target.

Reads the store itself, reads the target itself, and shares no conversion with the import.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from stillme.transfer.findings import Event, Finding, FindingKind, OnEvent, ignore_event
from stillme.transfer.models import KeptCell, QuarantinedRow
from vector import chroma, expectation, models, ranking
from vector.targets import TargetItem, target_ids, target_items

FILE = "vector"
BATCH_ROWS = 2_000
# Key, label where there is no key, reason.
ExpectedAside = tuple[str | None, int | None, str]


@dataclass(slots=True)
class CollectionProof:
    """What was compared of one collection."""

    name: str
    table: str
    metric: str
    dimension: int | None
    legacy_ids: int = 0
    target_rows: int = 0
    equal: int = 0
    repaired: int = 0
    open: int = 0
    accepted: int = 0
    documents: int = 0
    metadata_values: int = 0
    exact_vectors: int = 0
    near_vectors: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    queries: int = 0
    queries_equal: int = 0
    recall_at_10: float | None = None
    search: str = ""
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(slots=True)
class VectorProof:
    """The whole proof. No findings means equal."""

    layout: str
    collections: list[CollectionProof] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """Those of all collections."""
        return [finding for proof in self.collections for finding in proof.findings]


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
    sample_queries: int = 10,
    level: str = "full",
) -> VectorProof:
    """Compare the store at `path` with the target. Raises TransferError where it cannot be read.

    Level "counts" compares collections, counts and the quarantine, and reads no item.
    """
    listen = on_event or ignore_event
    with chroma.open_store(Path(path)) as store:
        proof = VectorProof(store.layout)
        for collection in store.collections:
            judge = _Judge(store, collection, database, sample_queries)
            total = {"file": FILE, "table": judge.table, "total": store.count(collection)}
            listen(Event("table", total))
            proof.collections.append(judge.judge(level))
            done = {"file": FILE, "table": judge.table, "rows": judge.proof.legacy_ids}
            listen(Event("done", done))
    return proof


class _Judge:
    """One collection."""

    def __init__(
        self,
        store: chroma.Store,
        collection: chroma.Collection,
        alias: str,
        sample_queries: int,
    ) -> None:
        self.store, self.collection, self.alias = store, collection, alias
        self.sample_queries = sample_queries
        place = (collection.tenant, collection.database)
        default = place == ("default_tenant", "default_database")
        prefix = "" if default else f"{collection.tenant}/{collection.database}/"
        self.table = f"vector_db.{prefix}{collection.name}"
        self.proof = CollectionProof(
            collection.name, self.table, collection.metric.value, collection.dimension
        )
        self.findings = self.proof.findings
        self.seen: set[str] = set()
        self.samples: list[bytes] = []
        self.expected_asides: list[ExpectedAside] = []

    def judge(self, level: str) -> CollectionProof:
        """Run every comparison of the collection that the level asks for."""
        begun = time.monotonic()
        self.proof.legacy_ids = self.store.count(self.collection)
        row = models.Collection.objects.using(self.alias).filter(uuid=self.collection.id).first()
        if row is None:
            self._find(FindingKind.MISSING_ROW, "collections", self.collection.name)
            return self.proof
        self._judge_collection(row)
        if level == "full":
            self._judge_items(row)
        self._judge_counts(row, level)
        self._judge_quarantine()
        if level == "full":
            self._judge_search(row)
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
        kept = self._kept()
        step = max(1, self.proof.legacy_ids // (2 * self.sample_queries))
        records = self.store.items(self.collection)
        while batch := list(islice(records, BATCH_ROWS)):
            items = [r for r in batch if isinstance(r, chroma.Item)]
            keys = [item.embedding_id for item in items if "\x00" not in item.embedding_id]
            target = target_items(self.alias, row.pk, keys)
            for item in items:
                self._judge_item(item, target.get(item.embedding_id), kept)
                if len(self.seen) % step == 1 or step == 1:
                    self.samples.append(item.vector)
            self.expected_asides += [_aside_of(r) for r in batch if isinstance(r, chroma.Problem)]

    def _kept(self) -> dict[tuple[str, str], bytes]:
        rows = KeptCell.objects.using(self.alias).filter(table=self.table)
        return {(r.key, r.column): bytes(r.value or b"") for r in rows}

    def _judge_item(
        self, item: chroma.Item, found: TargetItem | None, kept: dict[tuple[str, str], bytes]
    ) -> None:
        key = item.embedding_id
        reason = expectation.needs_quarantine(key, item.document, item.metadata)
        if reason:
            self.expected_asides.append((key.replace("\x00", "\\x00"), None, reason))
            if found is not None:
                self._find(FindingKind.QUARANTINE_KEPT_ROW, "items", key)
            return
        self.seen.add(key)
        if found is None:
            self._find(FindingKind.MISSING_ROW, "items", key, note=self.collection.name)
            return
        before = len(self.findings)
        self._judge_values(item, found)
        self._judge_vector(item, found)
        self._judge_kept(item, kept)
        self.proof.equal += len(self.findings) == before

    def _judge_values(self, item: chroma.Item, found: TargetItem) -> None:
        key = item.embedding_id
        self.proof.documents += item.document is not None
        if item.document != found.document:
            self._find(FindingKind.VALUE, "items:document", key, item.document, found.document)
        expected, _ = expectation.expected_metadata(item.metadata)
        self.proof.metadata_values += len(expected)
        if difference := expectation.metadata_difference(expected, json.loads(found.metadata)):
            self._find(FindingKind.VALUE, "items:metadata", key, note=difference)
        moment = expectation.expected_time(item.created_at)
        if moment != found.created_at:
            self._find(FindingKind.VALUE, "items:created_at", key, moment, found.created_at)
        if item.seq_id != found.legacy_seq_id:
            where = "items:legacy_seq_id"
            self._find(FindingKind.VALUE, where, key, item.seq_id, found.legacy_seq_id)

    def _judge_vector(self, item: chroma.Item, found: TargetItem) -> None:
        key = item.embedding_id
        self.proof.origins[item.origin.value] += 1
        # The import found the original in the queue, and Chroma has purged that since.
        purged = (item.origin.value, found.origin) == ("segment_cosine", "queue")
        if item.origin.value != found.origin and not purged:
            self._find(FindingKind.VALUE, "items:origin", key, item.origin.value, found.origin)
        exact = item.origin is not chroma.Origin.SEGMENT_COSINE
        apart = expectation.vector_difference(item.vector, found.embedding, exact)
        if apart:
            note = f"float32 values are apart by {apart:.3g} of the norm"
            self._find(FindingKind.VALUE, "items:embedding", key, note=note)
        elif exact:
            self.proof.exact_vectors += 1
        else:
            self.proof.near_vectors += 1

    def _judge_kept(self, item: chroma.Item, kept: dict[tuple[str, str], bytes]) -> None:
        """A repaired cell has its original beside it, and the original is the original."""
        key = item.embedding_id
        _, repaired = expectation.expected_metadata(item.metadata)
        self.proof.repaired += repaired
        original = kept.get((key, "metadata"))
        if repaired and original is None:
            self._find(FindingKind.KEPT_CELL, "items:metadata", key, note="the original is missing")
        elif original is not None and expectation.metadata_difference(
            item.metadata, json.loads(original)
        ):
            note = "the kept original is not what the legacy holds"
            self._find(FindingKind.KEPT_CELL, "items:metadata", key, note=note)
        unreadable = item.created_at is not None and not expectation.expected_time(item.created_at)
        if unreadable and kept.get((key, "created_at")) != str(item.created_at).encode():
            note = "the original is missing"
            self._find(FindingKind.KEPT_CELL, "items:created_at", key, note=note)

    def _judge_counts(self, row: models.Collection, level: str) -> None:
        """Counts by another road: both databases count for themselves."""
        found = target_ids(self.alias, row.pk)
        self.proof.target_rows = len(found)
        if level == "full":
            for key in sorted(found - self.seen)[:100]:
                self._find(FindingKind.EXTRA_ROW, "items", key, note=self.collection.name)
        set_aside = self._aside_keys()
        expected = self.proof.legacy_ids - len(set_aside & self._legacy_ids())
        if len(found) != expected:
            self._find(FindingKind.COUNT, "items", None, expected, len(found), self.collection.name)

    def _judge_search(self, row: models.Collection) -> None:
        """The ten nearest to some queries, found in the store and in the target."""
        found = ranking.compare(
            self.store, self.collection, row, self.samples, self.sample_queries, self.seen
        )
        self.proof.queries, self.proof.queries_equal = found.queries, found.equal
        self.proof.recall_at_10, self.proof.search = found.recall, found.sentence
        for note in found.differences:
            self._find(FindingKind.VALUE, "items:embedding", None, note=note)

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
        for key, number, reason in self.expected_asides:
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


def _aside_of(problem: chroma.Problem) -> ExpectedAside:
    label: Any = problem.raw.get("label")
    key = problem.embedding_id
    if key is not None:
        return key.replace("\x00", "\\x00"), None, problem.reason.value
    return None, label, problem.reason.value
