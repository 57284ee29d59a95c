"""Django's dates, with and without a time: `timestamptz` and `date` in the target.

Django stores a date and time as ``str(datetime)`` of a naive wall time: of UTC under `USE_TZ`, else
of the project's `TIME_ZONE`. A common one gets the offset of that zone appended
(``2025-11-20 10:11:12.345678`` -> ``2025-11-20 10:11:12.345678+00``). Another readable shape is
loaded as the instant it means, with the original kept as ``time_shape``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.evidence_sql import FRACTION_GLOB, SQL_GLOB
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.kinds.base import (
    Cell,
    KindLoader,
    Mend,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
    repaired,
    shape_test,
)
from stillme.transfer.steps.kinds.other_times import counted, date_alone, other_shapes
from stillme.transfer.steps.kinds.time_reading import (
    TIME,
    explicit_offset,
    instant_of_number,
    instant_text,
    wall_time,
)
from stillme.transfer.steps.kinds.times import (
    InstantLoader,
    day_exists,
    parsed_instant,
    zone_offset,
)

_DATE_GLOB = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"


class MomentLoader(InstantLoader[kinds.Moment]):
    """A wall time of the column's zone."""

    first = "0001-01-01 00:00+00"
    after_last = "10000-01-01 00:00+00"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """A time that Django writes, at which the zone has one offset."""
        name = quoted(column.legacy)
        fine = f"({name} GLOB '{SQL_GLOB}{FRACTION_GLOB}' AND substr({name}, 21) <> '000000')"
        test = f"({fine} OR {name} GLOB '{SQL_GLOB}') AND substr({name}, 12, 2) < '24'"
        if self.kind.zone != "UTC":
            test += f" AND {self._offset(column, table)} IS NOT NULL"
        return shape_test(column, test)

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """The time with its offset."""
        return (f"{quoted(column.legacy)} || {self._offset(column, table)}",)

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Other shapes, numbers; a date alone where its midnight is no question."""
        is_utc, offset = self.kind.zone == "UTC", self._offset(column, table)
        shapes = other_shapes(column, spaced=offset, local=offset if is_utc else "NULL")
        return (*shapes, *(date_alone(column) if is_utc else ()), *counted(column, table))

    def strict_test(self, name: str) -> str:
        """A day that the calendar has, from the year 1."""
        return day_exists(name)

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The instant; an offset in the text goes before the zone's."""
        if storage in ("integer", "real"):
            assert isinstance(raw, int | float)
            return repaired(instant_of_number(raw, row.epoch_unit), "epoch")
        text = decode(raw)
        match = TIME.match(text)
        if match is None:
            raise Refused("unreadable_time", f"{text[:40]!r} is no readable time.")
        local = wall_time(match, text)
        if match[9]:
            return repaired(instant_text(local, explicit_offset(match[9])), "time_shape")
        reading = Clock(zone=self.kind.zone).read(local, None)
        instant = instant_text(local, reading.offsets[self._which])
        if reading.is_gap:
            return repaired(instant, "clock_gap")
        if self.kind.aware and not reading.is_sure:
            return Cell(instant, "clock_guess")
        return Cell(instant) if is_usual(match) else repaired(instant, "time_shape")

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """As Django writes it; with its offset where the wall time alone means another instant."""
        instant = parsed_instant(value)
        if instant is None or instant.tzinfo is not None:
            return Rendered(str(value), "beyond_the_calendar")
        try:
            aware = instant.replace(tzinfo=UTC).astimezone(ZoneInfo(self.kind.zone))
        except OverflowError:
            # The zone's wall time is beyond the calendar, the instant is not.
            return Rendered(f"{value}+00")
        if explicit:
            return Rendered(str(aware))
        return Rendered(str(aware.replace(tzinfo=None)))

    @property
    def _which(self) -> int:
        """The index of the offset that counts.

        In the hour that comes twice an aware time means the first instant; a naive one the second,
        as PostgreSQL reads what Django sends.
        """
        return 0 if self.kind.aware else -1

    def _offset(self, column: MappedColumn, table: Table) -> str:
        if self.kind.zone == "UTC":
            return "'+00'"
        return zone_offset(column, table, self.kind.zone, " ")


def is_usual(match: re.Match[str]) -> bool:
    """Whether it is what `str(datetime)` writes."""
    fraction = match[8]
    fine = fraction is None or (len(fraction) == 6 and fraction != "000000")
    return match[4] == " " and match[7] is not None and fine


class DayLoader(KindLoader[kinds.Day]):
    """A calendar date."""

    compared = "{}"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """Ten characters that look like a date."""
        return shape_test(column, f"{quoted(column.legacy)} GLOB '{_DATE_GLOB}'")

    def strict_test(self, name: str) -> str:
        """A day that the calendar has, from the year 1."""
        return day_exists(name)

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The date; one with a time of day is readable where that is midnight."""
        text = decode(raw) if storage == "text" else ""
        match = TIME.match(text)
        if match is None:
            raise Refused("unreadable_time", f"{text[:40] or storage!r} is no date.")
        moment = wall_time(match, text)
        if match[9] or moment.time() != datetime.min.time():
            raise Refused("unreadable_time", f"{text[:40]!r} has a time of day.")
        day = moment.date().isoformat()
        return Cell(day) if match[4] is None else repaired(day, "time_shape")

    def read_target(self, name: str) -> str:
        """What is beyond Python's calendar comes as PostgreSQL's text, in the session's style."""
        within = f"{name} BETWEEN '0001-01-01' AND '9999-12-31'"
        return f"CASE WHEN {within} THEN to_char({name}, 'YYYY-MM-DD') ELSE {name}::text END"

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """PostgreSQL's own spelling, which is Django's."""
        beyond = parsed_instant(value) is None or len(value) != len("2025-01-01")
        return Rendered(str(value), "beyond_the_calendar" if beyond else "")
