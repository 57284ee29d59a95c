"""What the whole of a file decides about its rows: clock, units of numbers, shapes of the tables.

A row means what it did before as long as these do. The clock is decided by an import and stays
until the next one; when units or shapes change, rows that nobody wrote to mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import Run, RunFile
from stillme.transfer.sqlite.clock.file_clock import Clock

Units = dict[str, dict[str, str]]
Signature = dict[str, object]
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
    assert isinstance(units, dict)
    assert isinstance(shapes, dict)
    return Change(_numbers(units, now, mappings), _whole(shapes, now))


def change_between(
    before: Decisions, now: Decisions, mappings: Mapping[str, TableMapping]
) -> Change:
    """What has changed since the file was decided so."""
    return Change(_numbers(before.units, now, mappings), _whole(before.shapes, now))


def _numbers(
    before: Units, now: Decisions, mappings: Mapping[str, TableMapping]
) -> dict[str, list[str]]:
    numbers = {}
    for table, mapping in mappings.items():
        was, is_now = before.get(table, {}), now.units[table]
        names = [c.legacy for c in mapping.columns if was.get(c.legacy) != is_now.get(c.legacy)]
        if names:
            numbers[table] = names
    return numbers


def _whole(before: Mapping[str, str], now: Decisions) -> frozenset[str]:
    """A table that is new is none of them: it has to be captured and loaded."""
    return frozenset(t for t, shape in now.shapes.items() if before.get(t, shape) != shape)
