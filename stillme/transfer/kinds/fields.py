"""The kinds of Django's model fields, as Django itself stores them in SQLite.

`Decimal(10, 2)` is a `DecimalField(max_digits=10, decimal_places=2)`, `Moment()` a `DateTimeField`
under `USE_TZ`. Char, Slug, File and Email fields are `Text(max_length=...)`, integers of every
width are `Integer(low, high)`, and JSON is `Json()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stillme.transfer.kinds.base import Kind, Stamp


@dataclass(frozen=True, slots=True)
class Boolean(Kind):
    """False or true, stored as 0 or 1; the target's `boolean`."""

    words: ClassVar[str] = "yes or no, as 1 or 0"
    storage: ClassVar[str] = "integer"

    def sample(self, number: int) -> int:
        """1 or 0."""
        return number % 2


@dataclass(frozen=True, slots=True)
class Decimal(Kind):
    """A decimal number of at most `digits` digits, `places` of them after the point; `numeric`.

    SQLite stores a whole one as integer, any other as the nearest double: 15 digits are exact.
    If `rounded`, a number with more places is loaded as Django reads it, and its original is kept.
    """

    storage: ClassVar[str] = "real"
    digits: int
    places: int
    rounded: bool = False

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return f"decimal of {self.digits} digits, {self.places} after the point"

    def sample(self, number: int) -> float | int:
        """A number of one digit; with a fraction where there are places."""
        if self.digits == self.places:
            return number / 10
        return number + 0.5 if self.places else number


@dataclass(frozen=True, slots=True)
class Moment(Kind):
    """A Django date and time, stored as a wall time of `zone`; the target's `timestamptz`.

    `aware` tells whether Django works with aware times (`USE_TZ`): then `zone` is that of the
    database, mostly UTC. Otherwise the times are naive, and `zone` is the project's `TIME_ZONE`.
    """

    is_time: ClassVar[bool] = True
    shape: ClassVar[Stamp | None] = Stamp.DJANGO
    probe: ClassVar[str] = "2025-01-0{} 00:00:00"
    aware: bool = True
    zone: str = "UTC"

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return f"{'time' if self.aware else 'naive time'}, {self.zone}"


@dataclass(frozen=True, slots=True)
class Day(Kind):
    """A calendar date ``YYYY-MM-DD``; the target's `date`."""

    words: ClassVar[str] = "date"
    probe: ClassVar[str] = "2025-01-0{}"


@dataclass(frozen=True, slots=True)
class TimeOfDay(Kind):
    """A time of day ``HH:MM:SS``, then ``.ffffff`` unless that is zero; the target's `time`."""

    words: ClassVar[str] = "time of day"
    probe: ClassVar[str] = "0{}:00:00"


@dataclass(frozen=True, slots=True)
class Duration(Kind):
    """A duration in microseconds; the target's `interval`, of days and microseconds as Django's."""

    words: ClassVar[str] = "duration in microseconds"
    storage: ClassVar[str] = "integer"


@dataclass(frozen=True, slots=True)
class Uuid(Kind):
    """A UUID as 32 lower-case hex digits; the target's `uuid`."""

    words: ClassVar[str] = "UUID, 32 hex digits"
    key_type: ClassVar[str] = "uuid"
    probe: ClassVar[str] = "{:032x}"


@dataclass(frozen=True, slots=True)
class Binary(Kind):
    """Bytes; the target's `bytea`."""

    words: ClassVar[str] = "bytes"
    storage: ClassVar[str] = "blob"

    def sample(self, number: int) -> bytes:
        """One byte."""
        return bytes([number])


@dataclass(frozen=True, slots=True)
class Address(Kind):
    """An IPv4 or IPv6 address in its shortest spelling, without a mask; the target's `inet`."""

    words: ClassVar[str] = "IP address"
    # For documentation (RFC 5737).
    probe: ClassVar[str] = "192.0.2.{}"
