"""Which time zones fit everything that a file's rows show of the local clock.

Rows at +01:00 until 30 March 2025 and at +02:00 from then on leave Europe/Berlin, Europe/Paris and
some thirty more; rows at +07:00 only leave Asia/Bangkok, Asia/Ho_Chi_Minh and others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.clock.evidence_sql import row_offset_sql
from stillme.transfer.sqlite.reading.connect import quoted

# What people name zones by; the rest are old names and bare offsets.
_AREAS = (
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe",
    "Indian", "Pacific",
)  # fmt: skip
# A twin may have been stamped so much later than the local time.
_LATE = timedelta(seconds=120)
# (instant, minutes): the clock stood so many minutes east of UTC then.
Shown = tuple[datetime, int]


def fitting_zones(connection: sqlite3.Connection, mappings: Iterable[TableMapping]) -> list[str]:
    """The names of the zones, UTC first; none where no row shows anything."""
    shown = [moment for mapping in mappings for moment in _shown(connection, mapping)]
    if not shown:
        return []
    names = sorted(n for n in available_timezones() if n.partition("/")[0] in _AREAS)
    return [
        name
        for name in ("UTC", *names)
        if all(_shows(ZoneInfo(name), moment, minutes) for moment, minutes in shown)
    ]


def _shown(connection: sqlite3.Connection, mapping: TableMapping) -> list[Shown]:
    """The first and the last row of every day and offset."""
    if mapping.clock is None:
        return []
    utc = quoted(mapping.clock.utc)
    own = f"SELECT {row_offset_sql(mapping.clock)} AS own, {utc} AS utc"
    rows = connection.execute(
        f"SELECT own, min(utc), max(utc) FROM ({own} FROM {quoted(mapping.table)} LIMIT -1) "
        "WHERE own IS NOT NULL GROUP BY own, substr(utc, 1, 10)"
    )
    return [
        (datetime.fromisoformat(text).replace(tzinfo=UTC), minutes)
        for minutes, *both in rows
        for text in both
    ]


def _shows(zone: ZoneInfo, moment: datetime, minutes: int) -> bool:
    offsets = {at.astimezone(zone).utcoffset() for at in (moment, moment - _LATE)}
    return timedelta(minutes=minutes) in offsets
