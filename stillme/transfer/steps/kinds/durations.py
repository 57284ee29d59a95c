"""Django's times of day and durations: `time` and `interval` in the target."""

from __future__ import annotations

from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.evidence_sql import FRACTION_GLOB
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.kinds.base import (
    Cell,
    KindLoader,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
    repaired,
    shape_test,
)
from stillme.transfer.steps.kinds.moments import is_usual
from stillme.transfer.steps.kinds.numbers import IntegerLoader
from stillme.transfer.steps.kinds.time_reading import TIME, wall_time

_DAY = 86_400_000_000
_MICROSECONDS = IntegerLoader(kinds.Integer(-(2**63), 2**63 - 1))


class TimeOfDayLoader(KindLoader[kinds.TimeOfDay]):
    """A time of day without a zone."""

    compared = "{}"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """A time that Django writes. PostgreSQL would take 24:00:00 and 23:59:60, too."""
        name, whole = quoted(column.legacy), "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
        fine = f"({name} GLOB '{whole}{FRACTION_GLOB}' AND substr({name}, 10) <> '000000')"
        # Not the column itself: in one of numeric affinity '24' would be the number.
        within = f"substr({name}, 1, 2) < '24'"
        return shape_test(column, f"({fine} OR {name} GLOB '{whole}') AND {within}")

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The time of day."""
        text = decode(raw) if storage == "text" else ""
        # A time of some day, so that there is one reading of clocks.
        match = TIME.match(f"2000-01-01 {text}")
        if match is None:
            raise Refused("unreadable_time", f"{text[:40] or storage!r} is no time of day.")
        shown = wall_time(match, text).time().isoformat()
        if match[9]:
            raise Refused("unreadable_time", f"{text[:40]!r} has an offset, and no day.")
        return Cell(shown) if is_usual(match) else repaired(shown, "time_shape")

    def read_target(self, name: str) -> str:
        """PostgreSQL has 24:00, Python has not."""
        return f"{name}::text"

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """As Django writes it: six digits of a fraction, or none."""
        whole, dot, fraction = str(value).partition(".")
        lost = "beyond_the_calendar" if whole.startswith("24") else ""
        return Rendered(f"{whole}.{fraction:0<6}" if dot else whole, lost)


class DurationLoader(KindLoader[kinds.Duration]):
    """Microseconds, given to PostgreSQL as Django gives them: days, and the rest of a day.

    25 hours are a day and an hour, to Django as to PostgreSQL; a month is not 30 days.
    """

    decides_blobs = True
    compared = "(extract(year FROM {0}) * 12 + extract(month FROM {0}), {0})"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """An integer; at the ends of 64 bits the arithmetic of `cell` could overflow."""
        name, most = quoted(column.legacy), 9 * 10**18
        within = f"({name} IS NULL OR {name} BETWEEN -{most} AND {most})"
        return f"{super().common_test(column, table)} AND {within}"

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """``-1 days +86399000000 microseconds`` for a second before zero; `/` rounds to zero."""
        name = quoted(column.legacy)
        days = f"({name} / {_DAY} - ({name} % {_DAY} < 0))"
        rest = f"({name} % {_DAY} + {_DAY} * ({name} % {_DAY} < 0))"
        return (f"{days} || ' days +' || {rest} || ' microseconds'",)

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """As any whole number of 64 bits."""
        whole = _MICROSECONDS.convert(storage, raw, row)
        days, rest = divmod(int(whole.text or 0), _DAY)
        return Cell(f"{days} days +{rest} microseconds", whole.reason, whole.repaired)

    def read_target(self, name: str) -> str:
        """The interval's microseconds.

        If it counts months: ``1 mon = 2592000000000``, as Django reads it (30 days a month, 365 a
        year).
        """
        months = f"365 * extract(year FROM {name}) + 30 * extract(month FROM {name})"
        rest = f"extract(epoch FROM {name} - date_trunc('month', {name}))"
        return (
            f"CASE WHEN NOT isfinite({name}) THEN {name}::text "
            f"WHEN {months} = 0 THEN trunc(extract(epoch FROM {name}) * 1000000)::text "
            f"ELSE {name}::text || ' = ' || trunc(({rest} + 86400 * ({months})) * 1000000) END"
        )

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """The number; a duration that counts months is kept aside as well."""
        _, has_months, number = str(value).rpartition(" = ")
        if number.endswith("infinity") or not -(2**63) <= int(number) < 2**63:
            return Rendered(number, "not_a_number")
        return Rendered(int(number), "months" if has_months else "")
