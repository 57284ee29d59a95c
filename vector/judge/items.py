"""The judge of items: every id, document, metadata value, time and float32, one by one.

What is equal is settled by one comparison each; only what is not is looked at again for the reason.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from stillme.transfer.findings import FindingKind
from stillme.transfer.models import KeptCell
from stillme.transfer.verify.rows.stored_records import as_stored
from vector import chroma
from vector.judge import expectation, set_aside
from vector.judge.nearest import merged, nearest
from vector.judge.proof import CollectionProof, empty_proof
from vector.judge.target_reading import TargetItem, TargetReader
from vector.names import FILE

BATCH_ROWS = 2_000


class ItemJudge:
    """Compares items of one collection, `pk` of the target; measures `queries` against them, too.

    It goes to other processes as it is.
    """

    def __init__(
        self,
        collection: chroma.Collection,
        alias: str,
        pk: int,
        table: str,
        queries: list[list[float]],
    ) -> None:
        self.collection, self.alias, self.pk, self.table = collection, alias, pk, table
        self.queries = queries
        self.proof = empty_proof(table)

    def judge(self, store: chroma.Store, part: chroma.Part) -> CollectionProof:
        """Compare a part of the collection with the target."""
        self.proof = proof = empty_proof(self.table)
        before = store.rows_read.copy()
        target = TargetReader(self.alias, self.pk)
        kept_any = KeptCell.objects.using(self.alias).filter(file=FILE, table=self.table).exists()
        records = store.items(self.collection, part)
        while batch := list(islice(records, BATCH_ROWS)):
            items = [r for r in batch if isinstance(r, chroma.Item)]
            proof.compared += len(items)
            proof.asides += [
                set_aside.of_problem(self.collection.id, r)
                for r in batch
                if isinstance(r, chroma.Problem)
            ]
            keys = [item.embedding_id for item in items if "\x00" not in item.embedding_id]
            found = target.items(keys)
            kept = self._kept(keys) if kept_any else {}
            whole = [
                i
                for i in items
                if self._judge_item(i, found.get(i.embedding_id), kept.get(i.embedding_id, []))
            ]
            keys, vectors = [i.embedding_id for i in whole], [i.vector for i in whole]
            near = nearest(self.collection.metric, self.queries, keys, vectors)
            proof.nearest = merged(proof.nearest, near)
        proof.rows_read = store.rows_read - before
        return proof

    def _kept(self, keys: list[str]) -> dict[str, list[KeptCell]]:
        found: dict[str, list[KeptCell]] = {}
        cells = KeptCell.objects.using(self.alias).filter(file=FILE, table=self.table)
        for cell in as_stored(cells.filter(key__in=keys)):
            found.setdefault(cell.key, []).append(cell)
        return found

    def _judge_item(
        self, item: chroma.Item, found: TargetItem | None, kept: list[KeptCell]
    ) -> bool:
        """Compare one item; whether it is one that the target must hold."""
        key = item.embedding_id
        reason, column = expectation.needs_quarantine(key, item.document, item.metadata)
        if reason:
            self.proof.asides.append(set_aside.of_item(self.collection.id, item, reason, column))
            if found is not None:
                self.proof.find(FindingKind.QUARANTINE_KEPT_ROW, "items", key)
            return False
        self.proof.seen.add(key)
        if found is None:
            self.proof.find(FindingKind.MISSING_ROW, "items", key, note=self.collection.name)
            return True
        before = self.proof.findings.total
        repaired = self._judge_metadata(item, found)
        self._judge_values(item, found)
        self._judge_vector(item, found)
        if repaired or kept or item.created_at is None or found.created_at is None:
            self._judge_kept(item, kept, repaired=repaired)
        if self.proof.findings.total == before:
            self.proof.by_cell += 1
            # Id, vector, where it was read, time, sequence; and what it has besides.
            self.proof.cells += 5 + (item.document is not None) + len(item.metadata)
        return True

    def _judge_metadata(self, item: chroma.Item, found: TargetItem) -> bool:
        """Compare the metadata; whether a value in it cannot be held as it is."""
        content = expectation.read_json(found.metadata)
        if expectation.is_same_metadata(item.metadata, content):
            return False
        expected, repaired = expectation.expected_metadata(item.metadata)
        if difference := expectation.metadata_difference(expected, content):
            key = item.embedding_id
            self.proof.find(FindingKind.VALUE, "items:metadata", key, note=difference)
        return repaired

    def _judge_values(self, item: chroma.Item, found: TargetItem) -> None:
        key = item.embedding_id
        if item.document != found.document:
            self.proof.find(FindingKind.VALUE, "items:document", key, item.document, found.document)
        moment = expectation.expected_time(item.created_at)
        if moment != found.created_at:
            self.proof.find(FindingKind.VALUE, "items:created_at", key, moment, found.created_at)
        if item.seq_id != found.legacy_seq_id:
            legacy, target = item.seq_id, found.legacy_seq_id
            self.proof.find(FindingKind.VALUE, "items:legacy_seq_id", key, legacy, target)

    def _judge_vector(self, item: chroma.Item, found: TargetItem) -> None:
        key, origin = item.embedding_id, item.origin.value
        self.proof.origins[origin] += 1
        # The import found the original in the queue, and Chroma has purged that since.
        purged = (origin, found.origin) == ("segment_cosine", "queue")
        if origin != found.origin and not purged:
            self.proof.find(FindingKind.VALUE, "items:origin", key, origin, found.origin)
        exact = item.origin is not chroma.Origin.SEGMENT_COSINE
        if found.embedding is None:
            note = "it is no plain array of float32"
            self.proof.find(FindingKind.VALUE, "items:embedding", key, note=note)
        elif apart := expectation.vector_difference(item.vector, found.embedding, exact):
            note = f"float32 values are apart by {apart:.3g} of the norm"
            self.proof.find(FindingKind.VALUE, "items:embedding", key, note=note)
        elif exact:
            self.proof.exact_vectors += 1
        else:
            self.proof.near_vectors += 1

    def _judge_kept(self, item: chroma.Item, kept: list[KeptCell], *, repaired: bool) -> None:
        """Compare the originals of repaired cells."""
        self.proof.repaired += repaired
        stamp = item.created_at
        unreadable = stamp is not None and not expectation.expected_time(stamp)
        stored: dict[str, tuple[Any, set[str]]] = {
            "metadata": (item.metadata, expectation.repair_reasons(item.metadata)),
            "created_at": (
                str(stamp).encode("utf-8", "surrogateescape"),
                {"unreadable_time"} if unreadable else set(),
            ),
        }
        for column in sorted(stored.keys() | {cell.column for cell in kept}):
            cells = [cell for cell in kept if cell.column == column]
            note = set_aside.kept_difference(cells, *stored.get(column, (b"", set())))
            if note:
                key = item.embedding_id
                self.proof.find(FindingKind.KEPT_CELL, f"items:{column}", key, note=note)
