"""Target values in the legacy's own formats: timestamp shape and clock, JSON text, numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from stillme.transfer import kinds
from stillme.transfer.kinds import Kind, Stamp
from stillme.transfer.sqlite.clock import Clock
from stillme.transfer.steps.rows import json_policy

# A row with such a value is in the file as told, and would be set aside by a load.
UNREADABLE = frozenset({"beyond_the_calendar", "not_a_number", "json_too_large"})
Stored = None | int | float | str | bytes


class RawText(bytes):
    """Text as its bytes: what is not UTF-8 cannot be bound as str."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What to store, and why it is not all of the target's value ("" where it is)."""

    value: Stored
    lost: str = ""


def target_expression(kind: Kind, name: str) -> str:
    """SQL that reads a (quoted, qualified) target column in a form Python can take whole."""
    if isinstance(kind, kinds.Timestamp | kinds.Date):
        # Python knows the years 1 to 9999 only; what is beyond comes as PostgreSQL's text.
        return (
            f"CASE WHEN {name} >= '0001-01-03 00:00+00' AND {name} < '9999-12-29 00:00+00' "
            f"THEN to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') "
            f"ELSE {name}::text END"
        )
    return f"{name}::text" if isinstance(kind, kinds.Json) else name


def render(kind: Kind, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
    """The stored value for a target value read with `target_expression`.

    `explicit` writes a local time with its offset, for a time that would be misread without.
    """
    if value is None:
        return Rendered(None)
    match kind:
        case kinds.Timestamp(stamp=stamp):
            return _time(value, stamp, clock, explicit)
        case kinds.Date():
            return _date(value)
        case kinds.Real():
            return _real(float(value), required)
        case kinds.Json():
            return _json(str(value))
    return Rendered(value)


def _json(text: str) -> Rendered:
    """The text as it is; `json_too_large` where a load would set its row aside."""
    lost = ""
    if len(text) > json_policy.DEEP_FROM:
        try:
            json_policy.convert(text)
        except json_policy.TooLarge:
            lost = "json_too_large"
    return Rendered(ascii_json(text), lost)


def ascii_json(text: str) -> str:
    """PostgreSQL's text of a jsonb as Python's json.dumps would escape it, digits untouched.

    Both write ``": "`` and ``", "``; beyond ASCII stands only inside strings.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(c if c < "\x7f" else json.dumps(c)[1:-1] for c in text)


def _real(value: float, required: bool) -> Rendered:
    if value == 0 and math.copysign(1, value) < 0:
        # A REAL column stores whole numbers as integers, which have no such zero.
        return Rendered(0.0, "negative_zero")
    if not math.isnan(value):
        return Rendered(value)
    # SQLite stores NaN as NULL, which is what the old application did to it.
    return Rendered("NaN" if required else None, "not_a_number")


def _parse(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str, stamp: Stamp, clock: Clock, explicit: bool) -> Rendered:
    instant = _parse(text)
    if instant is None or instant.tzinfo is not None:
        return Rendered(text, "beyond_the_calendar")
    whole = instant.microsecond == 0
    if stamp is Stamp.SQL or (stamp is Stamp.MIXED and whole):
        shown = instant.replace(microsecond=0).isoformat(sep=" ")
        return Rendered(shown, "" if whole else "finer_than_seconds")
    offset = None if explicit else _local_offset(instant, clock)
    if offset is None:
        return Rendered(instant.replace(tzinfo=UTC).isoformat())
    return Rendered((instant + offset).isoformat())


def _local_offset(instant: datetime, clock: Clock) -> timedelta | None:
    """The offset under which the local time will be read back as this instant."""
    if clock.zone is None:
        return timedelta(minutes=clock.usual)
    aware = instant.replace(tzinfo=UTC).astimezone(ZoneInfo(clock.zone))
    offset = aware.utcoffset() or timedelta()
    return offset if clock.read(instant + offset, None).offsets[0] == offset else None


def _date(text: str) -> Rendered:
    instant = _parse(text)
    if instant is None:
        return Rendered(text, "beyond_the_calendar")
    if instant.time() == datetime.min.time():
        return Rendered(instant.date().isoformat())
    return Rendered(instant.isoformat(sep=" "))


def extra_cells(document: str | None, columns: Sequence[str]) -> dict[str, Stored]:
    """The undeclared legacy columns rebuilt from `legacy_extra`."""
    found = json.loads(document) if document else {}
    return {name: _extra(found.get(name)) for name in columns}


def _extra(value: Any) -> Stored:
    if isinstance(value, dict):
        if "real" in value:
            return float.fromhex(value["real"])
        if "text" in value:
            return RawText(bytes.fromhex(value["text"]))
        return bytes.fromhex(value["blob"])
    return value  # type: ignore[no-any-return]
