"""The vector folder as a store of the engine: part of `import_sqlite` and `verify_migration`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings

from stillme.transfer.findings import FindingKind, OnEvent
from stillme.transfer.stores import StoreOptions, StoreReport
from stillme.transfer.verify.result import Findings, TableProof
from vector.chroma.snapshot import DATABASE
from vector.conversion import FILE
from vector.importing import VectorOptions, import_vectors
from vector.verification import CollectionProof, prove_vectors

_BLOCK = 1 << 20


class VectorStore:
    """ChromaDB's folder."""

    name = FILE
    setting = "LEGACY_VECTOR_DIR"
    live_refusal = (
        "The vector store is moved by `manage.py import_sqlite --file vector` and proven by "
        "`manage.py verify_migration --file vector`, with its writers stopped; this command cannot "
        "work on it, because a running ChromaDB holds its index in memory."
    )

    def path(self) -> Path:
        """Where it is, by the settings."""
        return Path(settings.LEGACY_VECTOR_DIR)

    def is_present(self) -> bool:
        """Whether there is a database with anything in it."""
        database = self.path() / DATABASE
        return database.is_file() and database.stat().st_size > 0

    def digest(self) -> str:
        """SHA-256 over the folder."""
        return str(digest_of(self.path())["sha256"])

    def import_store(self, options: StoreOptions, run: Any, on_event: OnEvent) -> StoreReport:
        """Load it."""
        chosen = VectorOptions(
            dry_run=options.dry_run,
            prune=options.prune,
            overwrite=options.overwrite,
            jobs=options.jobs,
            database=options.database,
        )
        result = import_vectors(self.path(), options=chosen, run=run, on_event=on_event)
        notices = [f"{self.name}: {notice}" for notice in result.notices]
        indexes = [f"{self.name}: {table.index}" for table in result.tables if table.index]
        return StoreReport(list(result.tables), notices=notices + indexes)

    def prove_store(self, options: StoreOptions, on_event: OnEvent) -> StoreReport:
        """Compare it with the target."""
        proof = prove_vectors(
            self.path(),
            on_event=on_event,
            database=options.database,
            level=options.level,
            sample=options.sample,
            jobs=options.jobs,
        )
        report = StoreReport(files={self.name: digest_of(self.path())})
        for collection in proof.collections:
            report.tables.append(_table_proof(collection))
            if collection.words:
                name = collection.table.partition(".")[2]
                report.notices.append(f"{self.name}: {name}: {collection.words}.")
        report.findings = proof.strangers
        return report


def _table_proof(collection: CollectionProof) -> TableProof:
    """In the judge's words. Open rows are counted, not found a second time."""
    findings = Findings()
    findings.extend(f for f in collection.findings if f.kind is not FindingKind.QUARANTINE_OPEN)
    items = collection.items
    return TableProof(
        FILE,
        collection.table,
        f"vector.items ({collection.table.partition('.')[2]})",
        legacy_rows=collection.legacy_ids,
        target_rows=collection.target_rows,
        by_cell=items.equal,
        # Of each item: id, vector, where it was read, time, sequence; and what it has besides.
        cells=5 * items.equal + items.documents + items.metadata_values,
        repaired=items.repaired,
        open=collection.open,
        accepted=collection.accepted,
        findings=findings,
        seconds=collection.seconds,
        compared=items.items,
    )


def digest_of(folder: Path) -> dict[str, Any]:
    """Path, size and SHA-256 over names and contents of the files that are read."""
    digest, size = hashlib.sha256(), 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.name.endswith(("-wal", "-shm", "-journal")):
            continue
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                size += len(block)
    return {"path": str(folder), "sha256": digest.hexdigest(), "size": size}
