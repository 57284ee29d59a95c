"""The unit of the numbers in a timestamp column, decided from all of them together."""

from __future__ import annotations

import sqlite3

import apsw

from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.connect import quoted

SECONDS, MILLISECONDS, JULIAN = "seconds", "milliseconds", "julian"
_RANGES = ((SECONDS, 1e8, 1e11), (MILLISECONDS, 1e11, 1e14), (JULIAN, 1.7e6, 3e6))


def read_epoch_units(
    connection: sqlite3.Connection | apsw.Connection, mapping: TableMapping
) -> dict[str, str]:
    """Legacy column -> unit, for the columns whose numbers are all of one unit."""
    columns = [c.legacy for c in mapping.columns if isinstance(c.kind, Timestamp | Date)]
    if not columns:
        return {}
    parts = ", ".join(
        f"{function}({quoted(name)}) FILTER (WHERE typeof({quoted(name)}) IN ('integer', 'real'))"
        for name in columns
        for function in ("min", "max")
    )
    (row,) = connection.execute(f"SELECT {parts} FROM {quoted(mapping.table)}")
    found = {}
    for index, name in enumerate(columns):
        low, high = row[2 * index], row[2 * index + 1]
        unit = None if low is None else _unit(float(low), float(high))
        if unit is not None:
            found[name] = unit
    return found


def _unit(low: float, high: float) -> str | None:
    for unit, start, end in _RANGES:
        if start <= low and high < end:
            return unit
    return None
