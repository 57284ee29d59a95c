"""What a legacy value MEANS. Pure data: no converter stands here (law 3).

The loader turns a kind into a COPY, the judge turns it into an expectation; each in its own
way, so that a mistake in one is seen by the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Stamp(StrEnum):
    """Which shape of time the old application wrote into a column.

    `SQL` is SQLite's CURRENT_TIMESTAMP (``YYYY-MM-DD HH:MM:SS``, UTC, whole seconds), `ISO` is
    Python's naive ``datetime.isoformat()`` of the local clock, `MIXED` holds both, `DATE` is a
    date alone. The shape decides what is rebuilt on the way back; the clock of a value is always
    read off the value: a space means UTC, a ``T`` without offset means local, an offset says so
    itself.
    """

    SQL = "sql"
    ISO = "iso"
    MIXED = "mixed"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Kind:
    """Base of all meanings. What the class attributes say holds for every value of the kind.

    `words` are those of docs/reference/schema.md. `storage` is SQLite's storage class of the usual
    value.
    `is_key`: such a column is always the table's key; one of another kind is where it is declared
    `primary_key`. `is_free_text`: any characters may stand in it.
    `is_document`: a JSON document. `is_time`: a time, which has a `shape` and may be stored as a
    number.
    `depends_on_clock`: what a value means depends on the clock of the machine that wrote it.
    """

    words: ClassVar[str] = ""
    storage: ClassVar[str] = "text"
    is_key: ClassVar[bool] = False
    is_free_text: ClassVar[bool] = False
    is_document: ClassVar[bool] = False
    is_time: ClassVar[bool] = False
    depends_on_clock: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The kind's word in output, e.g. ``timestamp``."""
        return type(self).__name__.lower()

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return self.words or self.name

    @property
    def shape(self) -> Stamp | None:
        """The shape of a time; None for what is no time."""
        return None

    @property
    def may_be_huge(self) -> bool:
        """Whether it is text that may be so large that it is read in pieces."""
        return False

    def sample(self, number: int) -> int | float | str:
        """A stored value of the usual shape, for `number` from 1 to 9."""
        return f"probe{number}" if self.storage == "text" else number


@dataclass(frozen=True, slots=True)
class Key(Kind):
    """A 64-bit integer primary key; its column is SQLite's rowid."""

    words: ClassVar[str] = "key, the rowid"
    storage: ClassVar[str] = "integer"
    is_key: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TextKey(Kind):
    """A text primary key."""

    words: ClassVar[str] = "text key"
    is_key: ClassVar[bool] = True
    is_free_text: ClassVar[bool] = True

    def sample(self, number: int) -> str:
        """A key that no table has."""
        return f"transfer-probe-{number}"


@dataclass(frozen=True, slots=True)
class Reference(Kind):
    """Names a row of `parent`, a legacy table of the same file. `key` is the kind of that key.

    Where that key is a reference in turn (a one-to-one reference as primary key), `key` is the
    kind of the key at the end of the chain.
    """

    parent: str
    key: Kind = Key()

    def __post_init__(self) -> None:
        """Go to the end of the chain."""
        if isinstance(self.key, Reference):
            object.__setattr__(self, "key", self.key.key)

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return f"key of `{self.parent}`"

    @property
    def storage(self) -> str:  # type: ignore[override]
        """That of the parent's key."""
        return self.key.storage

    @property
    def is_free_text(self) -> bool:  # type: ignore[override]
        """Whether the parent's key is."""
        return self.key.is_free_text


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Unicode text, kept code point for code point. `choices` are enforced by the target."""

    is_free_text: ClassVar[bool] = True
    choices: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return "text, one of " + ", ".join(self.choices) if self.choices else "text"

    @property
    def may_be_huge(self) -> bool:
        """Free text may, a choice may not."""
        return not self.choices

    def sample(self, number: int) -> str:
        """One of the choices, if there are any."""
        return self.choices[0] if self.choices else f"probe{number}"


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """A whole number from `low` to `high` (the target's 32-bit integer by default)."""

    storage: ClassVar[str] = "integer"
    low: int = -(2**31)
    high: int = 2**31 - 1

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        if self == Integer():
            return "whole number, 32 bits"
        return f"whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Real(Kind):
    """An IEEE 754 double, kept to the last bit."""

    words: ClassVar[str] = "double"
    storage: ClassVar[str] = "real"

    def sample(self, number: int) -> float:
        """A number with a fraction."""
        return number / 2


@dataclass(frozen=True, slots=True)
class Json(Kind):
    """A JSON document stored as text."""

    words: ClassVar[str] = "JSON document"
    is_document: ClassVar[bool] = True

    def sample(self, number: int) -> str:
        """The empty document."""
        return "{}"


@dataclass(frozen=True, slots=True)
class Timestamp(Kind):
    """An instant; `stamp` is the shape that the old application wrote.

    `after` names a column of the same row whose moment was never later (``started_at`` of a
    `completed_at`): it tells which hour is meant where clocks were put back.
    """

    is_time: ClassVar[bool] = True
    depends_on_clock: ClassVar[bool] = True
    stamp: Stamp = Stamp.SQL
    after: str | None = None

    @property
    def shape(self) -> Stamp:
        """The shape that the old application wrote."""
        return self.stamp

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return f"time ({_STAMPS[self.stamp]})"

    def sample(self, number: int) -> str:
        """A time that SQLite could have stamped."""
        return f"2025-01-0{number} 00:00:00"


@dataclass(frozen=True, slots=True)
class Date(Kind):
    """A calendar date ``YYYY-MM-DD``; the target holds midnight UTC of that date."""

    words: ClassVar[str] = "date, midnight UTC"
    is_time: ClassVar[bool] = True

    @property
    def shape(self) -> Stamp:
        """A date alone."""
        return Stamp.DATE

    def sample(self, number: int) -> str:
        """A time of that date, which its column takes too."""
        return f"2025-01-0{number} 00:00:00"


_STAMPS = {
    Stamp.SQL: "SQLite's own, UTC",
    Stamp.ISO: "ISO, local clock",
    Stamp.MIXED: "both: SQLite's own UTC, ISO local",
}


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
