"""The unit of the numbers in a timestamp column, decided from all of them together."""

from __future__ import annotations

from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.parts import Scan

SECONDS, MILLISECONDS, JULIAN = "seconds", "milliseconds", "julian"
_RANGES = ((SECONDS, 1e8, 1e11), (MILLISECONDS, 1e11, 1e14), (JULIAN, 1.7e6, 3e6))


def read_epoch_units(scan: Scan, mapping: TableMapping) -> tuple[int, dict[str, str]]:
    """The table's number of rows; legacy column -> unit, where all its numbers are of one unit."""
    columns = [c.legacy for c in mapping.columns if isinstance(c.kind, Timestamp | Date)]
    parts = ["count(*)"] + [
        f"{function}({quoted(name)}) FILTER (WHERE typeof({quoted(name)}) IN ('integer', 'real'))"
        for name in columns
        for function in ("min", "max")
    ]
    select = f"SELECT {', '.join(parts)} FROM {quoted(mapping.table)} WHERE"
    rows = list(scan(mapping, lambda part: f"{select} {part}"))
    found = {}
    for index, name in enumerate(columns):
        low = min((r[1 + 2 * index] for r in rows if r[1 + 2 * index] is not None), default=None)
        high = max((r[2 + 2 * index] for r in rows if r[2 + 2 * index] is not None), default=None)
        unit = None if low is None or high is None else _unit(float(low), float(high))
        if unit is not None:
            found[name] = unit
    return sum(row[0] for row in rows), found


def _unit(low: float, high: float) -> str | None:
    for unit, start, end in _RANGES:
        if start <= low and high < end:
            return unit
    return None
