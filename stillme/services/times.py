"""Times as the strings that the old application stored and its callers expect.

The target holds instants (`timestamptz`). Two shapes come back from them: `sql_text`, SQLite's
CURRENT_TIMESTAMP (UTC, whole seconds), and `iso_text`, Python's naive local isoformat. The local
clock is `LEGACY_TIME_ZONE` where that names a zone, else this process's own; so the text of an
imported row equals the legacy text wherever that clock is the one that wrote it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.utils import timezone


def local_zone() -> tzinfo:
    """The zone of local times: `LEGACY_TIME_ZONE`, else the one this process was started in."""
    name = settings.LEGACY_TIME_ZONE
    return process_zone() if name in ("", "auto") else _zone(name)


def process_zone() -> tzinfo:
    """The zone of the process before Django set `TZ` to its own TIME_ZONE.

    By name where it has one, because an offset alone knows no daylight saving time.
    """
    name = settings.PROCESS_TZ.lstrip(":") or _machine_zone()
    try:
        return _zone(name)
    except (ValueError, OSError):
        return datetime.now().astimezone().tzinfo or UTC


@lru_cache
def _machine_zone() -> str:
    path = Path("/etc/localtime").resolve()
    return str(path).partition("/zoneinfo/")[2] or "UTC"


@lru_cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError as error:
        raise ValueError(f"There is no time zone {name!r}.") from error


def sql_text(moment: datetime | None) -> str | None:
    """``2025-11-07 15:24:02``, in UTC."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def iso_text(moment: datetime | None, zone: tzinfo | None = None) -> str | None:
    """``2025-11-07T22:24:02.761457``, in local time, as `datetime.isoformat` writes it.

    A page of rows looks for the local zone once and gives it.
    """
    if moment is None:
        return None
    return moment.astimezone(zone or local_zone()).replace(tzinfo=None).isoformat()


def instant(value: date | str | None) -> datetime | None:
    """The instant of a stored text, of a date or of a datetime, by the rule of the legacy files.

    A space (or a date alone) means UTC, a ``T`` without offset means local, an offset speaks for
    itself; a naive datetime is local. Raises ValueError for what is no time.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str | date):
        raise ValueError(f"A time is needed here, not {value!r}.")
    given = value if isinstance(value, str | datetime) else value.isoformat()
    moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    if isinstance(given, str) and "T" not in given:
        return moment.replace(tzinfo=UTC)
    return moment.replace(tzinfo=local_zone()).astimezone(UTC)


# Days from SQLite's first date (Julian day 0) to Python's.
_BEFORE_YEAR_1 = 1_721_425
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_DAYS = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def days_ago(days: Any) -> datetime | None:
    """`days` before the present second, as ``datetime('now', '-N days')``.

    None, that is an empty window, for what SQLite makes NULL of: a negative number, NaN, None, a
    word, more days than its calendar has. What lies before the year 1 is its beginning: no row is
    older.
    """
    if not _DAYS.fullmatch(str(days)):
        return None
    count, now = float(days), timezone.now().replace(microsecond=0)
    if count > now.toordinal() + _BEFORE_YEAR_1:
        return None
    try:
        return now - timedelta(days=count)
    except OverflowError:
        return _EARLIEST


def days_ago_local_date(days: Any) -> datetime | None:
    """The bound of such a window over a column of local times.

    The old code compared texts: a local ``2025-11-07T...`` against a UTC ``2025-11-07 15:24:02``.
    ``T`` sorts after the space, so every row of the boundary date passes whatever its hour. That
    is: everything since local midnight of the date which the window begins on, counted in UTC.
    """
    start = days_ago(days)
    if start is None or start == _EARLIEST:
        return start
    midnight = start.replace(hour=0, minute=0, second=0, tzinfo=None)
    return instant(midnight)
