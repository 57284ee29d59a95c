"""Target values in the legacy's own formats: timestamp shape and clock, JSON text, numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from stillme.transfer import kinds
from stillme.transfer.kinds import Kind, Stamp
from stillme.transfer.sqlite.clock import Clock
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.base import Rendered, Stored

# A row with such a value is in the file as told, and would be set aside by a load.
UNREADABLE = frozenset({"beyond_the_calendar", "not_a_number", "json_too_large"})


class RawText(bytes):
    """Text as its bytes: what is not UTF-8 cannot be bound as str."""


def render(kind: Kind, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
    """The stored value for a target value read with its loader's `read_target`.

    `explicit` writes a local time with its offset, for a time that would be misread without.
    """
    if value is None:
        return Rendered(None)
    if isinstance(kind, kinds.Timestamp):
        return _time(value, kind.stamp, clock, explicit)
    if isinstance(kind, kinds.Date):
        return _date(value)
    return loader_of(kind).spell_back(value, clock, required=required, explicit=explicit)


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
