"""What an import is asked for, what became of it, and whether it may delete what it found gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stillme.transfer.identity import TableId
from stillme.transfer.inventory.deletions import (
    NOT_CONFIRMED,
    SHARE,
    Confirm,
    Deletion,
    too_much,
)
from stillme.transfer.inventory.entries import InventoryLine, open_lines
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import RunTable
from stillme.transfer.plumbing.processes import default_jobs
from stillme.transfer.records.missing import Missing
from stillme.transfer.records.outcome import Outcome

CHUNK_ROWS = 50_000
# Below this many bytes of legacy files a second process costs more than it saves.
SMALL_FILES = 4_000_000


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to import and how. `jobs` is the number of worker processes, 0 for as many as fit.

    `prune_share` is the greatest share of a
    table, in percent, that `prune` deletes; `replaced` says that a file of another history is to
    take the place of the one that was loaded.
    """

    selection: Selection = field(default_factory=Selection)
    jobs: int = 0
    dry_run: bool = False
    prune: bool = False
    prune_share: float = SHARE
    replaced: bool = False
    overwrite: bool = False
    moved: bool = False
    chunk_rows: int = CHUNK_ROWS
    database: str = "default"

    def workers(self, size: int) -> int:
        """Worker processes for files of `size` bytes: as asked, else one per core up to four."""
        if self.jobs:
            return self.jobs
        return 1 if size < SMALL_FILES else default_jobs()


@dataclass(slots=True)
class TableResult:
    """What became of one table. `counted` is how many rows a full scan of it counts."""

    file: str
    table: str
    target: str
    outcome: Outcome
    seconds: float
    chunks: int = 0
    counted: int | None = None
    skipped_chunks: int = 0

    @property
    def conserved(self) -> bool:
        """Whether every row that a full scan counts is loaded, repaired or quarantined."""
        is_whole = self.counted in (None, self.outcome.legacy_rows)
        return is_whole and self.outcome.conserved

    @property
    def identity(self) -> TableId:
        """Its file and its name."""
        return TableId(self.file, self.table)

    def record(self, alias: str, run_id: int) -> None:
        """Note in the ledger what became of the table in this run."""
        outcome = self.outcome
        RunTable.objects.using(alias).update_or_create(
            run_id=run_id,
            file=self.file,
            table=self.table,
            defaults={
                "target": self.target,
                "legacy_rows": outcome.legacy_rows,
                "loaded": outcome.loaded,
                "repaired": outcome.repaired,
                "quarantined": outcome.quarantined,
                "inserted": outcome.inserted,
                "updated": outcome.updated,
                "vanished": outcome.vanished_count,
                "pruned": outcome.pruned,
                "conflicts": outcome.conflict_count,
                "seconds": self.seconds,
            },
        )


@dataclass(slots=True)
class ImportResult:
    """What became of the import. `conserved` is law 1 over all tables; `inventory` is everything
    that the files and stores hold.

    `deletions` are what `prune` deleted or, in a dry run or where it was `refused` (sentences),
    would have.
    `missing` is what was loaded before and is gone now: nothing was done about it.
    """

    run_id: int | None
    tables: list[TableResult] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    returned: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    inventory: list[InventoryLine] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    aside: dict[tuple[str, str], int] | None = None

    def set_aside(self, table: TableResult) -> int:
        """Rows of a table that are not in the target. In a dry run: rows that would not be.

        Rows that the import could not load and somebody mended by hand are in the target: they do
        not count.
        """
        if self.aside is None:
            return table.outcome.quarantined
        return self.aside.get((table.file, table.table), 0)

    @property
    def conserved(self) -> bool:
        """Whether every legacy row is loaded, repaired or quarantined."""
        return all(table.conserved for table in self.tables)

    @property
    def undecided(self) -> list[InventoryLine]:
        """What holds data, is not carried, and nobody decided to leave."""
        return open_lines(self.inventory)

    @property
    def exit_status(self) -> int:
        """0 all is accounted for; 1 something was left alone, refused, or is undecided."""
        left = self.conflicts or self.undecided or self.refused or self.missing
        return 0 if self.conserved and not left else 1

    @property
    def conflicts(self) -> int:
        """Rows left alone because the target side changed them."""
        return sum(table.outcome.conflict_count for table in self.tables)


def approve(
    options: ImportOptions, result: ImportResult, confirm: Confirm, found: Sequence[Deletion]
) -> bool:
    """Note deletions in the result; whether they may be done, all of them or none.

    They may not in a dry run, above the share, and where it is not confirmed.
    """
    some = [each for each in found if each.rows or each.records]
    result.deletions += some
    if not some:
        return True
    refusal = too_much(some, options.prune_share)
    if not refusal and not options.dry_run and not confirm(some):
        refusal = NOT_CONFIRMED
    if refusal:
        result.refused.append(refusal)
    return not refusal and not options.dry_run


Approval = Callable[[Sequence[Deletion]], bool]
