"""The judge's own finding of the local clock (docs/reference/values.md, "Clock of a timestamp").

By Julian day numbers, not by the loader's seconds.
"""

from __future__ import annotations

import heapq
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from stillme.transfer.kinds import Timestamp, Twin
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.parts import Scan

_EPOCH = datetime(1970, 1, 1)
DIGITS = "[0-9][0-9]"
WALL = f"{DIGITS}{DIGITS}-{DIGITS}-{DIGITS}T{DIGITS}:{DIGITS}:{DIGITS}"
UTC_WALL = WALL.replace("T", " ")
SIX = f".{DIGITS}{DIGITS}{DIGITS}"


@dataclass(frozen=True, slots=True)
class LocalClock:
    """Zone, or evidence with the usual offset in minutes.

    `evidence` is (local text, minutes) in that order, where it turns from one offset to another.
    """

    zone: str | None = None
    usual: int = 0
    offsets: tuple[int, ...] = ()
    evidence: tuple[tuple[str, int], ...] = field(default=())

    def shift(self, wall: int, row_minutes: int | None) -> tuple[int, bool]:
        """Microseconds to take from a local wall time, and whether that time never existed."""
        if self.zone is not None:
            return self._zone_shift(wall)
        if row_minutes is not None:
            return row_minutes * 60_000_000, False
        if len(self.offsets) > 1:
            return self._nearest(wall) * 60_000_000, False
        return self.usual * 60_000_000, False

    def local_of(self, moment: datetime) -> datetime:
        """The wall time of an instant on the usual clock."""
        if self.zone is not None:
            zone = ZoneInfo(str(self.zone))
            return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        return moment + timedelta(minutes=self.usual)

    def _zone_shift(self, wall: int) -> tuple[int, bool]:
        zone = ZoneInfo(str(self.zone))
        local = (_EPOCH + timedelta(microseconds=wall)).replace(tzinfo=zone)
        shift = local.utcoffset() or timedelta()
        micros = round(shift / timedelta(microseconds=1))
        try:
            again = (local.replace(tzinfo=UTC) - shift).astimezone(zone)
        except OverflowError:
            return micros, False
        return micros, again.replace(tzinfo=None) != local.replace(tzinfo=None)

    def _nearest(self, wall: int) -> int:
        text = (_EPOCH + timedelta(microseconds=wall)).isoformat()
        place = bisect_left(self.evidence, (text,))
        around = self.evidence[max(0, place - 1) : place + 1]
        best = min(around, key=lambda pair: (abs(_wall(pair[0]) - wall), pair))
        return best[1]


def _wall(text: str) -> int:
    return round((datetime.fromisoformat(text) - _EPOCH) / timedelta(microseconds=1))


def row_minutes_sql(twin: Twin) -> str:
    """SQL: the offset a row shows by itself, in minutes, or NULL."""
    fits, apart = _twins_sql(twin)
    return _minutes_of(fits, apart, f"CAST(round({apart} / 900) AS INTEGER)")


def _twins_sql(twin: Twin) -> tuple[str, str]:
    """SQL: whether both stamps have their shapes, and how many seconds they are apart."""
    local, utc = quoted(twin.local), quoted(twin.utc)
    fraction = f"ifnull(CAST(nullif(substr({local}, 20), '') AS REAL), 0)"
    apart = f"(round((julianday(substr({local}, 1, 19)) - julianday({utc})) * 86400) + {fraction})"
    return f"{shape_sql(local)} AND typeof({utc}) = 'text' AND {utc} GLOB '{UTC_WALL}'", apart


def _minutes_of(fits: str, apart: str, steps: str) -> str:
    """SQL: minutes from seconds `apart` and the quarters of an hour next to them."""
    return (
        f"iif({fits} AND {apart} - {steps} * 900 >= -120 AND {apart} - {steps} * 900 <= 5"
        f" AND {steps} >= -48 AND {steps} <= 56, {steps} * 15, NULL)"
    )


def _count_sql(mapping: TableMapping, twin: Twin, condition: str) -> str:
    """SELECT: minutes and how many rows show them.

    Written out in one expression, the dates would be read seven times a row; a limit, even none,
    keeps SQLite from doing that.
    """
    fits, apart = _twins_sql(twin)
    twins = f"SELECT {fits} AS fits, {apart} AS apart FROM {quoted(mapping.table)}"
    steps = "SELECT fits, apart, CAST(round(apart / 900) AS INTEGER) AS steps"
    return (
        f"SELECT {_minutes_of('fits', 'apart', 'steps')}, count(*) "
        f"FROM ({steps} FROM ({twins} WHERE {condition} LIMIT -1) LIMIT -1) GROUP BY 1"
    )


def shape_sql(name: str) -> str:
    """SQL: text as datetime.isoformat() writes a naive time."""
    return (
        f"(typeof({name}) = 'text' AND ({name} GLOB '{WALL}' OR ({name} GLOB '{WALL}{SIX}'"
        f" AND {name} NOT LIKE '%.000000')))"
    )


def find_clock(
    connection: sqlite3.Connection,
    mappings: Iterable[TableMapping],
    zone: str | None,
    scan: Scan,
    recorded: int | None = None,
) -> LocalClock:
    """Derive the clock of a file from its rows, which `scan` goes through.

    The usual offset that was `recorded` is believed where the rows do not deny it: it only says
    beside which local times an original must be kept.
    """
    tables = list(mappings)
    if zone is not None:
        if recorded is None:
            recorded = _usual_of_zone(connection, tables, zone)
        return LocalClock(zone=zone, usual=recorded)
    counted: Counter[int] = Counter()
    twins = [(m, m.clock) for m in tables if m.clock is not None]
    for mapping, twin in twins:
        for minutes, rows in scan(mapping, partial(_count_sql, mapping, twin)):
            if minutes is not None:
                counted[minutes] += rows
    if not counted:
        return LocalClock(usual=recorded or 0)
    most = max(counted.values())
    usual = min(minutes for minutes, rows in counted.items() if rows == most)
    if recorded is not None and recorded in counted:
        usual = recorded
    evidence: tuple[tuple[str, int], ...] = ()
    if len(counted) > 1:
        evidence = _turning_points(connection, [(m.table, twin) for m, twin in twins])
    return LocalClock(None, usual, tuple(sorted(counted)), evidence)


def _turning_points(
    connection: sqlite3.Connection, twins: list[tuple[str, Twin]]
) -> tuple[tuple[str, int], ...]:
    """The evidence beside which stands evidence of another offset; the rest decides nothing.

    Each table comes in order, so that a million rows need not be held.
    """
    tables = [connection.execute(_evidence_sql(table, twin)) for table, twin in twins]
    points: list[tuple[str, int]] = []
    previous: tuple[str, int] | None = None
    for point in heapq.merge(*tables):
        if previous is not None and previous[1] != point[1]:
            points += [previous, point]
        previous = point
    return tuple(points)


def _evidence_sql(table: str, twin: Twin) -> str:
    return (
        f"SELECT {quoted(twin.local)} AS local, {row_minutes_sql(twin)} AS minutes "
        f"FROM {quoted(table)} WHERE minutes IS NOT NULL ORDER BY local, minutes"
    )


def _usual_of_zone(connection: sqlite3.Connection, tables: list[TableMapping], zone: str) -> int:
    latest = ""
    for mapping in tables:
        for column in mapping.columns:
            if isinstance(column.kind, Timestamp):
                name = quoted(column.legacy)
                rows = connection.execute(
                    f"SELECT DISTINCT {name} FROM {quoted(mapping.table)} "
                    f"WHERE {shape_sql(name)} ORDER BY 1 DESC LIMIT 20"
                ).fetchall()
                real = [text for (text,) in rows if _exists(text)]
                latest = max([latest, *real])
    moment = datetime.fromisoformat(latest) if latest else datetime(2025, 1, 1)
    offset = moment.replace(tzinfo=ZoneInfo(zone)).utcoffset() or timedelta()
    return int(offset.total_seconds() // 60)


def _exists(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
