"""Timestamps and dates: `timestamptz` in the target.

A common timestamp has the very shape that the old application wrote, and its offset is appended
(``2025-11-20 10:11:12`` -> ``2025-11-20 10:11:12+00``). Another readable shape is loaded as the
instant it means, with the original kept as ``time_shape``.
"""

from __future__ import annotations

from stillme.transfer import kinds
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.sqlite.common import timestamp_sql
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.steps.kinds.base import K, KindLoader, Table, shape_test

# Makes SQLite work the date out again: without it, 3.40 prints 30 February as it was given.
_AGAIN = "'+0 days'"


class _TimeLoader(KindLoader[K]):
    compared = "{}"

    def read_target(self, name: str) -> str:
        """Python knows the years 1 to 9999 only; what is beyond comes as PostgreSQL's text."""
        return (
            f"CASE WHEN {name} >= '0001-01-03 00:00+00' AND {name} < '9999-12-29 00:00+00' "
            f"THEN to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') "
            f"ELSE {name}::text END"
        )


class TimestampLoader(_TimeLoader[kinds.Timestamp]):
    """An instant in the shape that the column's stamp names."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """A time of that shape whose offset is the usual one, or the zone's."""
        return timestamp_sql(column, self.kind, table.mapping, table.clock)[0]

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """The time with its offset."""
        return (timestamp_sql(column, self.kind, table.mapping, table.clock)[1],)

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


class DateLoader(_TimeLoader[kinds.Date]):
    """A date; the target holds its midnight in UTC."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """Ten characters that look like a date."""
        shape = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
        return shape_test(column, f"{quoted(column.legacy)} GLOB '{shape}'")

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """Its midnight."""
        return (f"{quoted(column.legacy)} || ' 00:00:00+00'",)

    def strict_test(self, name: str) -> str:
        """A day that the calendar has, from the year 1."""
        return f"(date({name}, {_AGAIN}) = {name} AND substr({name}, 1, 4) >= '0001')"
