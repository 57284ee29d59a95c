"""What became of a key range, as data."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """Counts of one key range or of one table. legacy = loaded + repaired + quarantined.

    `conflicts` are keys that the target side changed after the import and that were left alone,
    `vanished` keys that were loaded once and are gone from the legacy; both hold at most
    `MOST_KEYS` examples in addition to their counts.
    """

    legacy_rows: int = 0
    loaded: int = 0
    repaired: int = 0
    quarantined: int = 0
    inserted: int = 0
    updated: int = 0
    pruned: int = 0
    conflict_count: int = 0
    vanished_count: int = 0
    conflicts: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    to_prune: list[str] = field(default_factory=list)
    skipped: bool = False
    digest: str = ""

    @property
    def conserved(self) -> bool:
        """Law 1."""
        return self.legacy_rows == self.loaded + self.repaired + self.quarantined

    def add(self, other: Outcome) -> None:
        """Sum `other` into this one."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.conflicts = (self.conflicts + other.conflicts)[:MOST_KEYS]
        self.vanished = (self.vanished + other.vanished)[:MOST_KEYS]
        self.to_prune += other.to_prune
        for reason, rows in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + rows


MOST_KEYS = 20
_COUNTS = (
    "legacy_rows",
    "loaded",
    "repaired",
    "quarantined",
    "inserted",
    "updated",
    "pruned",
    "conflict_count",
    "vanished_count",
)
