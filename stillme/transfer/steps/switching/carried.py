"""What was carried back into a legacy table, and what the legacy could not take."""

from __future__ import annotations

from dataclasses import dataclass, field

from stillme.transfer.keys import Key


@dataclass(frozen=True, slots=True)
class Lost:
    """A target value that the legacy file could not take as it is."""

    table: str
    key: str
    column: str
    value: str
    reason: str


@dataclass(slots=True)
class Carried:
    """What was carried back into one legacy table."""

    file: str
    table: str
    keys: list[Key] = field(default_factory=list)
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    cells: int = 0
    lost: list[Lost] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
