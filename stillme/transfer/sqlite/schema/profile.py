"""What is really stored in each column: counted by SQL for common rows, by Python for the others.

A common row is vouched for by the loader's own predicate, so its storage classes and shapes are
known; SQLite only counts, measures and compares.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stillme.transfer.kinds import Kind, Stamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import ABREAST, quoted
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.sqlite.schema.profile_shapes import (
    DATE_ONLY,
    ISO_FRACTION,
    ISO_TIME,
    SQL_FRACTION,
    SQL_TIME,
    UNREADABLE,
    json_troubles,
    text_troubles,
    time_shape,
)

ATTENTION = "rows_that_need_attention"
Bound = int | float | str | None


@dataclass(slots=True)
class ColumnProfile:
    """One column. `low` and `high` are of numbers, or of readable times as text.

    `storage` counts storage classes, `shapes` the shapes of times, `troubles` values that no
    target type takes as they are, `orphans` references without a loaded parent, `repeats` keys
    that an earlier row has.
    """

    name: str
    kind: str
    target: str
    storage: Counter[str] = field(default_factory=Counter)
    low: Bound = None
    high: Bound = None
    longest: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    orphans: int = 0
    repeats: int = 0

    @property
    def nulls(self) -> int:
        """How many are NULL."""
        return self.storage["null"]

    def widen(self, low: Bound, high: Bound) -> None:
        """Let `low` and `high` take part in the bounds."""
        for value in (low, high):
            if value is None:
                continue
            if self.low is None or value < self.low:  # type: ignore[operator]
                self.low = value
            if self.high is None or value > self.high:  # type: ignore[operator]
                self.high = value

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "column": self.name,
            "kind": self.kind,
            "target": self.target,
            "storage": {name: rows for name, rows in self.storage.items() if rows},
            "min": _plain(self.low),
            "max": _plain(self.high),
            "longest": self.longest,
            "shapes": dict(self.shapes),
            "troubles": dict(self.troubles),
            "orphans": self.orphans,
            "repeats": self.repeats,
        }


def _plain(bound: Bound) -> Bound:
    """JSON has no infinities."""
    infinite = isinstance(bound, float) and bound in (float("inf"), float("-inf"))
    return repr(bound) if infinite else bound


def empty_profiles(mapping: TableMapping) -> dict[str, ColumnProfile]:
    """Legacy column -> a profile that has seen nothing."""
    found = {c.legacy: ColumnProfile(c.legacy, c.kind.name, c.target) for c in mapping.columns}
    extra = {name: ColumnProfile(name, "undeclared", "legacy_extra") for name in mapping.extra}
    return found | extra


def add_common(
    connection: sqlite3.Connection, mapping: TableMapping, profiles: dict[str, ColumnProfile]
) -> None:
    """Count the common rows: all but those in the connection's temp table `ATTENTION`."""
    some = connection.execute(f"SELECT 1 FROM temp.{ATTENTION} LIMIT 1").fetchone()
    where = f" WHERE rowid NOT IN (SELECT number FROM temp.{ATTENTION})" if some else ""
    total = 0
    for start in range(0, len(mapping.columns) or 1, ABREAST):
        columns = mapping.columns[start : start + ABREAST]
        parts = ["count(*)", *(e for c in columns for e in _aggregates(c.kind, quoted(c.legacy)))]
        query = f"SELECT {', '.join(parts)} FROM {quoted(mapping.table)}{where}"
        total, *found = connection.execute(query).fetchone()
        for column in columns if total else ():
            filled, *three = found[:4]
            del found[:4]
            _note_common(profiles[column.legacy], column.kind, total, filled, three)
    for name in mapping.extra:
        profiles[name].storage["null"] += total


def _aggregates(kind: Kind, name: str) -> list[str]:
    """Four per column: how many are not NULL, and three that depend on the kind."""
    filled = f"count({name})"
    if kind.storage == "blob":
        return [filled, "0", "0", f"max(length({name}))"]
    if kind.storage != "text":
        # Whole decimal numbers are stored as integers.
        return [filled, f"min({name})", f"max({name})", f"sum(typeof({name}) = 'integer')"]
    if kind.shape in (Stamp.ISO, Stamp.DJANGO):
        return [filled, f"min({name})", f"max({name})", f"sum(length({name}) = 19)"]
    if kind.shape is Stamp.MIXED:
        return [filled, f"min({name})", f"max({name})", f"sum(substr({name}, 11, 1) = ' ')"]
    if kind.is_time:
        return [filled, f"min({name})", f"max({name})", "0"]
    return [filled, "0", "0", f"max(length({name}))"]


def _note_common(
    profile: ColumnProfile, kind: Kind, total: int, filled: int, found: Sequence[Any]
) -> None:
    profile.storage["null"] += total - filled
    if not filled:
        return
    first, second, third = found
    if kind.storage in ("integer", "real"):
        whole = int(third)
        profile.storage["integer"] += whole
        profile.storage["real"] += filled - whole
        profile.widen(first, second)
        return
    profile.storage[kind.storage] += filled
    if kind.is_time:
        profile.widen(first, second)
        profile.longest = max(profile.longest, len(first), len(second))
        for shape, rows in _shapes(kind, filled, int(third or 0)):
            if rows:
                profile.shapes[shape] += rows
    else:
        profile.longest = max(profile.longest, int(third or 0))


def _shapes(kind: Kind, filled: int, short: int) -> list[tuple[str, int]]:
    """The shapes the loader's predicate lets through, by what was counted."""
    if kind.shape is Stamp.DATE:
        return [(DATE_ONLY, filled)]
    if kind.shape is Stamp.SQL:
        return [(SQL_TIME, filled)]
    whole = ISO_TIME if kind.shape is Stamp.ISO else SQL_TIME
    fine = SQL_FRACTION if kind.shape is Stamp.DJANGO else ISO_FRACTION
    return [(whole, short), (fine, filled - short)]


def add_row(mapping: TableMapping, profiles: dict[str, ColumnProfile], row: RawRow) -> None:
    """Look at every cell of a row that needs attention."""
    meanings = {c.legacy: c.kind for c in mapping.columns}
    for name, (storage, value) in row.cells.items():
        profile = profiles[name]
        profile.storage[storage] += 1
        if storage != "null":
            _note_cell(profile, meanings.get(name), storage, value)
            profile.orphans += name in row.orphaned
    for name in mapping.key_columns.names:
        profiles[name].repeats += row.repeated


def _note_cell(profile: ColumnProfile, kind: Kind | None, storage: str, value: object) -> None:
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        profile.longest = max(profile.longest, len(value) if storage == "blob" else len(text))
        if storage == "text":
            profile.troubles.update(text_troubles(value))
            _note_text(profile, kind, text)
        return
    assert isinstance(value, int | float)
    if kind is not None and kind.is_time:
        profile.shapes[time_shape(value)] += 1
    elif not isinstance(profile.low, str):
        # A stray number does not bound a column of texts.
        profile.widen(value, value)


def _note_text(profile: ColumnProfile, kind: Kind | None, text: str) -> None:
    if kind is None:
        return
    if kind.is_document:
        profile.troubles.update(json_troubles(text))
    elif kind.is_time:
        shape = time_shape(text)
        profile.shapes[shape] += 1
        if shape != UNREADABLE and text.strip():
            profile.widen(text, text)
