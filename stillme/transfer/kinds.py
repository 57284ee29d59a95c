"""What a legacy value MEANS. Pure data: no converter stands here (law 3).

The loader turns a kind into a COPY, the judge turns it into an expectation; each in its own
way, so that a mistake in one is seen by the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stamp(StrEnum):
    """Which shape of timestamp the old application wrote into a column.

    `SQL` is SQLite's CURRENT_TIMESTAMP (``YYYY-MM-DD HH:MM:SS``, UTC, whole seconds), `ISO` is
    Python's naive ``datetime.isoformat()`` of the local clock, `MIXED` holds both. The shape
    decides what is rebuilt on the way back; the clock of a value is always read off the value:
    a space means UTC, a ``T`` without offset means local, an offset says so itself.
    """

    SQL = "sql"
    ISO = "iso"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Kind:
    """Base of all meanings."""

    @property
    def name(self) -> str:
        """The kind's word in output, e.g. ``timestamp``."""
        return type(self).__name__.lower()


@dataclass(frozen=True, slots=True)
class Key(Kind):
    """A 64-bit integer primary key; its column is SQLite's rowid."""


@dataclass(frozen=True, slots=True)
class TextKey(Kind):
    """A text primary key."""


@dataclass(frozen=True, slots=True)
class Reference(Kind):
    """A 64-bit integer that names a row of `parent`, a legacy table of the same file."""

    parent: str


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Unicode text, kept code point for code point. `choices` are enforced by the target."""

    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """A whole number from `low` to `high` (the target's 32-bit integer by default)."""

    low: int = -(2**31)
    high: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Real(Kind):
    """An IEEE 754 double, kept to the last bit."""


@dataclass(frozen=True, slots=True)
class Json(Kind):
    """A JSON document stored as text."""


@dataclass(frozen=True, slots=True)
class Timestamp(Kind):
    """An instant; `stamp` is the shape that the old application wrote.

    `after` names a column of the same row whose moment was never later (``started_at`` of a
    `completed_at`): it tells which hour is meant where clocks were put back.
    """

    stamp: Stamp = Stamp.SQL
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Date(Kind):
    """A calendar date ``YYYY-MM-DD``; the target holds midnight UTC of that date."""


@dataclass(frozen=True, slots=True)
class Twin:
    """Evidence of the local clock: `local` and `utc` were stamped by the same INSERT."""

    local: str
    utc: str


@dataclass(frozen=True, slots=True)
class WhenSet:
    """A target column derived by rule: `then` where legacy column `column` is not NULL."""

    column: str
    then: str
    otherwise: str
