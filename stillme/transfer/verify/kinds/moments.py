"""The judge's reading of Django's dates and times, of times of day and durations."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    Expected,
    KindJudge,
    Mend,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    is_ascii,
    or_null,
    or_tilde,
)
from stillme.transfer.verify.kinds.local_clock import SIX, LocalClock, shift_modifier_sql
from stillme.transfer.verify.kinds.numbers import IntegerJudge
from stillme.transfer.verify.kinds.other_times import counted, date_alone, other_shapes
from stillme.transfer.verify.kinds.time_reading import (
    expected_day,
    expected_moment,
    expected_time_of_day,
)
from stillme.transfer.verify.kinds.times import InstantJudge

_EPOCH = datetime(1970, 1, 1)
# What takes a wall time of UTC to UTC.
_UTC = "'+0 days'"
# Stands for an infinite date, which no legacy value means.
_NEVER = 2**31 - 1


class MomentJudge(InstantJudge[kinds.Moment]):
    """A wall time of the column's zone."""

    @property
    def _clock(self) -> LocalClock:
        return LocalClock(zone=self.kind.zone)

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The instant."""
        kind = self.kind
        return expected_moment(kind.zone, storage, raw, around.unit, is_aware=kind.aware)

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A time that Django writes, at an hour in which the zone keeps its offset."""
        name = quoted(column.legacy)
        wall = f"substr({name}, 1, 19)"
        test = f"datetime({wall}) = {wall} AND substr({name}, 12, 2) < '24' AND {wall} > '0001'"
        test += f" AND {_whole_or_fine(name, 19)}"
        if self.kind.zone != "UTC":
            test += f" AND {name} > '0001-01-04' AND {name} < '9999-12-28'"
            test += f" AND {self._shift(column, table)} IS NOT NULL"
        return or_null(column, f"typeof({name}) = 'text' AND {test}")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """The time moved to UTC, without the zeros at its end that PostgreSQL does not print."""
        name = quoted(column.legacy)
        moved = f"substr({name}, 1, 19)"
        if self.kind.zone != "UTC":
            moved = f"datetime({moved}, {self._shift(column, table)})"
        return or_tilde(column, f"{moved} || rtrim(substr({name}, 20), '0')", "'+00;'")

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Other shapes, numbers; in another zone than UTC none with a ``T`` or of a date alone."""
        numbers = counted(column, table)
        if self.kind.zone != "UTC":
            shift = self._shift(column, table)
            return (*other_shapes(column, spaced=shift, local=None), *numbers)
        return (*other_shapes(column, spaced=_UTC, local=_UTC), *date_alone(column), *numbers)

    def _shift(self, column: MappedColumn, table: Table) -> str:
        span = table.spans.get(column.legacy)
        return shift_modifier_sql(quoted(column.legacy), self._clock, " ", span)

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """The wall time."""
        try:
            moment = self._clock.local_of(_EPOCH + timedelta(microseconds=value))
        except OverflowError:
            return "text", b"beyond the calendar"
        return "text", moment.isoformat(sep=" ").encode()


class DayJudge(KindJudge[kinds.Day]):
    """A date, in days since 1970."""

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The date."""
        if storage != "text":
            raise MustBeSetAside("unreadable_time")
        return expected_day(raw)

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A day that the calendar has, in ten characters."""
        name = quoted(column.legacy)
        exists = f"date({name}) = {name} AND length({name}) = 10 AND {name} > '0001-01-00'"
        # 3.40 prints 30 February as it was given.
        exists += f" AND date({name}, '+0 days') = {name}"
        return or_null(column, f"typeof({name}) = 'text' AND {exists}")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """The date."""
        return or_tilde(column, quoted(column.legacy), "';'")

    def compared(self, name: str) -> str:
        """Days since 1970."""
        days = f"{name} - DATE '1970-01-01'"
        return f"CASE WHEN isfinite({name}) THEN {days} WHEN {name} IS NOT NULL THEN {_NEVER} END"

    def show(self, value: Any) -> str | None:
        """The date."""
        try:
            return (_EPOCH + timedelta(days=value)).date().isoformat()
        except (OverflowError, TypeError):
            return f"{value} days since 1970"

    def parameter(self, value: Any) -> Any:
        """The date."""
        return self.show(value)

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """Its ten characters."""
        return "text", str(self.show(value)).encode()


class TimeOfDayJudge(KindJudge[kinds.TimeOfDay]):
    """A time of day, in microseconds."""

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The time of day."""
        if storage != "text":
            raise MustBeSetAside("unreadable_time")
        return expected_time_of_day(raw)

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A time that Django writes."""
        name = quoted(column.legacy)
        whole = f"substr({name}, 1, 8)"
        test = f"time({whole}) = {whole} AND {whole} < '24' AND {_whole_or_fine(name, 8)}"
        return or_null(column, f"typeof({name}) = 'text' AND {test}")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """The time, without the zeros at its end that PostgreSQL does not print."""
        name = quoted(column.legacy)
        return or_tilde(column, f"substr({name}, 1, 8) || rtrim(substr({name}, 9), '0')", "';'")

    def compared(self, name: str) -> str:
        """Exact: extract() answers numeric."""
        return f"(extract(epoch FROM {name}) * 1000000)::bigint"

    def show(self, value: Any) -> str | None:
        """As PostgreSQL would print it."""
        if not isinstance(value, int):
            return str(value)
        seconds, micros = divmod(value, 1_000_000)
        shown = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        return f"{shown}.{micros:06d}" if micros else shown

    def parameter(self, value: Any) -> Any:
        """The time."""
        return self.show(value)

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """As Django writes it."""
        return "text", str(self.show(value)).encode()


class DurationJudge(KindJudge[kinds.Duration]):
    """Microseconds. A duration with months cannot come from the legacy."""

    decides_blobs = True

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The number that is meant, within 64 bits."""
        return IntegerJudge(kinds.Integer(-(2**63), 2**63 - 1)).expect(storage, raw, around)

    def target_piece(self, name: str) -> str:
        """The microseconds."""
        return f"coalesce({self.compared(name)} || ';', '~')"

    def compared(self, name: str) -> str:
        """Microseconds; PostgreSQL's own text of what counts months or has no end."""
        months = f"extract(year FROM {name}) = 0 AND extract(month FROM {name}) = 0"
        micros = f"trunc(extract(epoch FROM {name}) * 1000000)::text"
        return f"CASE WHEN isfinite({name}) AND {months} THEN {micros} ELSE {name}::text END"

    def read(self, found: Any) -> Any:
        """The number; a text stays a text."""
        return int(found) if found is not None and re.fullmatch("-?[0-9]+", found) else found

    def parameter(self, value: Any) -> Any:
        """The microseconds."""
        return f"{value} microseconds"

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """The microseconds."""
        number = self.read(value)
        return ("integer", number) if isinstance(number, int) else ("text", number.encode())


def _whole_or_fine(name: str, end: int) -> str:
    """SQL: the text ends there, or goes on with the fraction that Python writes."""
    rest = f"substr({name}, {end + 1})"
    fine = f"{is_ascii(name)} AND {rest} GLOB '{SIX}' AND {rest} <> '.000000'"
    return f"(octet_length({name}) = {end} OR ({fine}))"
