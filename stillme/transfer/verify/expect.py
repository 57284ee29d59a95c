"""What the target must hold for one stored value: the judge's own reading of values.md.

Written without the loader's conversions (law 3). Values are compared as data, not as text:
instants are microseconds since 1970, reals are their 64 bits, documents are trees of decimals.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.verify import documents
from stillme.transfer.verify.local_clock import LocalClock

Raw = None | int | float | bytes
DAY = 86_400_000_000


class MustBeSetAside(Exception):
    """By the policy the row belongs into the quarantine, for `reason`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Expected:
    """The value the target must hold, and the reason for which the original must be kept."""

    value: Any
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a time depends on beside its own text."""

    clock: LocalClock
    row_minutes: int | None = None
    unit: str | None = None


def expect(
    kind: kinds.Kind, required: bool, storage: str, raw: Raw, around: Surroundings
) -> Expected:
    """The expectation for one cell. Raises MustBeSetAside."""
    if storage == "null":
        if required:
            raise MustBeSetAside("null_in_required")
        return Expected(None)
    numeric = isinstance(kind, kinds.Key | kinds.Reference | kinds.Integer | kinds.Real)
    if storage == "blob" and not numeric:
        raise MustBeSetAside("blob")
    if isinstance(kind, kinds.Key | kinds.Reference):
        if storage != "integer":
            raise MustBeSetAside("bad_key")
        return Expected(raw)
    if isinstance(kind, kinds.Text | kinds.TextKey):
        return _text(kind, storage, raw)
    if isinstance(kind, kinds.Integer):
        return _integer(kind, storage, raw)
    if isinstance(kind, kinds.Real):
        return _real(storage, raw)
    if isinstance(kind, kinds.Json):
        return _json(storage, raw)
    if isinstance(kind, kinds.Timestamp | kinds.Date):
        return _moment(kind, storage, raw, around)
    raise AssertionError(f"the judge has no expectation for {kind!r}")


def utf8(raw: Raw) -> str:
    """The text of stored bytes. Raises MustBeSetAside."""
    try:
        return bytes(raw).decode("utf-8")  # type: ignore[arg-type]
    except UnicodeDecodeError:
        raise MustBeSetAside("invalid_utf8") from None


def bits(number: float) -> bytes:
    """The 64 bits of a double: tells -0.0 from 0.0."""
    return struct.pack(">d", number)


def _text(kind: kinds.Text | kinds.TextKey, storage: str, raw: Raw) -> Expected:
    expected = Expected(str(raw), "number_in_text") if storage != "text" else Expected(utf8(raw))
    if "\x00" in expected.value:
        raise MustBeSetAside("nul_in_text")
    choices = getattr(kind, "choices", ())
    if choices and expected.value not in choices:
        raise MustBeSetAside("not_a_choice")
    return expected


def _integer(kind: kinds.Integer, storage: str, raw: Raw) -> Expected:
    kept = ""
    if storage == "integer":
        number = Fraction(int(raw))  # type: ignore[arg-type]
    elif storage == "real":
        kept = "real_in_integer"
        if math.isinf(raw):  # type: ignore[arg-type]
            raise MustBeSetAside("out_of_range")
        number = Fraction(raw)  # type: ignore[arg-type]
    elif storage == "text" and re.fullmatch("[+-]?[0-9]+", utf8(raw)):
        kept = "numeric_text"
        sign, digits = re.fullmatch("([+-]?)0*([0-9]*)", utf8(raw)).groups()  # type: ignore[union-attr]
        if len(digits) > 100:
            raise MustBeSetAside("out_of_range")
        number = Fraction(int(f"{sign}0{digits}"))
    else:
        raise MustBeSetAside("not_a_number")
    if number.denominator != 1:
        raise MustBeSetAside("not_whole")
    if number < kind.low or number > kind.high:
        raise MustBeSetAside("out_of_range")
    return Expected(int(number), kept)


def _real(storage: str, raw: Raw) -> Expected:
    if storage == "real":
        return Expected(bits(raw))  # type: ignore[arg-type]
    if storage == "integer":
        double = float(raw)  # type: ignore[arg-type]
        if Fraction(double) != raw:
            raise MustBeSetAside("out_of_range")
        return Expected(bits(double), "integer_in_real")
    if storage == "text":
        text = utf8(raw)
        if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
            double = float(text)
            if not math.isinf(double):
                return Expected(bits(double), "numeric_text")
    raise MustBeSetAside("not_a_number")


def _json(storage: str, raw: Raw) -> Expected:
    if storage in ("integer", "real"):
        if storage == "real" and math.isinf(raw):  # type: ignore[arg-type]
            raise MustBeSetAside("not_a_number")
        return Expected(documents.number_tree(repr(raw)), "number_in_json")
    try:
        tree, kept = documents.expected_tree(utf8(raw))
    except documents.Beyond:
        raise MustBeSetAside("json_too_large") from None
    return Expected(tree, kept)


def _moment(
    kind: kinds.Timestamp | kinds.Date, storage: str, raw: Raw, around: Surroundings
) -> Expected:
    if storage in ("integer", "real"):
        return Expected(_in_calendar(_from_number(raw, around.unit)), "epoch")
    text = utf8(raw)
    wall, separator, offset, default_for = _take_apart(text)
    if offset is not None or separator != "T":
        shift, gap = (offset or 0) * 60_000_000, False
    else:
        shift, gap = around.clock.shift(wall, around.row_minutes)
    instant = _in_calendar(wall - shift)
    if gap:
        return Expected(instant, "clock_gap")
    stamp = "date" if isinstance(kind, kinds.Date) else kind.stamp.value
    if stamp not in default_for:
        return Expected(instant, "time_shape")
    if separator == "T" and shift != around.clock.usual * 60_000_000:
        return Expected(instant, "clock_offset")
    return Expected(instant)


def _in_calendar(instant: int) -> int:
    """The instant, if it lies in the years 1 to 9999."""
    if not -62135596800_000_000 <= instant < 253402300800_000_000:
        raise MustBeSetAside("unreadable_time")
    return instant


def _take_apart(text: str) -> tuple[int, str, int | None, frozenset[str]]:
    """(wall time in microseconds, separator, offset in minutes or None, default for stamps)."""
    day = text[:10]
    if not (len(day) == 10 and day.isascii() and day[4] == day[7] == "-"):
        raise MustBeSetAside("unreadable_time")
    wall = _day(day[:4], day[5:7], day[8:])
    rest = text[10:]
    if not rest:
        return wall, "", None, frozenset(["date"])
    separator, rest = rest[0], rest[1:]
    clock, offset = _split_offset(rest)
    micros, seconds_given, fraction = _time_of_day(clock)
    if separator not in (" ", "T"):
        raise MustBeSetAside("unreadable_time")
    default: set[str] = set()
    if offset is None and seconds_given:
        if separator == " " and fraction is None:
            default = {"sql", "mixed"}
        elif separator == "T" and fraction is None:
            default = {"iso"}
        elif separator == "T" and fraction and len(fraction) == 6 and int(fraction):
            default = {"iso", "mixed"}
    return wall + micros, separator, offset, frozenset(default)


def _day(year: str, month: str, day: str) -> int:
    if not (year + month + day).isdigit():
        raise MustBeSetAside("unreadable_time")
    try:
        return (date(int(year), int(month), int(day)) - date(1970, 1, 1)).days * DAY
    except ValueError:
        raise MustBeSetAside("unreadable_time") from None


def _split_offset(rest: str) -> tuple[str, int | None]:
    if rest.endswith("Z"):
        return rest[:-1].removesuffix(" "), 0
    for sign in "+-":
        clock, found, offset = rest.partition(sign)
        if found:
            digits = offset.replace(":", "", 1)
            shape = re.fullmatch(r"[0-9]{2}(:?[0-9]{2})?", offset, re.ASCII)
            hours, minutes = digits[:2], digits[2:] or "0"
            if not shape or int(hours) > 15 or int(minutes) > 59:
                raise MustBeSetAside("unreadable_time")
            total = int(hours) * 60 + int(minutes)
            return clock.removesuffix(" "), total if sign == "+" else -total
    return rest, None


def _time_of_day(clock: str) -> tuple[int, bool, str | None]:
    whole, dot, fraction = clock.partition(".")
    parts = whole.split(":")
    well_formed = len(parts) in (2, 3) and all(
        len(p) == 2 and p.isascii() and p.isdigit() for p in parts
    )
    if not well_formed or (dot and not (len(parts) == 3 and re.fullmatch("[0-9]+", fraction))):
        raise MustBeSetAside("unreadable_time")
    hour, minute, second = (int(p) for p in [*parts, "0"][:3])
    if dot and fraction[6:].strip("0"):
        raise MustBeSetAside("beyond_microseconds")
    if hour > 23 or minute > 59 or second > 59:
        raise MustBeSetAside("unreadable_time")
    micros = int((fraction + "000000")[:6]) if dot else 0
    total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    return total, len(parts) == 3, fraction if dot else None


def _from_number(raw: Raw, unit: str | None) -> int:
    if unit is None or math.isinf(raw):  # type: ignore[arg-type]
        raise MustBeSetAside("unreadable_time")
    number = Fraction(raw)  # type: ignore[arg-type]
    if unit == "seconds":
        return round(number * 1_000_000)
    if unit == "milliseconds":
        return round(number * 1000)
    if unit == "julian":
        return round((number - Fraction(4881175, 2)) * 86_400_000) * 1000
    raise MustBeSetAside("unreadable_time")


def show_instant(micros: Any) -> str:
    """Microseconds since 1970 for a person's eyes."""
    if not isinstance(micros, int):
        return str(micros)
    try:
        return f"{datetime(1970, 1, 1) + timedelta(microseconds=micros)}+00"
    except OverflowError:
        return f"{micros} us since 1970"
