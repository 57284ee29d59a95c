"""The unit of the numbers in a time column: seconds, milliseconds or Julian days."""

from __future__ import annotations

from functools import partial

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.scan_parts import Scan

_UNITS = ("none", "seconds", "milliseconds", "julian")


def number_units(scan: Scan, mapping: TableMapping) -> dict[str, str]:
    """Map a legacy column to "seconds", "milliseconds" or "julian" if all its numbers agree.

    `scan` goes through the table once for all of its columns. A number's size tells its unit:
    1735787045 can only be seconds, 1735787045000 only milliseconds.
    """
    times = [c.legacy for c in mapping.columns if c.kind.is_time]
    if not times:
        return {}
    found: dict[str, set[int]] = {name: set() for name in times}
    for ends in scan(mapping, partial(_ends_sql, mapping, times)):
        for place, name in enumerate(times):
            found[name].update(end for end in ends[2 * place : 2 * place + 2] if end is not None)
    units = {name: _UNITS[min(kinds)] for name, kinds in found.items() if len(kinds) == 1}
    return {name: unit for name, unit in units.items() if unit != "none"}


def _ends_sql(mapping: TableMapping, times: list[str], condition: str) -> str:
    """The SELECT that gives the lowest and the highest unit of each column's numbers."""
    units = [_unit_sql(quoted(name)) for name in times]
    ends = ", ".join(f"min({unit}), max({unit})" for unit in units)
    return f"SELECT {ends} FROM {quoted(mapping.table)} WHERE {condition}"


def _unit_sql(name: str) -> str:
    """SQL: the position of a number's unit in `_UNITS`, NULL for anything else."""
    return (
        f"CASE WHEN typeof({name}) NOT IN ('integer', 'real') THEN NULL "
        f"WHEN {name} >= 1e8 AND {name} < 1e11 THEN 1 WHEN {name} >= 1e11 AND {name} < 1e14 THEN 2 "
        f"WHEN {name} >= 1.7e6 AND {name} < 3e6 THEN 3 ELSE 0 END"
    )
