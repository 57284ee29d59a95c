"""What the judge says, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stillme.visible import in_one_line


class FindingKind(StrEnum):
    """Every way in which the target may not be what the legacy says."""

    COUNT = "count"
    MISSING_ROW = "missing_row"
    EXTRA_ROW = "extra_row"
    VALUE = "value"
    KEPT_CELL = "kept_cell"
    QUARANTINE_KEPT_ROW = "quarantine_kept_row"
    CONSERVATION = "conservation"
    INVENTORY = "inventory"
    MISSING_LEGACY = "missing_legacy"
    MISSING_TABLE = "missing_table"
    TABLE = "table"
    COLUMN = "column"
    CONSTRAINT = "constraint"
    INDEX = "index"
    FOREIGN_KEY = "foreign_key"
    SEQUENCE = "sequence"
    ROUND_TRIP = "round_trip"


# Findings about single rows: none counts about a row that cannot be compared.
OF_ROWS = frozenset(
    {
        FindingKind.VALUE,
        FindingKind.MISSING_ROW,
        FindingKind.EXTRA_ROW,
        FindingKind.KEPT_CELL,
        FindingKind.QUARANTINE_KEPT_ROW,
        FindingKind.ROUND_TRIP,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement.

    `where` reads ``knowledge.knowledge_items:created_at`` (schema.table[:column]); `key` is the
    row's primary key as text, or None where the finding is about a table.
    """

    kind: FindingKind
    where: str
    key: str | None = None
    expected: str | None = None
    found: str | None = None
    note: str = ""

    def sentence(self) -> str:
        """One line for a terminal or a log."""
        key = "" if self.key is None else f" id={in_one_line(self.key)}"
        parts = [f"{in_one_line(self.where)}{key}"]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.found is not None:
            parts.append(f"found {self.found}")
        if self.note:
            parts.append(f"({self.note})")
        return f"{self.kind.value}: " + " ".join(parts)


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of a library call, for whoever renders it.

    `name` is one of ``notice``, ``file``, ``table``, ``progress``, ``done``; `data` holds what
    belongs to it (``file``, ``table``, ``rows``, ``total``, ``message``).
    """

    name: str
    data: dict[str, Any]


OnEvent = Callable[[Event], None]


def ignore_event(event: Event) -> None:
    """The default listener: says nothing."""
