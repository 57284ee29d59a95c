"""What becomes of one cell, by docs/reference/values.md. The loader's reading of that table.

Only rows that need attention come here (law 4); a common row is handed from SQLite to PostgreSQL
untouched.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from stillme.transfer import kinds
from stillme.transfer.sqlite.clock import Clock
from stillme.transfer.sqlite.epochs import JULIAN, MILLISECONDS, SECONDS
from stillme.transfer.steps.rows import json_policy

Raw = None | int | float | bytes

_WHOLE = re.compile(r"[+-]?[0-9]+\Z")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:([ T])(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?)?\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)


class Refused(Exception):
    """The cell has no lossless target: the row is quarantined for `reason`."""

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason = reason
        self.sentence = sentence
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Cell:
    """What the target gets: `text` in PostgreSQL's input format, None for NULL.

    `reason` is set where the original must be kept; `repaired` tells whether that makes the row
    a repaired one.
    """

    text: str | None
    reason: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class RowContext:
    """What a cell needs to know of its surroundings."""

    clock: Clock = field(default_factory=Clock)
    row_offset: int | None = None
    epoch_unit: str | None = None


def convert(kind: kinds.Kind, required: bool, storage: str, raw: Raw, row: RowContext) -> Cell:
    """The cell of one stored value. `raw` is bytes for text and blob. Raises Refused."""
    if storage == "null":
        if required:
            raise Refused("null_in_required", "NULL in a column that needs a value.")
        return Cell(None)
    if storage == "blob" and not isinstance(
        kind, kinds.Integer | kinds.Real | kinds.Key | kinds.Reference
    ):
        raise Refused("blob", "Binary data where text is meant.")
    match kind:
        case kinds.Key() | kinds.Reference():
            return _key(storage, raw)
        case kinds.Text(choices=choices):
            return _text(storage, raw, choices)
        case kinds.TextKey():
            return _text(storage, raw, ())
        case kinds.Integer(low=low, high=high):
            return _integer(storage, raw, low, high)
        case kinds.Real():
            return _real(storage, raw)
        case kinds.Json():
            return _json(storage, raw)
        case kinds.Timestamp() | kinds.Date():
            return _time(kind, storage, raw, row)
    raise AssertionError(f"no policy for {kind!r}")


def repaired(text: str, reason: str) -> Cell:
    """A cell whose original is kept."""
    return Cell(text, reason, True)


def _decode(raw: Raw) -> str:
    assert isinstance(raw, bytes)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(
            "invalid_utf8", f"Not UTF-8 at byte {error.start} of the stored text."
        ) from error


def _key(storage: str, raw: Raw) -> Cell:
    if storage != "integer":
        raise Refused("bad_key", f"A key must be an integer, stored is {storage}.")
    return Cell(str(raw))


def _text(storage: str, raw: Raw, choices: tuple[str, ...]) -> Cell:
    if storage in ("integer", "real"):
        cell = repaired(repr(raw), "number_in_text")
    else:
        cell = Cell(_decode(raw))
    text = cell.text or ""
    if "\0" in text:
        raise Refused("nul_in_text", f"U+0000 at character {text.index(chr(0))} of the text.")
    if choices and text not in choices:
        raise Refused("not_a_choice", f"The value is none of {', '.join(choices)}.")
    return cell


def _integer(storage: str, raw: Raw, low: int, high: int) -> Cell:
    reason = ""
    if storage == "integer":
        assert isinstance(raw, int)
        number = raw
    elif storage == "real":
        assert isinstance(raw, float)
        if not math.isfinite(raw):
            raise Refused("out_of_range", f"{raw!r} in a whole-number column.")
        if raw != int(raw):
            raise Refused("not_whole", f"{raw!r} is not a whole number.")
        number, reason = int(raw), "real_in_integer"
    else:
        number, reason = _whole_from_text(storage, raw), "numeric_text"
    if not low <= number <= high:
        raise Refused("out_of_range", f"{number} is not within {low} to {high}.")
    return repaired(str(number), reason) if reason else Cell(str(number))


def _whole_from_text(storage: str, raw: Raw) -> int:
    text = _decode(raw) if storage == "text" else ""
    if not _WHOLE.match(text):
        raise Refused("not_a_number", f"Stored as {storage} that is not a whole number.")
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 40:
        raise Refused("out_of_range", f"A number of {len(digits)} digits.")
    return -int(digits or "0") if text[0] == "-" else int(digits or "0")


def _real(storage: str, raw: Raw) -> Cell:
    if storage == "real":
        return Cell(repr(raw))
    if storage == "integer":
        assert isinstance(raw, int)
        if int(float(raw)) != raw:
            raise Refused("out_of_range", f"No double holds {raw} exactly.")
        return repaired(repr(float(raw)), "integer_in_real")
    text = _decode(raw) if storage == "text" else ""
    if not _DECIMAL.match(text) or not math.isfinite(float(text)):
        raise Refused("not_a_number", f"Stored as {storage} that is not a finite number.")
    return repaired(repr(float(text)), "numeric_text")


def _json(storage: str, raw: Raw) -> Cell:
    if storage in ("integer", "real"):
        if isinstance(raw, float) and not math.isfinite(raw):
            raise Refused("not_a_number", f"{raw!r} is no JSON number.")
        return repaired(repr(raw), "number_in_json")
    try:
        document, reason = json_policy.convert(_decode(raw))
    except json_policy.TooLarge as error:
        raise Refused("json_too_large", str(error)) from error
    return repaired(document, reason) if reason else Cell(document)


def _time(kind: kinds.Timestamp | kinds.Date, storage: str, raw: Raw, row: RowContext) -> Cell:
    if storage in ("integer", "real"):
        assert isinstance(raw, int | float)
        return repaired(_epoch(raw, row.epoch_unit), "epoch")
    text = _decode(raw)
    match = _TIME.match(text)
    if match is None:
        raise Refused("unreadable_time", f"{text[:40]!r} is no readable time.")
    local = _wall_time(match, text)
    offset, gap = _offset(match, local, row)
    instant = _format(local, offset)
    if gap:
        return repaired(instant, "clock_gap")
    if not is_default_shape(kind, match):
        return repaired(instant, "time_shape")
    if match[4] == "T" and offset != timedelta(minutes=row.clock.usual):
        return Cell(instant, "clock_offset")
    return Cell(instant)


def _wall_time(match: re.Match[str], text: str) -> datetime:
    fraction = match[8] or ""
    if fraction[6:].strip("0"):
        raise Refused("beyond_microseconds", f"{text[:60]!r} is finer than microseconds.")
    try:
        year, month, day, hour, minute, second = (int(match[i] or 0) for i in (1, 2, 3, 5, 6, 7))
        micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
        return datetime(year, month, day, hour, minute, second, micros)
    except ValueError as error:
        raise Refused("unreadable_time", f"{text[:40]!r} is no time: {error}.") from error


def _offset(match: re.Match[str], local: datetime, row: RowContext) -> tuple[timedelta, bool]:
    if match[9]:
        return _explicit_offset(match[9]), False
    if match[4] == "T":
        return row.clock.offset(local, row.row_offset)
    return timedelta(), False


def _explicit_offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 15 or minutes > 59:
        raise Refused("unreadable_time", f"{text} is no offset of a clock.")
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)


def is_default_shape(kind: kinds.Timestamp | kinds.Date, match: re.Match[str]) -> bool:
    """Whether the text is just what would be rebuilt from the instant (values.md)."""
    if isinstance(kind, kinds.Date):
        return match[4] is None
    if match[4] is None or match[7] is None or match[9]:
        return False
    fraction = match[8]
    sql = match[4] == " " and fraction is None
    fine = match[4] == "T" and fraction is not None and len(fraction) == 6
    fine = fine and fraction != "000000"
    if kind.stamp is kinds.Stamp.SQL:
        return sql
    if kind.stamp is kinds.Stamp.MIXED:
        return sql or fine
    return fine or (match[4] == "T" and fraction is None)


def _format(local: datetime, offset: timedelta) -> str:
    """PostgreSQL's input for the instant. Raises Refused outside the years 1 to 9999."""
    try:
        return f"{(local - offset).isoformat(sep=' ')}+00"
    except OverflowError as error:
        raise Refused("unreadable_time", "The instant is outside the years 1 to 9999.") from error


def _epoch(number: int | float, unit: str | None) -> str:
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
            f"The number {number!r} stands in a time column whose numbers are of no one unit.",
        )
    whole = int(micros.to_integral_value(ROUND_HALF_EVEN))
    try:
        instant = _EPOCH + timedelta(microseconds=whole)
    except OverflowError as error:
        raise Refused("unreadable_time", "The instant is outside the years 1 to 9999.") from error
    return _format(instant, timedelta())
