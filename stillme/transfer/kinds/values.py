"""The kinds of StillMe's own files: keys, references, texts, numbers, documents, times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stillme.transfer.kinds.base import Kind, Stamp


@dataclass(frozen=True, slots=True)
class Key(Kind):
    """A 64-bit integer primary key; its column is SQLite's rowid. The target's `bigint`."""

    words: ClassVar[str] = "key, the rowid"
    key_type: ClassVar[str] = "bigint"
    storage: ClassVar[str] = "integer"
    is_key: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TextKey(Kind):
    """A text primary key of at most `max_length` code points; the target's `text` or `varchar`."""

    words: ClassVar[str] = "text key"
    key_type: ClassVar[str] = "text"
    is_key: ClassVar[bool] = True
    is_free_text: ClassVar[bool] = True
    probe: ClassVar[str] = "transfer-probe-{}"
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Reference(Kind):
    """Names a row of `parent`, a table of the same file, by its key, which is of the kind `key`.

    Where that key is a reference in turn (a one-to-one reference as primary key), `key` is the
    kind of the key at the end of the chain. `column` is the unique column of the parent that is
    named instead of its key (Django's `to_field`), and then `key` is what it would be as a key.
    """

    parent: str
    key: Kind = Key()
    column: str = ""

    def __post_init__(self) -> None:
        """Go to the end of the chain."""
        if isinstance(self.key, Reference):
            object.__setattr__(self, "key", self.key.key)

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return f"{f'`{self.column}`' if self.column else 'key'} of `{self.parent}`"

    @property
    def storage(self) -> str:  # type: ignore[override]
        """That of the parent's key."""
        return self.key.storage

    @property
    def key_type(self) -> str:  # type: ignore[override]
        """That of the parent's key."""
        return self.key.key_type

    @property
    def is_free_text(self) -> bool:  # type: ignore[override]
        """Whether the parent's key is."""
        return self.key.is_free_text


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Text, kept code point for code point; the target's `text`, or `varchar` of `max_length`.

    `choices` are enforced by the target, and so is `max_length`, in code points.
    """

    is_free_text: ClassVar[bool] = True
    choices: tuple[str, ...] = ()
    max_length: int | None = None

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        if self.choices:
            return "text, one of " + ", ".join(self.choices)
        return "text" if self.max_length is None else f"text of at most {self.max_length}"

    @property
    def may_be_huge(self) -> bool:  # type: ignore[override]
        """Free text may, a choice or a text of limited length may not."""
        return not self.choices and self.max_length is None

    def sample(self, number: int) -> str:
        """One of the choices, if there are any."""
        if self.choices:
            return self.choices[0]
        return f"probe{number}"[-self.max_length :] if self.max_length else f"probe{number}"


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """A whole number from `low` to `high`; `smallint`, `integer` (by default) or `bigint`."""

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
    """An IEEE 754 double, kept to the last bit, infinities too; the target's `double precision`."""

    words: ClassVar[str] = "double"
    storage: ClassVar[str] = "real"

    def sample(self, number: int) -> float:
        """A number with a fraction."""
        return number / 2


@dataclass(frozen=True, slots=True)
class Json(Kind):
    """A JSON document stored as text; the target's `jsonb`. The text `null` is JSON's null."""

    words: ClassVar[str] = "JSON document"
    is_document: ClassVar[bool] = True
    probe: ClassVar[str] = "{{}}"


@dataclass(frozen=True, slots=True)
class Timestamp(Kind):
    """An instant; `stamp` is the shape that the application wrote. The target's `timestamptz`.

    `after` names a column of the same row whose moment was never later (``started_at`` of a
    `completed_at`): it tells which hour is meant where clocks were put back.
    """

    is_time: ClassVar[bool] = True
    depends_on_clock: ClassVar[bool] = True
    probe: ClassVar[str] = "2025-01-0{} 00:00:00"
    stamp: Stamp = Stamp.SQL
    after: str | None = None

    @property
    def shape(self) -> Stamp:  # type: ignore[override]
        """The shape that the old application wrote."""
        return self.stamp

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return f"time ({_STAMPS[self.stamp]})"


@dataclass(frozen=True, slots=True)
class Date(Kind):
    """A calendar date ``YYYY-MM-DD``; the target has a `timestamptz`, midnight UTC of it."""

    words: ClassVar[str] = "date, midnight UTC"
    is_time: ClassVar[bool] = True
    shape: ClassVar[Stamp | None] = Stamp.DATE
    probe: ClassVar[str] = "2025-01-0{} 00:00:00"


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
