"""The unit of the numbers in a timestamp column, decided from all of them together."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.scan_parts import Scan

SECONDS, MILLISECONDS, JULIAN = "seconds", "milliseconds", "julian"
_RANGES = ((SECONDS, 1e8, 1e11), (MILLISECONDS, 1e11, 1e14), (JULIAN, 1.7e6, 3e6))


def read_number_ranges(scan: Scan, mapping: TableMapping) -> dict[str, tuple[float, float]]:
    """Time column -> its least and greatest number, if it has any."""
    columns = [c.legacy for c in mapping.columns if c.kind.is_time]
    lows = _ends(scan, mapping, "min", columns)
    highs = _ends(scan, mapping, "max", list(lows))
    return {name: (low, highs[name]) for name, low in lows.items()}


def units_of(ranges: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Column -> unit, where all its numbers are of one unit."""
    units = {name: _unit(low, high) for name, (low, high) in ranges.items()}
    return {name: unit for name, unit in units.items() if unit is not None}


def end_keys(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    ranges: Mapping[str, tuple[float, float]],
) -> set[Key]:
    """The keys of rows with those numbers: without them a column may be of another unit."""
    if not mapping.key_columns:
        return set()
    key, table = mapping.key_columns.legacy_parts(), quoted(mapping.table)
    query = f"SELECT {key} FROM {table} WHERE"
    return {
        Key.of_flat(row)
        for name, ends in ranges.items()
        for number in ends
        for row in connection.execute(f"{query} {quoted(name)} = ? LIMIT 1", (number,))
    }


def _ends(scan: Scan, mapping: TableMapping, end: str, columns: list[str]) -> dict[str, float]:
    """The least or greatest number of each column that holds any."""
    if not columns:
        return {}
    # Numbers are less than any text, and to compare is cheaper than to ask for the type.
    wanted = [f"{end}({quoted(c)}) FILTER (WHERE {quoted(c)} < '')" for c in columns]
    select = f"SELECT {', '.join(wanted)} FROM {quoted(mapping.table)} WHERE"
    parts = list(scan(mapping, lambda part: f"{select} {part}"))
    found = {}
    for index, name in enumerate(columns):
        numbers = [float(part[index]) for part in parts if part[index] is not None]
        if numbers:
            found[name] = min(numbers) if end == "min" else max(numbers)
    return found


def has_unit(unit: str | None, number: float) -> bool:
    """Whether one more number keeps a column's unit; False if the column has no unit yet."""
    return any(unit == name and start <= number < end for name, start, end in _RANGES)


def _unit(low: float, high: float) -> str | None:
    for unit, start, end in _RANGES:
        if start <= low and high < end:
            return unit
    return None
