"""The local clock of a legacy file, recovered from its rows (docs/reference/values.md, "Clock").

Some rows carry the same moment from both clocks (`Twin`): their difference, rounded to a
quarter of an hour, is the offset that the old application's machine had.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import apsw

from stillme.transfer import zones
from stillme.transfer.kinds import Twin
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.clock_sql import (
    has_twins_sql,
    iso_shape_sql,
    offset_of_sql,
    row_offset_sql,
    seconds_between_sql,
)
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.key_text import key_sql, typed_key
from stillme.transfer.sqlite.parts import Scan, scan_on
from stillme.transfer.sqlite.spans import Span, is_settled, join_spans, nearest, turns_digest

# Later than every stamp. Not a number: a TIMESTAMP column would be compared with it as one, and
# every text is greater than a number.
_NEVER = "9999-12-32"
# No zone had a rule before; after, each year is like the other.
_FIRST_RULES, _LAST_RULES, _A_YEAR = 1800, 2200, 370
# A snapshot is read through APSW, a live file through the connection that has it open.
Connection = sqlite3.Connection | apsw.Connection


@dataclass(frozen=True, slots=True)
class Clock:
    """The decision for one file. Offsets are minutes east of UTC.

    `usual` is the offset whose local times are kept without a note
    (docs/reference/values.md); `turns` identifies where the evidence changes its offset.
    """

    usual: int = 0
    zone: str | None = None
    evidence: dict[int, int] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    turns: str = ""
    steady_from: str = ""
    notice: str = ""

    @property
    def unanimous(self) -> bool:
        """Whether every local stamp of the file has the usual offset (or there is no evidence)."""
        return self.zone is None and len(self.evidence) <= 1

    def offset(self, local: datetime, row: int | None) -> tuple[timedelta, bool]:
        """The offset of a local time, and whether it falls into the hour that does not exist."""
        if self.zone is not None:
            return _zone_offset(self.zone, local)
        if row is not None:
            return timedelta(minutes=row), False
        if not self.spans:
            return timedelta(minutes=self.usual), False
        return timedelta(minutes=nearest(self.spans, local.isoformat())), False

    @property
    def meaning(self) -> tuple[object, ...]:
        """What the meaning of the file's local times hangs on: equal where all read alike."""
        decided = (self.zone, self.usual, sorted(self.evidence))
        return (*decided, self.turns) if self.turns else decided

    def is_settled(self, local: str, minutes: int) -> bool:
        """Whether a row more with this evidence leaves every decision as it is."""
        if self.zone is not None:
            return True
        if self.spans:
            return is_settled(self.spans, local, minutes)
        return minutes in self.evidence

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the ledger and reports."""
        return {
            "zone": self.zone,
            "usual_minutes": self.usual,
            "evidence": {str(minutes): rows for minutes, rows in self.evidence.items()},
            "turns": self.turns,
            "notice": self.notice,
        }


def _zone_offset(zone: str, local: datetime) -> tuple[timedelta, bool]:
    aware = local.replace(tzinfo=ZoneInfo(zone), fold=0)
    offset = aware.utcoffset() or timedelta()
    try:
        back = aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    except OverflowError:
        # The instant is beyond the calendar, at whose ends no clock is changed.
        back = local
    return offset, back != local


def read_clock(
    connection: Connection,
    mappings: Iterable[TableMapping],
    zone_name: str = zones.AUTO,
    scan: Scan | None = None,
    recorded: int | None = None,
) -> Clock:
    """Decide the clock of one file from its tables. Raises TransferError for an unknown zone.

    `scan` reads whole tables of the same file; without it the connection does. `recorded` is the
    usual offset that the file was loaded with: it stays, as long as the file does not deny it.
    """
    tables = list(mappings)
    zone = zones.zone_name(zone_name)
    counts: Counter[int] = Counter()
    for mapping in tables:
        if mapping.clock is not None:
            counts.update(_count_evidence(scan or scan_on(connection), mapping, mapping.clock))
    evidence = dict(sorted(counts.items()))
    if zone is not None:
        return _zone_clock(connection, tables, zone, evidence, recorded)
    if not evidence:
        return Clock(usual=recorded or 0, notice=_no_evidence(tables, recorded or 0))
    usual = recorded
    if usual is None or usual not in evidence:
        usual = min(evidence, key=lambda minutes: (-evidence[minutes], minutes))
    spans = _read_spans(connection, tables) if len(evidence) > 1 else ()
    return Clock(usual=usual, evidence=evidence, spans=spans, turns=turns_digest(spans))


def _no_evidence(tables: list[TableMapping], usual: int) -> str:
    names = ", ".join(t.table for t in tables)
    read_as = f"at the {format_offset(usual)} found before" if usual else "as UTC"
    return (
        f"No row of {names} shows the local clock's offset: local times are read {read_as}; "
        "set LEGACY_TIME_ZONE if the old application ran elsewhere."
    )


def _count_evidence(scan: Scan, mapping: TableMapping, twin: Twin) -> Counter[int]:
    # The LIMIT keeps SQLite from computing the difference anew wherever it is used: measured at
    # 640,000 rows 1.2 s instead of 2.8.
    differences = (
        f"SELECT CASE WHEN {has_twins_sql(twin)} THEN {seconds_between_sql(twin)} END AS seconds "
        f"FROM {quoted(mapping.table)}"
    )
    rows = scan(
        mapping,
        lambda part: (
            f"SELECT {offset_of_sql('seconds')} AS offset, count(*) "
            f"FROM ({differences} WHERE {part} LIMIT -1) GROUP BY 1"
        ),
    )
    found: Counter[int] = Counter()
    for minutes, count in rows:
        if minutes is not None:
            found[int(minutes)] += count
    return found


def _read_spans(connection: Connection, tables: list[TableMapping]) -> tuple[Span, ...]:
    """All evidence in local-time order, runs of one offset joined."""
    twins = [(t, t.clock) for t in tables if t.clock is not None]
    union = " UNION ALL ".join(
        f"SELECT {quoted(twin.local)} AS local, {row_offset_sql(twin)} AS minutes, "
        f"{number} AS number, {key_sql(quoted(t.key.legacy)) if t.key else 'NULL'} AS key "
        f"FROM {quoted(t.table)}"
        for number, (t, twin) in enumerate(twins)
    )
    found = connection.execute(
        f"SELECT local, minutes, number, key FROM ({union}) WHERE minutes IS NOT NULL "
        "ORDER BY local, minutes"
    )
    return join_spans(
        (local, minutes, (twins[number][0].declared_table, typed_key(key)))
        for local, minutes, number, key in found
    )


def _zone_clock(
    connection: Connection,
    tables: list[TableMapping],
    zone: str,
    evidence: dict[int, int],
    recorded: int | None,
) -> Clock:
    first, last = _local_range(connection, tables)
    latest = datetime.fromisoformat(last) if last else datetime(2025, 1, 1)
    now = _zone_offset(zone, latest)[0]
    steady = _steady_since(zone, latest, datetime.fromisoformat(first) if first else latest)
    minutes = int(now.total_seconds() // 60)
    usual = minutes if recorded is None else recorded
    other = {found: rows for found, rows in evidence.items() if found != minutes}
    return Clock(
        usual=usual,
        zone=zone,
        evidence=evidence,
        steady_from=_next_day(steady) if timedelta(minutes=usual) == now else _NEVER,
        notice=_contradiction(zone, other) if other else "",
    )


def _next_day(moment: datetime) -> str:
    try:
        return (moment + timedelta(days=1)).isoformat()
    except OverflowError:
        return _NEVER


def _steady_since(zone: str, latest: datetime, earliest: datetime) -> datetime:
    """Since when the zone has had its offset of `latest`; two days before `earliest` is enough."""
    day, usual = timedelta(days=1), _zone_offset(zone, latest)[0]
    enough = earliest - 2 * day if earliest.year > 1 else datetime.min
    steady, looked = latest, 0
    while steady > enough:
        if steady.year < _FIRST_RULES:
            return enough
        if _zone_offset(zone, steady - day)[0] != usual:
            break
        steady, looked = steady - day, looked + 1
        if looked > _A_YEAR and steady.year > _LAST_RULES:
            steady = max(enough, datetime(_LAST_RULES, 1, 1))
    return steady


def _contradiction(zone: str, other: dict[int, int]) -> str:
    rows = ", ".join(f"{count} rows at {format_offset(m)}" for m, count in sorted(other.items()))
    return (
        f"LEGACY_TIME_ZONE={zone} differs from the evidence in the file ({rows}): "
        "check it, or use auto."
    )


def _local_range(
    connection: Connection, tables: list[TableMapping]
) -> tuple[str | None, str | None]:
    from stillme.transfer.kinds import Timestamp

    found: list[str] = []
    for mapping in tables:
        for column in mapping.columns:
            if isinstance(column.kind, Timestamp):
                name = quoted(column.legacy)
                rows = connection.execute(
                    f"SELECT min({name}), max({name}) FROM {quoted(mapping.table)} "
                    f"WHERE typeof({name}) = 'text' AND {iso_shape_sql(name)}"
                )
                found += [text for row in rows for text in row if text and _is_time(text)]
    return (min(found), max(found)) if found else (None, None)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def format_offset(minutes: int) -> str:
    """``420`` -> ``+07:00``."""
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
