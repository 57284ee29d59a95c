"""A merged range as it is counted: what was staged, what goes beside the rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from stillme.transfer.mapping import TableMapping
from stillme.transfer.steps.rows.careful import LoadedRow, SetAside
from stillme.transfer.steps.rows.outcome import Outcome
from stillme.transfer.steps.rows.packed import KeptRow, PackedRow, pack


@dataclass(slots=True)
class Merged:
    """A merged range: its counts and what goes beside the rows, the kept cells by key."""

    mapping: TableMapping
    outcome: Outcome = field(default_factory=Outcome)
    set_aside: list[PackedRow] = field(default_factory=list)
    kept: dict[str, KeptRow] = field(default_factory=dict)

    def note(self, row: LoadedRow | SetAside) -> None:
        """Count a row."""
        outcome = self.outcome
        outcome.legacy_rows += 1
        if isinstance(row, SetAside):
            self.set_aside.append(pack(self.mapping, row))
            outcome.quarantined += 1
            outcome.reasons[row.reason] = outcome.reasons.get(row.reason, 0) + 1
            return
        outcome.repaired += row.repaired
        outcome.loaded += not row.repaired
        if row.kept:
            self.kept[row.key] = KeptRow(row.key, row.kept, row.repaired)

    def take_back(self, key: str) -> None:
        """Undo the count of a row that had been staged."""
        kept = self.kept.pop(key, None)
        was_repaired = kept is not None and kept.repaired
        self.outcome.legacy_rows -= 1
        self.outcome.repaired -= was_repaired
        self.outcome.loaded -= not was_repaired

    def replace(self, place: int, new: PackedRow) -> None:
        """Another reason for a row that is set aside anyway."""
        old = self.set_aside[place]
        self.set_aside[place] = new
        self.outcome.reasons[old.reason] -= 1
        self.outcome.reasons[new.reason] = self.outcome.reasons.get(new.reason, 0) + 1
