"""The judge's own reading of local times (docs/reference/values.md, "Clock of a timestamp").

The loader counts seconds, and looks up the moments at which a zone changes its offset. The judge
counts Julian days, and looks up the whole days and hours in which a zone keeps its offset. It
believes the last import in one thing: which of several offsets a row without a twin is read at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from zoneinfo import ZoneInfo

from stillme.transfer.kinds import Twin
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.zones import ClockRecord
from stillme.transfer.sqlite.clock.time_spans import Span
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.scan_parts import Scan

_EPOCH = datetime(1970, 1, 1)
_MINUTE = 60_000_000
_HOUR = timedelta(hours=1)
# Outside of these years no runs are looked for.
_FIRST, _END = "1990-01-01", "2060-01-01"
# The local time from which on the run lasts, and the offset in seconds.
Run = tuple[str, int | None]
DIGITS = "[0-9][0-9]"
WALL = f"{DIGITS}{DIGITS}-{DIGITS}-{DIGITS}T{DIGITS}:{DIGITS}:{DIGITS}"
UTC_WALL = WALL.replace("T", " ")
SIX = f".{DIGITS}{DIGITS}{DIGITS}"


@dataclass(frozen=True, slots=True)
class Shifts:
    """What may be taken from a wall time, in microseconds, the likeliest first.

    `settled`: the row's twin, or the absence of a choice, says that it is the first. `exists`:
    some clock showed the time.
    """

    choices: tuple[int, ...]
    settled: bool = True
    exists: bool = True


@dataclass(frozen=True, slots=True)
class LocalClock:
    """A zone; or the offsets that rows show, in minutes, with the usual one of them."""

    zone: str | None = None
    usual: int = 0
    offsets: tuple[int, ...] = ()

    def shifts(self, wall: int, row_minutes: int | None) -> Shifts:
        """For a wall time in microseconds, of a row whose twin shows `row_minutes`."""
        if self.zone is not None:
            return self._zone_shifts(wall, row_minutes)
        if row_minutes is not None:
            rest = sorted(set(self.offsets) - {row_minutes})
            return Shifts(tuple(m * _MINUTE for m in (row_minutes, *rest)))
        rest = sorted(set(self.offsets) - {self.usual})
        choices = tuple(m * _MINUTE for m in (self.usual, *rest))
        return Shifts(choices, settled=len(self.offsets) < 2)

    def local_of(self, moment: datetime) -> datetime:
        """The wall time of an instant on the usual clock."""
        if self.zone is not None:
            zone = ZoneInfo(str(self.zone))
            return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        return moment + timedelta(minutes=self.usual)

    def _zone_shifts(self, wall: int, row_minutes: int | None) -> Shifts:
        zone = ZoneInfo(str(self.zone))
        shown = _EPOCH + timedelta(microseconds=wall)
        both = [shown.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)]
        choices = [round((o or timedelta()) / timedelta(microseconds=1)) for o in both]
        if choices[0] == choices[1]:
            return Shifts((choices[0],))
        if choices[0] < choices[1]:
            # The clock was put forward: what lies between was never shown.
            return Shifts((choices[0],), exists=False)
        if row_minutes is None or row_minutes * _MINUTE not in choices:
            return Shifts(tuple(choices), settled=False)
        return Shifts(tuple(sorted(choices, key=lambda one: one != row_minutes * _MINUTE)))


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


def shift_modifier_sql(
    name: str, clock: LocalClock, separator: str = "T", span: Span | None = None
) -> str:
    """SQL: what datetime() is told to take a local stamp to UTC; NULL where that is unsure.

    `separator` stands before the hour. Only the runs that most stamps lie in, by `span`, are asked.
    """
    if clock.zone is None:
        return f"'{-clock.usual} minutes'"
    first, end = span or (_FIRST, _END)
    runs = quiet_runs(clock.zone, separator, max(first, _FIRST), min(end, _END))
    # A plus, so that the stamp is compared as the text it is, whatever the column's type.
    return f"iif(+{name} < '{runs[0][0]}', NULL, {_modifier(f'+{name}', runs)})"


def _modifier(name: str, runs: Sequence[Run]) -> str:
    """SQL: the modifier of a stamp that is not before the first run."""
    if len(runs) == 1:
        seconds = runs[0][1]
        return "NULL" if seconds is None else f"'{-seconds} seconds'"
    half = len(runs) // 2
    late, early = _modifier(name, runs[half:]), _modifier(name, runs[:half])
    return f"iif({name} >= '{runs[half][0]}', {late}, {early})"


@lru_cache(maxsize=64)
def quiet_runs(
    zone_name: str, separator: str, first: str = _FIRST, end: str = _END
) -> tuple[Run, ...]:
    """Runs of days; on days on which the offset changes, of hours: None for those hours.

    Ends with the day `end`, which belongs to no run. Times of other years are judged one by one:
    to look at seventy years would take longer than to judge 30,000 rows.
    """
    zone = ZoneInfo(zone_name)
    runs: list[Run] = []
    day, last = datetime.fromisoformat(first), datetime.fromisoformat(end)
    while day < last:
        steps = [(f"{day:%Y-%m-%d}", _kept(zone, day, timedelta(days=1)))]
        if steps[0][1] is None:
            hours = [day + timedelta(hours=hour) for hour in range(24)]
            steps = [(f"{h:%Y-%m-%d}{separator}{h:%H}", _kept(zone, h, _HOUR)) for h in hours]
        runs += [step for before, step in pairwise((*runs[-1:], *steps)) if before[1] != step[1]]
        runs = runs or steps[:1]
        day += timedelta(days=1)
    return (*runs, (end, None))


def _kept(zone: ZoneInfo, start: datetime, length: timedelta) -> int | None:
    """The offset that the zone keeps from one moment to the other, in seconds."""
    offsets = _offsets(zone, start)
    return min(offsets) if len(offsets) == 1 and offsets == _offsets(zone, start + length) else None


def _offsets(zone: ZoneInfo, moment: datetime) -> set[int]:
    """The offsets at a moment, in seconds; two where clocks are changed just then."""
    both = [moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)]
    return {round((offset or timedelta()).total_seconds()) for offset in both}


def find_clock(
    mappings: Iterable[TableMapping], zone: str | None, scan: Scan, recorded: ClockRecord | None
) -> LocalClock:
    """Derive the clock of a file from its rows, which `scan` goes through.

    What the import `recorded` is believed where the rows do not deny it.
    """
    if zone is not None:
        return LocalClock(zone=zone)
    counted: Counter[int] = Counter()
    for mapping in mappings:
        if mapping.clock is not None:
            for minutes, rows in scan(mapping, partial(_count_sql, mapping, mapping.clock)):
                if minutes is not None:
                    counted[minutes] += rows
    if recorded is not None and recorded.zone is None:
        denied = counted and not any(minutes in counted for minutes in recorded.offsets)
        if not denied:
            offsets = tuple(sorted({*counted, *recorded.offsets}))
            return LocalClock(usual=recorded.usual, offsets=offsets)
    most = max(counted.values(), default=0)
    usual = min((minutes for minutes, rows in counted.items() if rows == most), default=0)
    return LocalClock(usual=usual, offsets=tuple(sorted(counted)))
