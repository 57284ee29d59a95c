"""The loader's reading of a stored time: a text or a number becomes an instant in UTC.

``2025-11-20T10:11:12`` is a local time and needs an offset: the row's own, the zone's, or the
file's usual one (docs/reference/values.md). ``2025-11-20 10:11:12`` is UTC already, and 1763633472
is a number of the unit that all numbers of its column have.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from stillme.transfer.kinds import Stamp
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.epochs import JULIAN, MILLISECONDS, SECONDS
from stillme.transfer.sqlite.clock.file_clock import Clock, Reading
from stillme.transfer.steps.kinds.base import Cell, Refused, RowContext, decode, repaired

TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:([ T])(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?)?\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)


def read_time(shape: Stamp | None, storage: str, raw: Raw, row: RowContext) -> Cell:
    """The cell of a stored time; `shape` is the usual one of its column. Raises Refused."""
    if storage in ("integer", "real"):
        assert isinstance(raw, int | float)
        return repaired(instant_of_number(raw, row.epoch_unit), "epoch")
    text = decode(raw)
    match = TIME.match(text)
    if match is None:
        raise Refused("unreadable_time", f"{text[:40]!r} is no readable time.")
    local = wall_time(match, text)
    reading = _reading(match, local, row)
    offset = _in_order(local, reading, row)
    instant = instant_text(local, offset)
    if reading.is_gap:
        return repaired(instant, "clock_gap")
    if _is_guess(reading, offset, row.clock):
        return Cell(instant, "clock_guess")
    if not _is_usual(shape, match):
        return repaired(instant, "time_shape")
    # With a zone named, zone and instant give the text back.
    usual = row.clock.zone is not None or offset == timedelta(minutes=row.clock.usual)
    return Cell(instant, "" if usual or match[4] != "T" else "clock_offset")


def wall_time(match: re.Match[str], text: str) -> datetime:
    """What a clock showed, of a match of `TIME` in `text`. Raises Refused."""
    fraction = match[8] or ""
    if match[9]:
        explicit_offset(match[9])
    try:
        year, month, day, hour, minute, second = (int(match[i] or 0) for i in (1, 2, 3, 5, 6, 7))
        micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
        shown = datetime(year, month, day, hour, minute, second, micros)
    except ValueError as error:
        raise Refused("unreadable_time", f"{text[:40]!r} is no time: {error}.") from error
    if fraction[6:].strip("0"):
        raise Refused("beyond_microseconds", f"{text[:60]!r} is finer than microseconds.")
    return shown


def _reading(match: re.Match[str], local: datetime, row: RowContext) -> Reading:
    if match[9]:
        return Reading((explicit_offset(match[9]),))
    if match[4] == "T":
        return row.clock.read(local, row.row_offset)
    return Reading((timedelta(),))


def _in_order(local: datetime, reading: Reading, row: RowContext) -> timedelta:
    """The likeliest offset by which the time is not before the one that it came after."""
    first = reading.offsets[0]
    if len(reading.offsets) == 1 or row.earlier is None:
        return first
    start = _moment_of(*row.earlier, row)
    if start is None:
        return first
    return next((o for o in reading.offsets if _seconds(local) - o >= start), first)


def _moment_of(storage: str, raw: Raw, row: RowContext) -> timedelta | None:
    """The moment of a text that can be read, since the year 1."""
    match = TIME.match(raw.decode(errors="replace")) if isinstance(raw, bytes) else None
    if storage != "text" or match is None:
        return None
    try:
        local = wall_time(match, match[0])
        return _seconds(local) - _reading(match, local, row).offsets[0]
    except Refused:
        return None


def _seconds(local: datetime) -> timedelta:
    return local - datetime.min


def _is_guess(reading: Reading, offset: timedelta, clock: Clock) -> bool:
    """Whether neither the row's twin nor, in a zone, its order says which offset is meant."""
    by_order = clock.zone is not None and offset != reading.offsets[0]
    return not reading.is_sure and not by_order


def explicit_offset(text: str) -> timedelta:
    """The offset ``Z``, ``+HH``, ``+HHMM`` or ``+HH:MM``. Raises Refused."""
    if text == "Z":
        return timedelta()
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 15 or minutes > 59:
        raise Refused("unreadable_time", f"{text} is no offset of a clock.")
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)


def _is_usual(shape: Stamp | None, match: re.Match[str]) -> bool:
    """Whether the text is just what would be rebuilt from the instant (values.md)."""
    if shape is Stamp.DATE:
        return match[4] is None
    if match[4] is None or match[7] is None or match[9]:
        return False
    fraction = match[8]
    sql = match[4] == " " and fraction is None
    fine = match[4] == "T" and fraction is not None and len(fraction) == 6
    fine = fine and fraction != "000000"
    if shape is Stamp.SQL:
        return sql
    if shape is Stamp.MIXED:
        return sql or fine
    return fine or (match[4] == "T" and fraction is None)


def instant_text(local: datetime, offset: timedelta) -> str:
    """PostgreSQL's input for the instant. Raises Refused outside the years 1 to 9999."""
    try:
        return f"{(local - offset).isoformat(sep=' ')}+00"
    except OverflowError as error:
        raise Refused("unreadable_time", "The instant is outside the years 1 to 9999.") from error


def instant_of_number(number: int | float, unit: str | None) -> str:
    """PostgreSQL's input for a number of that unit. Raises Refused."""
    exact = Decimal(number)
    if unit == SECONDS:
        micros = exact * 1_000_000
    elif unit == MILLISECONDS:
        micros = exact * 1000
    elif unit == JULIAN:
        millis = (exact - Decimal("2440587.5")) * 86_400_000
        micros = millis.to_integral_value(ROUND_HALF_EVEN) * 1000
    else:
        raise Refused(
            "unreadable_time",
            f"The number {number!r} is in a time column whose numbers do not share one unit.",
        )
    whole = int(micros.to_integral_value(ROUND_HALF_EVEN))
    try:
        instant = _EPOCH + timedelta(microseconds=whole)
    except OverflowError as error:
        raise Refused("unreadable_time", "The instant is outside the years 1 to 9999.") from error
    return instant_text(instant, timedelta())
