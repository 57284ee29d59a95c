"""The judge's reading of times: microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.verify.kinds.base import K, KindJudge, Stored, Table, or_null
from stillme.transfer.verify.local_clock import LocalClock

_EPOCH = datetime(1970, 1, 1)
_BEYOND = "beyond the calendar"
# Stands for an infinite time, which no legacy value means.
_NEVER = 2**63 - 1


class _TimeJudge(KindJudge[K]):
    def target_piece(self, name: str) -> str:
        """Not by the session's zone: on a Citus cluster the line is made on another node."""
        return f"coalesce(({name} AT TIME ZONE 'UTC')::text || '+00;', '-')"

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


class TimestampJudge(_TimeJudge[kinds.Timestamp]):
    """An instant."""

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


class DateJudge(_TimeJudge[kinds.Date]):
    """A date, which is its midnight in UTC."""

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A day that the calendar has, in ten characters."""
        name, shape = quoted(column.legacy), "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
        exists = f"{name} GLOB '{shape}' AND date({name}) = {name}"
        return or_null(column, f"typeof({name}) = 'text' AND {exists}")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """Its midnight."""
        return f"ifnull({quoted(column.legacy)} || ' 00:00:00+00;', '-')"

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """Not strftime: it writes the year 1 as 1."""
        try:
            return "text", (_EPOCH + timedelta(microseconds=value)).date().isoformat().encode()
        except OverflowError:
            return "text", _BEYOND.encode()
