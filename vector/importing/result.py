"""How vectors are imported, and what became of the import."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from stillme.transfer.inventory.deletions import Confirm, always
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.records.outcome import Outcome
from vector.names import FILE


@dataclass(slots=True)
class CollectionResult:
    """What became of one collection. `counted` is how many items a full scan counts."""

    table: str
    outcome: Outcome = field(default_factory=Outcome)
    origins: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    index: str = ""
    file: str = FILE
    target: str = "vector.items"
    chunks: int = 0
    skipped_chunks: int = 0
    counted: int | None = None

    @property
    def conserved(self) -> bool:
        """Whether every item that a full scan counts is loaded, repaired or quarantined."""
        is_whole = self.counted in (None, self.outcome.legacy_rows)
        return is_whole and self.outcome.conserved


@dataclass(slots=True)
class VectorImport:
    """What became of the import. `conserved` is law 1 over all collections."""

    run_id: int | None
    layout: str
    tables: list[CollectionResult] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    inventory: list[InventoryLine] = field(default_factory=list)
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def conserved(self) -> bool:
        """Whether every legacy item is loaded, repaired or quarantined."""
        return all(table.conserved for table in self.tables)

    @property
    def conflicts(self) -> int:
        """Items left alone because the target side changed them."""
        return sum(table.outcome.conflict_count for table in self.tables)


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How to import. `jobs` is the number of processes for a large collection, 0 for one a core."""

    dry_run: bool = False
    prune: bool = False
    overwrite: bool = False
    moved: bool = False
    approve: Confirm = always
    index: bool = True
    jobs: int = 0
    database: str = "default"
