"""What `--prune` is about to delete: said first, confirmed, and refused above a share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stillme.visible import counted

# So few rows may go whatever share they are.
FEW = 20
SHARE = 10.0
SHOWN = 5


@dataclass(slots=True)
class Deletion:
    """What goes of one table: `rows` of the `of` rows in the target, `keys` the first of them.

    `records` of `of_records` are quarantined rows and kept cells whose legacy row is gone; of a
    store also the collections themselves.
    """

    file: str
    table: str
    target: str
    rows: int
    of: int
    keys: list[str] = field(default_factory=list)
    records: int = 0
    of_records: int = 0
    deleted: bool = False

    @property
    def percent(self) -> float:
        """The greater share, of what is more than a few."""
        parts = ((self.rows, self.of), (self.records, self.of_records))
        return max((100 * part / max(whole, 1) for part, whole in parts if part > FEW), default=0.0)

    def sentence(self) -> str:
        """``12 of 60 rows (20 %) of rss.fetch_items: 1, 2, 3, ...``"""
        share = 100 * self.rows / max(self.of, 1)
        keys = ", ".join(self.keys[:SHOWN]) + (", ..." if self.rows > SHOWN else "")
        said = f"{self.rows:,} of {counted(self.of, 'row')} ({share:.3g} %) of {self.target}"
        said += f": {keys}" if keys else ""
        if self.records:
            said += f"; {self.records:,} of {counted(self.of_records, 'record')} kept with them"
        return said


# Asks whether these may be deleted, all or none.
Confirm = Callable[[Sequence[Deletion]], bool]


def always(found: Sequence[Deletion]) -> bool:
    """Whoever calls the library with `prune` has decided."""
    return True


def too_much(found: Sequence[Deletion], allowed: float) -> str:
    """The sentence that refuses, or "" where no table loses more than `allowed` percent."""
    for each in sorted(found, key=lambda each: -each.percent):
        if each.percent > allowed:
            return (
                f"Nothing was deleted: --prune would take {each.sentence()}; that is more than "
                f"{allowed:g} %. Look whether {each.file} is the file that was loaded; if it is, "
                f"give --prune-share {math.ceil(each.percent)}."
            )
    return ""


NOT_CONFIRMED = (
    "Nothing was deleted: nobody confirmed what --prune would delete. Run it on a terminal and "
    "answer y, or give --yes."
)
