"""What the whole of a file decides about its rows: clock, units of numbers, shapes of the tables.

A row means what it did before as long as these do. The clock is decided by an import and stays
until the next one; when units or shapes change, rows that nobody wrote to mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import Run, RunFile
from stillme.transfer.sqlite.clock.epochs import has_unit
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.stored_rows import RawRow

Units = dict[str, dict[str, str]]
Signature = dict[str, Any]
# A legacy row: its table as declared, and its key.
Row = tuple[str, Key]


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions for one file, `units` and `shapes` (mapping digests) by declared table.

    `number_ends` are rows with the least or greatest number of a time column: without them
    something else might be decided.
    """

    clock: Clock = field(default_factory=Clock)
    units: Units = field(default_factory=dict)
    shapes: dict[str, str] = field(default_factory=dict)
    number_ends: frozenset[Row] = frozenset()

    def means_the_same(self, other: Decisions) -> bool:
        """Whether every row means the same under both."""
        return (self.units, self.shapes) == (other.units, other.shapes)

    def signature(self) -> Signature:
        """Plain data for the ledger."""
        return {
            "units": {table: found for table, found in self.units.items() if found},
            "shapes": dict(self.shapes),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """Which rows may mean something else than before.

    Those with numbers in the columns `numbers`, by declared table; all rows of the tables `whole`.
    """

    numbers: dict[str, list[str]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.numbers or self.whole)

    def sentence(self) -> str:
        """What has changed."""
        if self.numbers:
            return "the unit of numbers has changed"
        return f"the columns of {', '.join(sorted(self.whole))} have changed"


def loaded_signature(alias: str, file: str) -> Signature | None:
    """The signature that the last import of the file was made under, as far as it is known."""
    row = (
        RunFile.objects.using(alias)
        .filter(file=file, run__command="import_sqlite", run__status=Run.Status.COMPLETED)
        .order_by("-run_id")
        .first()
    )
    return None if row is None else {"schema": row.schema_digest}


def change_since(
    judged: Signature, now: Decisions, mappings: Mapping[str, TableMapping], schema: str
) -> Change:
    """What has changed since the decisions of that signature; `schema` is the file's digest."""
    shapes = judged.get("shapes", now.shapes)
    if "shapes" not in judged and judged.get("schema", schema) != schema:
        shapes = dict.fromkeys(now.shapes, "")
    units = judged.get("units", now.units)
    numbers = {}
    for table, mapping in mappings.items():
        was, is_now = units.get(table, {}), now.units[table]
        names = [c.legacy for c in mapping.columns if was.get(c.legacy) != is_now.get(c.legacy)]
        if names:
            numbers[table] = names
    # A new table does not count: it has to be captured and loaded first.
    whole = frozenset(t for t, shape in now.shapes.items() if shapes.get(t, shape) != shape)
    return Change(numbers, whole)


def may_change(
    decisions: Decisions,
    mappings: Mapping[str, TableMapping],
    keys: Mapping[str, Sequence[Key]],
    rows: Mapping[str, Sequence[RawRow]],
) -> bool:
    """Whether the file may decide otherwise with these changed keys, and rows as they are now.

    To decide means to read whole tables; most rounds leave every decision as it is, and that shows
    in their own rows. A column with 1700000000 holds seconds; a row with 5 in the same column takes
    its unit away, and with it the meaning of the other number.
    """
    return any(
        any((table, key) in decisions.number_ends for key in keys[table])
        or any(_moves_units(row, decisions, mappings[table]) for row in rows.get(table, ()))
        for table in mappings.keys() & keys.keys()
    )


def _moves_units(row: RawRow, decisions: Decisions, mapping: TableMapping) -> bool:
    units = decisions.units[mapping.declared_table]
    for column in mapping.columns:
        if column.kind.is_time:
            _, raw = row.cells[column.legacy]
            if isinstance(raw, int | float) and not has_unit(units.get(column.legacy), raw):
                return True
    return False
