"""The options of `verify_migration`."""

from __future__ import annotations

from dataclasses import dataclass, field

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.plumbing.processes import default_jobs

SMALL_FILES = 4_000_000


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to verify, and at which level: "counts", "sample" (`sample` rows of each table) or
    "full"."""

    selection: Selection = field(default_factory=Selection)
    level: str = "full"
    jobs: int = 0
    database: str = "default"
    round_trip: bool = False
    sample: int = 3000

    @property
    def most_workers(self) -> int:
        """Worker processes: as asked, else one per core up to four."""
        return self.jobs or default_jobs()

    def workers(self, size: int) -> int:
        """Worker processes for files of `size` bytes: one for small files."""
        return 1 if size < SMALL_FILES and not self.jobs else self.most_workers
