"""The profile of a column in a few words, for every kind of output."""

from __future__ import annotations

from stillme.transfer.sqlite.schema.profile import Bound, ColumnProfile

# Of a time the day is shown; JSON has the whole value.
_DAY = 10


def storage(column: ColumnProfile) -> str:
    """``text 290, null 10``."""
    found = sorted(column.storage.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {rows:,}" for name, rows in found if rows)


def bounds(column: ColumnProfile) -> str:
    """Least and greatest value, where the kind has an order."""
    if column.low is None:
        return ""
    low, high = _bound(column.low), _bound(column.high)
    return low if low == high else f"{low} {high}" if _is_day(column) else f"{low} / {high}"


def details(column: ColumnProfile) -> str:
    """Kind, longest text, shapes and troubles."""
    parts = [column.kind if column.target == column.name else f"{column.kind} -> {column.target}"]
    if column.longest:
        parts.append(f"longest {column.longest:,}")
    parts += [f"{shape} {rows:,}" for shape, rows in sorted(column.shapes.items())]
    parts += [f"{trouble} {rows:,}" for trouble, rows in sorted(column.troubles.items())]
    if column.orphans:
        parts.append(f"orphans {column.orphans:,}")
    if column.repeats:
        parts.append(f"keys stored twice {column.repeats:,}")
    return "; ".join(parts)


def _bound(value: Bound) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return (value or "")[:_DAY]


def _is_day(column: ColumnProfile) -> bool:
    return isinstance(column.low, str)
