"""The judge's reading of a stored time: microseconds since 1970, in UTC.

Written without the loader's reading (law 3): the text is taken apart by position, the number is an
exact fraction. What a local time (``2025-11-20T10:11:12``) depends on besides its text is in
`Surroundings`.
"""

from __future__ import annotations

import math
import re
from datetime import date
from fractions import Fraction

from stillme.transfer.kinds import Stamp
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.verify.kinds.base import Expected, MustBeSetAside, Surroundings, utf8
from stillme.transfer.verify.kinds.local_clock import LocalClock, Shifts

_DAY = 86_400_000_000


def expected_time(shape: Stamp | None, storage: str, raw: Raw, around: Surroundings) -> Expected:
    """The instant that a stored time means; `shape` is the usual one of its column."""
    if storage in ("integer", "real"):
        return Expected(_in_calendar(_from_number(raw, around.unit)), "epoch")
    text = utf8(raw)
    wall, separator, offset, default_for = _take_apart(text)
    is_local = offset is None and separator == "T"
    shifts = _shifts(wall, separator, offset, around)
    shift = _not_before_start(wall, shifts, around)
    instant = _in_calendar(wall - shift)
    if not shifts.exists:
        return Expected(instant, "clock_gap")
    zone = around.clock.zone
    if not shifts.settled and (zone is None or shift == shifts.choices[0]):
        return Expected(instant, "clock_guess")
    if shape not in default_for:
        return Expected(instant, "time_shape")
    if is_local and zone is None and shift != around.clock.usual * 60_000_000:
        return Expected(instant, "clock_offset")
    return Expected(instant)


def expected_moment(
    zone: str, storage: str, raw: Raw, unit: str | None, *, is_aware: bool
) -> Expected:
    """The instant that a Django date and time means, which is a wall time of `zone`.

    Of the two of an hour that comes twice it is the second where times are naive: what PostgreSQL
    makes of a naive time.
    """
    if storage in ("integer", "real"):
        return Expected(_in_calendar(_from_number(raw, unit)), "epoch")
    wall, _, offset, default_for = _take_apart(utf8(raw))
    if offset is not None:
        return Expected(_in_calendar(wall - offset * 60_000_000), "time_shape")
    shifts = LocalClock(zone=zone).shifts(wall, None)
    instant = _in_calendar(wall - shifts.choices[0 if is_aware else -1])
    if not shifts.exists:
        return Expected(instant, "clock_gap")
    if is_aware and not shifts.settled:
        return Expected(instant, "clock_guess")
    return Expected(instant, "" if "django" in default_for else "time_shape")


def expected_day(raw: Raw) -> Expected:
    """The date of a text, in days since 1970."""
    wall, separator, offset, _ = _take_apart(utf8(raw))
    if offset is not None or wall % _DAY:
        raise MustBeSetAside("unreadable_time")
    return Expected(wall // _DAY, "time_shape" if separator else "")


def expected_time_of_day(raw: Raw) -> Expected:
    """The time of day of a text, in microseconds."""
    clock, offset = _split_offset(utf8(raw))
    micros, seconds_given, fraction = _time_of_day(clock)
    if offset is not None:
        raise MustBeSetAside("unreadable_time")
    usual = seconds_given and (fraction is None or _is_fine(fraction))
    return Expected(micros, "" if usual else "time_shape")


def _shifts(wall: int, separator: str, offset: int | None, around: Surroundings) -> Shifts:
    if offset is not None or separator != "T":
        return Shifts(((offset or 0) * 60_000_000,))
    return around.clock.shifts(wall, around.row_minutes)


def _not_before_start(wall: int, shifts: Shifts, around: Surroundings) -> int:
    """The first choice that puts the moment not before its start; the first of all if none does."""
    began = None if len(shifts.choices) == 1 else _began(around)
    for shift in shifts.choices:
        if began is None or wall - shift >= began:
            return shift
    return shifts.choices[0]


def _began(around: Surroundings) -> int | None:
    storage, raw = around.start or ("null", None)
    if storage != "text":
        return None
    try:
        wall, separator, offset, _ = _take_apart(utf8(raw))
    except MustBeSetAside:
        return None
    return wall - _shifts(wall, separator, offset, around).choices[0]


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
    if separator not in (" ", "T"):
        raise MustBeSetAside("unreadable_time")
    clock, offset = _split_offset(rest)
    micros, seconds_given, fraction = _time_of_day(clock)
    default: set[str] = set()
    if offset is None and seconds_given:
        if separator == " " and fraction is None:
            default = {"sql", "mixed", "django"}
        elif separator == " " and _is_fine(fraction):
            default = {"django"}
        elif separator == "T" and fraction is None:
            default = {"iso"}
        elif separator == "T" and _is_fine(fraction):
            default = {"iso", "mixed"}
    return wall + micros, separator, offset, frozenset(default)


def _is_fine(fraction: str | None) -> bool:
    """Whether Python writes such a fraction of a second."""
    return fraction is not None and len(fraction) == 6 and fraction != "000000"


def _day(year: str, month: str, day: str) -> int:
    if not (year + month + day).isdigit():
        raise MustBeSetAside("unreadable_time")
    try:
        return (date(int(year), int(month), int(day)) - date(1970, 1, 1)).days * _DAY
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
    if hour > 23 or minute > 59 or second > 59:
        raise MustBeSetAside("unreadable_time")
    if dot and fraction[6:].strip("0"):
        raise MustBeSetAside("beyond_microseconds")
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
