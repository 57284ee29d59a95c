"""A zone's offset of a local stamp, in SQL, so that summer time costs a common row nothing.

For Europe/Berlin the local times of 2024 fall into ranges: +01:00 up to ``2024-03-31T02:00:00``,
none in the hour that was skipped, +02:00 from ``2024-03-31T03:00:00`` on, none in the hour from
``2024-10-27T02:00:00`` that came twice, then +01:00. A CASE looks the range up by halves, among the
few that the column's times lie in; where it gives NULL, the row is converted on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from stillme.transfer.sqlite.clock.time_spans import Span

# Stamps of other years are read too, each on its own.
_FIRST_YEAR, _LAST_YEAR = 1990, 2060
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)
# The local time from which on a range lies, and its offset in minutes.
Range = tuple[str, int | None]


@lru_cache(maxsize=8)
def zone_ranges(name: str) -> tuple[Range, ...]:
    """The ranges of local time, in order; None where a time has no offset, or two."""
    zone = ZoneInfo(name)
    first = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    offset = _offset(zone, first)
    ranges = [_range(first + _DAY, offset)]
    for at in _changes(zone, first):
        before, offset = offset, _offset(zone, at)
        ranges += [_range(at + min(before, offset), None), _range(at + max(before, offset), offset)]
    return (*ranges, _range(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC), None))


def offset_in_zone_sql(
    column: str,
    zone: str,
    spell: Callable[[int], str],
    separator: str = "T",
    span: Span | None = None,
) -> str:
    """SQL for the offset of a stamp in `column` (quoted), as `spell` writes minutes, or NULL.

    `separator` stands between the date and the time of the stamp. Of one out of `span` it is NULL.

    With a plus before it SQLite does not try the text as a number in every comparison, as it does
    in a column that is declared ``datetime``.
    """
    starts = [(start.replace("T", separator), offset) for start, offset in zone_ranges(zone)]
    ranges: list[Range] = [("", None), *starts]
    ends = [start for start, _ in starts]
    first, after = span or ("", ends[-1])
    after = min(after, ends[-1])
    seen = [
        each for each, end in zip(ranges, ends, strict=False) if each[0] < after and end > first
    ]
    if not seen:
        return "NULL"
    inside = f"+{column} >= '{first}' AND +{column} < '{after}'"
    return f"CASE WHEN {inside} THEN {_look_up(f'+{column}', seen, spell)} END"


def _look_up(column: str, ranges: Sequence[Range], spell: Callable[[int], str]) -> str:
    if len(ranges) == 1:
        minutes = ranges[0][1]
        return "NULL" if minutes is None else spell(minutes)
    middle = len(ranges) // 2
    lower, upper = (_look_up(column, half, spell) for half in (ranges[:middle], ranges[middle:]))
    return f"CASE WHEN {column} < '{ranges[middle][0]}' THEN {lower} ELSE {upper} END"


def _changes(zone: ZoneInfo, day: datetime) -> list[datetime]:
    """The instants from which on the zone has another offset than before."""
    found = []
    offset = _offset(zone, day)
    while day.year < _LAST_YEAR:
        day += _DAY
        if (now := _offset(zone, day)) != offset:
            found.append(_change(zone, day - _DAY, day))
            offset = now
    return found


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first second with the offset of `after`."""
    offset = _offset(zone, after)
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _offset(zone, middle) == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _range(start: datetime, offset: timedelta | None) -> Range:
    """An offset that is no whole number of minutes has no short spelling."""
    text = start.replace(tzinfo=None).isoformat()
    if offset is None or offset % timedelta(minutes=1):
        return text, None
    return text, offset // timedelta(minutes=1)
