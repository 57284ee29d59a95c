"""The judge's reading of times: microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    Expected,
    K,
    KindJudge,
    Mend,
    Stored,
    Surroundings,
    Table,
    is_ascii,
    or_null,
    or_tilde,
)
from stillme.transfer.verify.kinds.local_clock import (
    LocalClock,
    row_minutes_sql,
    shape_sql,
    shift_modifier_sql,
)
from stillme.transfer.verify.kinds.other_times import counted, date_alone, other_shapes
from stillme.transfer.verify.kinds.time_reading import expected_time

_EPOCH = datetime(1970, 1, 1)
_BEYOND = "beyond the calendar"
# Stands for an infinite time, which no legacy value means.
_NEVER = 2**63 - 1


class InstantJudge(KindJudge[K]):
    """Any instant of the target."""

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The instant."""
        return expected_time(self.kind.shape, storage, raw, around)

    def surely_plain(self, name: str) -> str:
        """A day of the calendar. PostgreSQL has no 30 February."""
        day = f"substr({name}, 1, 10)"
        return f"(date({day}, '+0 days') = {day} AND {day} > '0001-01-00')"

    def target_piece(self, name: str) -> str:
        """Not by the session's zone: on a Citus cluster the line is made on another node."""
        return f"coalesce(({name} AT TIME ZONE 'UTC')::text || '+00;', '~')"

    def compared(self, name: str) -> str:
        """Exact: extract() answers numeric, and timestamptz counts whole microseconds."""
        exact = f"(extract(epoch FROM {name}) * 1000000)::bigint"
        return f"CASE WHEN isfinite({name}) THEN {exact} WHEN {name} IS NOT NULL THEN {_NEVER} END"

    def show(self, value: Any) -> str | None:
        """The instant as PostgreSQL would print it."""
        if not isinstance(value, int):
            return str(value)
        try:
            return f"{_EPOCH + timedelta(microseconds=value)}+00"
        except OverflowError:
            return f"{value} us since 1970"

    def parameter(self, value: Any) -> Any:
        """The instant; PostgreSQL's own calendar may have more, the policy has not."""
        try:
            return f"{(_EPOCH + timedelta(microseconds=value)).isoformat(sep=' ')}+00"
        except OverflowError:
            return _BEYOND


class TimestampJudge(InstantJudge[kinds.Timestamp]):
    """An instant."""

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A time in the shape that the stamp names, whose offset is surely known."""
        return _test_and_piece(column, self.kind, table)[0]

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """The time moved to UTC."""
        return _test_and_piece(column, self.kind, table)[1]

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Other shapes, a date alone, numbers."""
        return (*_local_shapes(column, table), *date_alone(column), *counted(column, table))

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """In the shape that the column's stamp names."""
        return "text", self._stamp(value, clock).encode()

    def _stamp(self, micros: int, clock: LocalClock) -> str:
        stamp = self.kind.stamp
        try:
            moment = _EPOCH + timedelta(microseconds=micros)
            whole = stamp is kinds.Stamp.MIXED and not moment.microsecond
            if stamp is kinds.Stamp.SQL or whole:
                return moment.isoformat(sep=" ")
            return clock.local_of(moment).isoformat()
        except OverflowError:
            return _BEYOND


class DateJudge(InstantJudge[kinds.Date]):
    """A date, which is its midnight in UTC."""

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A day that the calendar has, in ten characters."""
        name, shape = quoted(column.legacy), "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
        exists = f"{name} GLOB '{shape}' AND date({name}) = {name}"
        return or_null(column, f"typeof({name}) = 'text' AND {exists}")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """Its midnight."""
        return f"ifnull({quoted(column.legacy)} || ' 00:00:00+00;', '~')"

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Times, numbers."""
        return (*_local_shapes(column, table), *counted(column, table))

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """Not strftime: it writes the year 1 as 1."""
        try:
            return "text", (_EPOCH + timedelta(microseconds=value)).date().isoformat().encode()
        except OverflowError:
            return "text", _BEYOND.encode()


def _test_and_piece(column: MappedColumn, kind: kinds.Timestamp, table: Table) -> tuple[str, str]:
    """A test of a plain time, and its part of the line."""
    name, stamp = quoted(column.legacy), kind.stamp
    # Only text of this shape, of a day that exists, is what SQLite prints for it; the hour 24
    # it prints too.
    utc_test = f"datetime({name}) = {name} AND substr({name}, 12, 2) < '24'"
    if stamp is kinds.Stamp.SQL:
        return or_null(column, utc_test), or_tilde(column, name, "'+00;'")
    shift = shift_modifier_sql(name, table.clock, span=table.spans.get(column.legacy))
    local_test = _local_test(name, kind, table, shift)
    moved = f"datetime(substr({name}, 1, 19), {shift})"
    local_piece = f"{moved} || rtrim(substr({name}, 20), '0') || '+00;'"
    if stamp is kinds.Stamp.ISO:
        return or_null(column, local_test), f"ifnull({local_piece}, '~')"
    piece = f"iif(substr({name}, 11, 1) = 'T', {local_piece}, {name} || '+00;')"
    test = f"({utc_test}) OR ({local_test})"
    return or_null(column, test), f"ifnull({piece}, '~')"


def _local_shapes(column: MappedColumn, table: Table) -> tuple[Mend, ...]:
    clock = table.clock
    sure = clock.zone is not None or len(clock.offsets) <= 1
    shift = shift_modifier_sql(quoted(column.legacy), clock, span=table.spans.get(column.legacy))
    return other_shapes(column, spaced="'+0 days'", local=shift if sure else None)


def _local_test(name: str, kind: kinds.Timestamp, table: Table, shift: str) -> str:
    """A local stamp whose offset is surely the usual one, or the zone's at that hour."""
    mapping, clock = table.mapping, table.clock
    exists = f"datetime(substr({name}, 1, 19)) = replace(substr({name}, 1, 19), 'T', ' ')"
    test = f"{shape_sql(name)} AND {exists} AND {name} > '0001-01-04' AND {name} < '9999-12-28'"
    test += f" AND {is_ascii(name)}"
    if kind.stamp is kinds.Stamp.MIXED:
        test += f" AND length({name}) = 26"
    if clock.zone is not None:
        return f"{test} AND {shift} IS NOT NULL"
    if len(clock.offsets) <= 1:
        return test
    if mapping.clock is None:
        return "0"
    test += f" AND {row_minutes_sql(mapping.clock)} = {clock.usual}"
    earlier = mapping.column(kind.after or "")
    if earlier is None:
        return test
    start = quoted(earlier.legacy)
    return f"{test} AND ({start} IS NULL OR {shape_sql(start)} AND {name} >= {start})"
