"""The local clock of a legacy file: which offset a stamp without one was written at.

``2025-11-07T22:24:02.761457`` says no offset. LEGACY_TIME_ZONE names the zone of the clock; else
the row's own twin shows it: a row with `created_at` ``2025-11-07 15:24:02`` (UTC) next to it was
written at +07:00. A row without a twin is read at the file's one offset; where the file shows
several, at the commonest, which is a guess (docs/reference/values.md, "Clock of a timestamp").
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import apsw

from stillme.transfer.kinds import Twin
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing import zones
from stillme.transfer.plumbing.zones import ClockRecord
from stillme.transfer.sqlite.clock.evidence_sql import (
    has_twins_sql,
    offset_of_sql,
    seconds_between_sql,
)
from stillme.transfer.sqlite.clock.zone_sql import offset_in_zone_sql
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.scan_parts import Scan, scan_on
from stillme.visible import counted

# A snapshot is read through APSW, a live file through the connection that has it open.
Connection = sqlite3.Connection | apsw.Connection


@dataclass(frozen=True, slots=True)
class Reading:
    """The offsets that a local time may have, the likeliest first.

    `is_sure`: nothing else comes into question but by the row's order. `is_gap`: no clock showed
    the time, it lies in the hour that was skipped.
    """

    offsets: tuple[timedelta, ...]
    is_sure: bool = True
    is_gap: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """The decision for one file. Offsets are minutes east of UTC.

    `evidence` counts the rows that show an offset. `usual` is the offset at which a row without a
    twin is read, and at which local times are kept without a note. `is_recorded`: an import
    decided this; rows that came later may show other offsets.
    """

    usual: int = 0
    zone: str | None = None
    evidence: dict[int, int] = field(default_factory=dict)
    is_recorded: bool = False
    notice: str = ""

    @property
    def has_one_offset(self) -> bool:
        """Whether nothing says that a local stamp has another offset than the usual one."""
        return self.zone is None and len(self.evidence) <= 1

    def read(self, local: datetime, row: int | None) -> Reading:
        """The offsets of a local time; `row` is what its own row shows, in minutes."""
        if self.zone is not None:
            return _in_zone(ZoneInfo(self.zone), local, row)
        first = self.usual if row is None else row
        others = [minutes for minutes in sorted(self.evidence) if minutes != first]
        offsets = tuple(timedelta(minutes=minutes) for minutes in (first, *others))
        return Reading(offsets, is_sure=row is not None or self.has_one_offset)

    @property
    def meaning(self) -> tuple[object, ...]:
        """What the meaning of the file's local times depends on."""
        if self.zone is not None:
            return (self.zone,)
        return (None, self.usual, sorted(self.evidence))

    def unknown_offsets(self, shown: Iterable[int | None]) -> set[int]:
        """Offsets that rows show and that the file did not when its clock was decided."""
        if self.zone is not None:
            return set()
        return {minutes for minutes in shown if minutes is not None} - self.evidence.keys()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the ledger and reports."""
        return {
            "zone": self.zone,
            "usual_minutes": self.usual,
            "evidence": {str(minutes): rows for minutes, rows in self.evidence.items()},
            "notice": self.notice,
        }


def _in_zone(zone: ZoneInfo, local: datetime, row: int | None) -> Reading:
    """In the hour that happens twice the row's twin says which one is meant."""
    first, second = (
        local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1)
    )
    if first == second:
        return Reading((first,))
    try:
        back = (local - first).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        # The instant is beyond the calendar, at whose ends no clock is changed.
        return Reading((first,))
    if back != local:
        return Reading((first,), is_gap=True)
    if row is not None and timedelta(minutes=row) == second:
        return Reading((second, first))
    return Reading((first, second), is_sure=row is not None and timedelta(minutes=row) == first)


def read_clock(
    connection: Connection,
    mappings: Iterable[TableMapping],
    zone_name: str = zones.AUTO,
    scan: Scan | None = None,
    recorded: ClockRecord | None = None,
) -> Clock:
    """Decide the clock of one file from its tables. Raises TransferError for an unknown zone.

    `scan` reads whole tables of the same file; without it the connection does. What an import has
    `recorded` stands, as long as the file shows an offset of it, or none at all.
    """
    tables = [mapping for mapping in mappings if mapping.clock is not None]
    zone = zones.zone_name(zone_name)
    evidence, against = _count(scan or scan_on(connection), tables, zone)
    if zone is not None:
        return Clock(zone=zone, evidence=evidence, notice=_contradiction(zone, against))
    if recorded is not None and recorded.zone is None:
        if not evidence:
            known = dict.fromkeys(sorted(recorded.offsets), 0)
            return Clock(recorded.usual, None, known, notice=_no_evidence(tables, recorded.usual))
        if not recorded.offsets.isdisjoint(evidence):
            # Deleted rows take nothing back: an offset that was shown once may still be meant.
            shown = recorded.offsets | evidence.keys()
            return Clock(recorded.usual, None, {m: evidence.get(m, 0) for m in sorted(shown)})
    if not evidence:
        return Clock(notice=_no_evidence(tables, 0))
    usual = min(evidence, key=lambda minutes: (-evidence[minutes], minutes))
    return Clock(usual=usual, evidence=evidence)


def clock_of_record(recorded: ClockRecord) -> Clock:
    """The decision of an import, for whoever writes after it."""
    evidence = dict.fromkeys(sorted(recorded.offsets), 0)
    return Clock(recorded.usual, recorded.zone, evidence, is_recorded=True)


def _no_evidence(tables: list[TableMapping], usual: int) -> str:
    names = ", ".join(t.table for t in tables)
    read_as = f"at the {format_offset(usual)} found before" if usual else "as UTC"
    shown = f"No row of {names}" if names else "No table"
    return (
        f"{shown} shows the local clock's offset: local times are read {read_as}; "
        "set LEGACY_TIME_ZONE if the old application ran elsewhere."
    )


def _count(
    scan: Scan, tables: list[TableMapping], zone: str | None
) -> tuple[dict[int, int], dict[int, int]]:
    """Minutes -> how many rows show them; and how many of those where the zone has others."""
    evidence: Counter[int] = Counter()
    against: Counter[int] = Counter()
    for mapping in tables:
        assert mapping.clock is not None
        for own, told, rows in scan(mapping, partial(_evidence_sql, mapping, mapping.clock, zone)):
            if own is not None:
                evidence[int(own)] += rows
            if own is not None and told is not None and own != told:
                against[int(own)] += rows
    return dict(sorted(evidence.items())), dict(sorted(against.items()))


def _evidence_sql(mapping: TableMapping, twin: Twin, zone: str | None, part: str) -> str:
    """SELECT: the offset that rows show, the zone's, and how many rows.

    The LIMIT keeps SQLite from computing the difference again wherever it is used: measured at
    640,000 rows 1.2 s instead of 2.8.
    """
    seconds = f"CASE WHEN {has_twins_sql(twin)} THEN {seconds_between_sql(twin)} END AS seconds"
    told = offset_in_zone_sql(quoted(twin.local), zone, str) if zone else "NULL"
    both = f"SELECT {seconds}, {told} AS told FROM {quoted(mapping.table)} WHERE {part} LIMIT -1"
    return f"SELECT {offset_of_sql('seconds')}, told, count(*) FROM ({both}) GROUP BY 1, 2"


def _contradiction(zone: str, against: dict[int, int]) -> str:
    if not against:
        return ""
    rows = ", ".join(
        f"{counted(count, 'row')} at {format_offset(m)}" for m, count in against.items()
    )
    return (
        f"LEGACY_TIME_ZONE={zone} differs from the evidence in the file ({rows}): "
        "check it, or use auto."
    )


def format_offset(minutes: int) -> str:
    """``420`` -> ``+07:00``."""
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
