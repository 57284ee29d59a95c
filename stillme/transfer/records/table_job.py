"""What a worker needs to know to load ranges of one table. Plain data: it crosses processes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.copying.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class TableJob:
    """One table of one snapshot, under one run.

    `parents` maps each declared parent table to its mapping as found (None where the file has
    none), `set_aside` to the keys of its rows in quarantine, as references spell them. Rows of the
    parents in `later` are loaded later: tables that refer to each other in a circle.
    `quarantine_was_empty` when the run began: no row of the table has a record that another run
    left.
    """

    snapshot: Snapshot
    mapping: TableMapping
    clock: Clock
    epoch_units: dict[str, str]
    run_id: int | None
    parents: dict[str, TableMapping | None] = field(default_factory=dict)
    set_aside: dict[str, tuple[int | str, ...]] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    overwrite: bool = False
    prune: bool = False
    quarantine_was_empty: bool = False

    @property
    def digest(self) -> str:
        """Identifies mapping, policy, and the decision about the clock."""
        units = sorted(self.epoch_units.items())
        text = repr((self.mapping.digest, self.clock.meaning, units))
        return hashlib.sha256(text.encode()).hexdigest()[:32]
