"""The import and the proof of a Chroma folder, as the commands do them, for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stillme.transfer.findings import Finding, OnEvent, ignore_event
from stillme.transfer.inventory.stores import StoreOptions, StoreReport
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records import ledger
from vector.importing.run import import_vectors as import_into
from vector.judge.run import prove_vectors as prove

# Said of a row in quarantine that nobody has decided about; the judge counts these.
OPEN = "open"


@dataclass
class Imported:
    """What became of an import."""

    report: StoreReport
    run_id: int | None

    @property
    def tables(self) -> list[Any]:
        return self.report.tables

    @property
    def inventory(self) -> list[Any]:
        return self.report.inventory

    @property
    def notices(self) -> list[str]:
        """Without what came of the indexes."""
        indexes = {f"vector: {table.index}" for table in self.tables}
        said = [notice for notice in self.report.notices if notice not in indexes]
        return [notice.removeprefix("vector: ") for notice in said]

    @property
    def conserved(self) -> bool:
        return all(table.conserved for table in self.tables)

    @property
    def conflicts(self) -> int:
        return sum(table.outcome.conflict_count for table in self.tables)


def import_vectors(
    folder: Path,
    options: StoreOptions | None = None,
    on_event: OnEvent = ignore_event,
    **changes: Any,
) -> Imported:
    """Import in a run and under a lock, as `import_sqlite` does; a dry run has neither."""
    chosen = replace(options or StoreOptions(), **changes)
    if chosen.dry_run:
        return Imported(import_into(folder, chosen, None, on_event), None)
    with exclusive(chosen.database):
        run = ledger.start_run(chosen.database, "import_sqlite", {"path": str(folder)})
        try:
            report = import_into(folder, chosen, run, on_event)
        except BaseException as error:
            ledger.fail_run(chosen.database, run, error)
            raise
        ledger.finish_run(chosen.database, run, failed=False)
    return Imported(report, run.pk)


@dataclass
class Proven:
    """What a proof came to: its findings, and the open rows in quarantine as findings."""

    report: StoreReport

    @property
    def collections(self) -> list[Any]:
        return self.report.tables

    @property
    def inventory(self) -> list[Any]:
        return self.report.inventory

    @property
    def notices(self) -> list[str]:
        return [notice.removeprefix("vector: ") for notice in self.report.notices]

    @property
    def sha256(self) -> str:
        return str(self.report.files["vector"]["sha256"])

    @property
    def findings(self) -> list[Finding]:
        found = [*self.report.findings]
        for table in self.collections:
            found += table.findings.kept
            rows = QuarantinedRow.objects.filter(table=table.table, status="open")
            assert table.open == rows.count()
            found += [Finding(OPEN, "vector.items", row.key, note=row.reason) for row in rows]
        return found


def prove_vectors(folder: Path, **options: Any) -> Proven:
    """Judge as `verify_migration` does."""
    return Proven(prove(folder, StoreOptions(**options), ignore_event))


def verify_vectors(folder: Path) -> list[Finding]:
    """The findings of a proof."""
    return prove_vectors(folder).findings
