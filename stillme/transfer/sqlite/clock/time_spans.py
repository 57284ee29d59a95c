"""In which years most times of a column lie, from a hundred rows spread over its table.

A named zone has hundreds of offsets in a century, a file's rows have seen a few of them. SQL that
looks up those alone is short, and quick to read. Times of other years are read one by one, so that
a hundred rows are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted

_ROWS = 100
_DAY = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
_FIRST, _LAST = 1, 9998
# The first day, and the one after the last: ``2024-01-01``.
Span = tuple[str, str]


def time_spans(
    run: Callable[[str, Sequence[int]], Iterable[tuple[Any, ...]]], mapping: TableMapping
) -> dict[str, Span]:
    """Legacy time column -> its span, where any of those rows has a day. `run` runs a query."""
    columns = [c.legacy for c in mapping.columns if c.kind.is_time]
    if not columns or not mapping.has_rowid:
        return {}
    table = quoted(mapping.table)
    ends = [next(iter(run(f"SELECT {end}(rowid) FROM {table}", ())))[0] for end in ("min", "max")]
    if None in ends:
        return {}
    low, high = ends
    rowids = sorted({low + (high - low) * part // _ROWS for part in range(_ROWS + 1)})
    days = [
        f"CASE WHEN {quoted(c)} GLOB '{_DAY}*' THEN substr({quoted(c)}, 1, 10) END" for c in columns
    ]
    marks = ", ".join("?" * len(rowids))
    query = f"SELECT {', '.join(days)} FROM {table} WHERE rowid IN ({marks})"
    found = zip(*run(query, rowids), strict=True)
    seen = {name: [day for day in each if day] for name, each in zip(columns, found, strict=False)}
    return {name: _years(min(each), max(each)) for name, each in seen.items() if each}


def _years(first: str, last: str) -> Span:
    """Whole years, and one more at both ends."""
    start, end = max(int(first[:4]) - 1, _FIRST), min(int(last[:4]) + 1, _LAST)
    return f"{start:04d}-01-01", f"{end + 1:04d}-01-01"
