"""Timestamps and dates: `timestamptz` in the target.

A common timestamp has the very shape that the old application wrote, and its offset is appended
(``2025-11-20 10:11:12`` -> ``2025-11-20 10:11:12+00``). Another readable shape is loaded as the
instant it means, with the original kept as ``time_shape``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.evidence_sql import (
    FRACTION_GLOB,
    ISO_GLOB,
    iso_shape_sql,
    row_offset_sql,
)
from stillme.transfer.sqlite.clock.file_clock import Clock, format_offset
from stillme.transfer.sqlite.clock.zone_sql import offset_in_zone_sql
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.kinds.base import (
    Cell,
    K,
    KindLoader,
    Mend,
    Rendered,
    RowContext,
    Table,
    shape_test,
)
from stillme.transfer.steps.kinds.other_times import counted, date_alone, other_shapes
from stillme.transfer.steps.kinds.time_reading import read_time

# Makes SQLite work the date out again: without it, 3.40 prints 30 February as it was given.
_AGAIN = "'+0 days'"


class InstantLoader(KindLoader[K]):
    """Any instant of the target. Python knows the years 1 to 9999 only, in every zone."""

    compared = "{}"
    first: ClassVar[str] = "0001-01-03 00:00+00"
    after_last: ClassVar[str] = "9999-12-29 00:00+00"

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The instant, with the original kept where it would not be written so again."""
        return read_time(self.kind.shape, storage, raw, row)

    def read_target(self, name: str) -> str:
        """What is beyond Python's calendar comes as PostgreSQL's text."""
        return (
            f"CASE WHEN {name} >= '{self.first}' AND {name} < '{self.after_last}' "
            f"THEN to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') "
            f"ELSE {name}::text END"
        )


class TimestampLoader(InstantLoader[kinds.Timestamp]):
    """An instant in the shape that the column's stamp names."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """A time of that shape whose offset is the usual one."""
        return _test_and_cell(column, self.kind, table)[0]

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """The time with its offset."""
        return (_test_and_cell(column, self.kind, table)[1],)

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Other shapes, a date alone, numbers."""
        return (*_local_shapes(column, table), *date_alone(column), *counted(column, table))

    def strict_test(self, name: str) -> str:
        """A day that the calendar has, from the year 1."""
        if self.kind.stamp is kinds.Stamp.SQL:
            early = f"substr({name}, 9, 2) < '29'"
            exists = f"({early} OR datetime({name}, {_AGAIN}) = {name})"
        else:
            wall = f"substr({name}, 1, 19)"
            early = f"substr({name}, 9, 2) BETWEEN '01' AND '28'"
            early += f" AND substr({name}, 6, 2) BETWEEN '01' AND '12'"
            exists = f"({early} OR datetime({wall}, {_AGAIN}) = replace({wall}, 'T', ' '))"
        return f"({exists} AND substr({name}, 1, 4) >= '0001')"

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """In the shape that the stamp names, on the file's clock."""
        stamp, instant = self.kind.stamp, parsed_instant(value)
        if instant is None or instant.tzinfo is not None:
            return Rendered(str(value), "beyond_the_calendar")
        whole = instant.microsecond == 0
        if stamp is kinds.Stamp.SQL or (stamp is kinds.Stamp.MIXED and whole):
            shown = instant.replace(microsecond=0).isoformat(sep=" ")
            return Rendered(shown, "" if whole else "finer_than_seconds")
        offset = None if explicit else _offset_back(instant, clock)
        if offset is None:
            return Rendered(instant.replace(tzinfo=UTC).isoformat())
        return Rendered((instant + offset).isoformat())


class DateLoader(InstantLoader[kinds.Date]):
    """A date; the target holds its midnight in UTC."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """Ten characters that look like a date."""
        shape = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
        return shape_test(column, f"{quoted(column.legacy)} GLOB '{shape}'")

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """Its midnight."""
        return (f"{quoted(column.legacy)} || ' 00:00:00+00'",)

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Times, numbers."""
        return (*_local_shapes(column, table), *counted(column, table))

    def strict_test(self, name: str) -> str:
        """A day that the calendar has, from the year 1."""
        return day_exists(name)

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """The date, with a time of day where it has one."""
        instant = parsed_instant(value)
        if instant is None:
            return Rendered(str(value), "beyond_the_calendar")
        if instant.time() == datetime.min.time():
            return Rendered(instant.date().isoformat())
        return Rendered(instant.isoformat(sep=" "))


def _test_and_cell(column: MappedColumn, kind: kinds.Timestamp, table: Table) -> tuple[str, str]:
    name, stamp = quoted(column.legacy), kind.stamp
    # What SQLite itself would print for the value: text of this very shape, of a day and an hour
    # that exist. Measured: 0.44 s a million rows, the GLOB 0.54 s. The hour 24 it prints as it is,
    # and PostgreSQL would take it for the next day.
    sql_test = f"(datetime({name}) = {name} AND substr({name}, 12, 2) < '24')"
    sql_cell = f"{name} || '+00'"
    if stamp is kinds.Stamp.SQL:
        test = sql_test if column.required else f"({name} IS NULL OR {sql_test})"
        return test, sql_cell
    offset = _offset(column, table)
    iso_test = _local_test(name, kind, table, offset)
    iso_cell = f"{name} || {offset}"
    if stamp is kinds.Stamp.ISO:
        return shape_test(column, iso_test), iso_cell
    # By the T: of a year before Christ, which SQLite prints too, another character is the eleventh.
    cell = f"CASE substr({name}, 11, 1) WHEN 'T' THEN {iso_cell} ELSE {sql_cell} END"
    return shape_test(column, f"({sql_test} OR {iso_test})"), cell


def _local_shapes(column: MappedColumn, table: Table) -> tuple[Mend, ...]:
    """Without an offset: UTC after a space, the local clock after a ``T``."""
    local, test = _offset(column, table), "1"
    if table.clock.zone is None:
        kind = kinds.Timestamp(after=getattr(column.kind, "after", None))
        test = _offset_test(quoted(column.legacy), kind, table.mapping, table.clock)
    return other_shapes(column, spaced="'+00'", local=local, local_test=test)


def day_exists(name: str) -> str:
    """SQL: a text that begins like a date begins with a day of the calendar, from the year 1."""
    day = f"substr({name}, 1, 10)"
    return f"(date({day}, {_AGAIN}) = {day} AND {day} >= '0001')"


def _offset(column: MappedColumn, table: Table) -> str:
    """SQL for the offset of a local stamp, as PostgreSQL reads it; NULL where SQL cannot tell."""
    clock = table.clock
    if clock.zone is None:
        return as_literal(clock.usual)
    return zone_offset(column, table, clock.zone, "T")


def zone_offset(column: MappedColumn, table: Table, zone: str, separator: str) -> str:
    """SQL for the zone's offset of a stamp; NULL where it has none, or two."""
    name, span = quoted(column.legacy), table.spans.get(column.legacy)
    return f"({offset_in_zone_sql(name, zone, as_literal, separator, span)})"


def as_literal(minutes: int) -> str:
    """An offset as PostgreSQL reads it."""
    return f"'{format_offset(minutes)}'"


def _local_test(name: str, kind: kinds.Timestamp, table: Table, offset: str) -> str:
    """SQL: a local stamp of the default shape whose `offset` is the usual one, or the zone's."""
    fine = f"({name} GLOB '{ISO_GLOB}{FRACTION_GLOB}' AND substr({name}, 21) <> '000000')"
    is_iso = kind.stamp is kinds.Stamp.ISO
    shape = f"({fine} OR {name} GLOB '{ISO_GLOB}')" if is_iso else fine
    test = f"{shape} AND substr({name}, 12, 2) < '24'"
    if table.clock.zone is not None:
        return f"({test} AND {offset} IS NOT NULL)"
    # The first and last days of the calendar may leave it when the offset is applied.
    test += f" AND {name} BETWEEN '0001-01-03' AND '9999-12-29'"
    return f"({test} AND {_offset_test(name, kind, table.mapping, table.clock)})"


def _offset_test(name: str, kind: kinds.Timestamp, mapping: TableMapping, clock: Clock) -> str:
    """SQL: the usual offset is the one by docs/reference/values.md."""
    if clock.has_one_offset and not (clock.is_recorded and mapping.clock):
        return "1"
    if mapping.clock is None:
        return "0"
    test = f"{row_offset_sql(mapping.clock)} = {clock.usual}"
    earlier = mapping.column(kind.after) if kind.after else None
    if earlier is None:
        return test
    other = quoted(earlier.legacy)
    return f"{test} AND ({other} IS NULL OR ({iso_shape_sql(other)} AND {other} <= {name}))"


def _offset_back(instant: datetime, clock: Clock) -> timedelta | None:
    """The offset under which the local time will be read back as this instant."""
    if clock.zone is None:
        return timedelta(minutes=clock.usual)
    aware = instant.replace(tzinfo=UTC).astimezone(ZoneInfo(clock.zone))
    offset = aware.utcoffset() or timedelta()
    return offset if clock.read(instant + offset, None).offsets[0] == offset else None


def parsed_instant(text: str) -> datetime | None:
    """What was read with `InstantLoader.read_target`; None beyond Python's calendar."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
