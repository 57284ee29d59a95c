"""A merged range as it is counted: what was staged, what goes beside the rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from stillme.transfer.steps.rows.careful import LoadedRow, SetAside
from stillme.transfer.steps.rows.outcome import Outcome


@dataclass(slots=True)
class Merged:
    """A merged range: its counts and what goes beside the rows."""

    outcome: Outcome
    set_aside: list[SetAside] = field(default_factory=list)
    with_kept: list[LoadedRow] = field(default_factory=list)

    def note(self, row: LoadedRow | SetAside) -> None:
        """Count a row."""
        outcome = self.outcome
        outcome.legacy_rows += 1
        if isinstance(row, SetAside):
            self.set_aside.append(row)
            outcome.quarantined += 1
            outcome.reasons[row.reason] = outcome.reasons.get(row.reason, 0) + 1
            return
        outcome.repaired += row.repaired
        outcome.loaded += not row.repaired
        if row.kept:
            self.with_kept.append(row)

    def take_back(self, key: str) -> None:
        """Undo the count of a row that had been staged."""
        was_repaired = any(row.key == key and row.repaired for row in self.with_kept)
        self.with_kept = [row for row in self.with_kept if row.key != key]
        self.outcome.legacy_rows -= 1
        self.outcome.repaired -= was_repaired
        self.outcome.loaded -= not was_repaired

    def replace(self, old: SetAside, new: SetAside) -> None:
        """Another reason for a row that is set aside anyway."""
        self.set_aside[self.set_aside.index(old)] = new
        self.outcome.reasons[old.reason] -= 1
        self.outcome.reasons[new.reason] = self.outcome.reasons.get(new.reason, 0) + 1
