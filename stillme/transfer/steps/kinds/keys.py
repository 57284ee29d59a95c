"""Keys and references: 64-bit integers, handed over as they are and never repaired.

A key that is stored as anything else ('7', 7.0) could be another row's key once converted, so its
row is quarantined as ``bad_key``. A reference to a text key must be text for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.other_rows import has_parent
from stillme.transfer.steps.kinds.base import (
    Cell,
    Fault,
    KindLoader,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
)

OTHER_SPELLING = "A key in another spelling could be another row's key once converted."


class KeyLoader(KindLoader[kinds.Key]):
    """A 64-bit integer. `common_rows` asks whether it is the first of its number."""

    decides_blobs = True
    compared = "{}"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """Nothing for a rowid alias: it is an integer by construction."""
        if table.mapping.key_is_rowid and column in table.mapping.key_columns.columns:
            return ""
        return f"typeof({quoted(column.legacy)}) = 'integer'"

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """An integer stays, anything else is refused."""
        if storage != "integer":
            raise Refused("bad_key", f"A key must be an integer, stored is {storage}.")
        return Cell(str(raw))


class ReferenceLoader(KindLoader[kinds.Reference]):
    """A value of the kind of the parent's key, and a parent that was not set aside."""

    decides_blobs = True
    compared = "{}"

    @property
    def _key(self) -> KindLoader[Any]:
        from stillme.transfer.steps.kinds import loader_of

        return loader_of(self.kind.key)

    @property
    def functions(self) -> Mapping[str, Callable[[Any], Any]]:  # type: ignore[override]
        """As a key's."""
        return self._key.functions

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """The key of a loaded row of the parent table, stored as a key is."""
        name = f"{quoted(table.mapping.table)}.{quoted(column.legacy)}"
        parent = table.parents[self.kind.parent]
        tests = [self._key.common_test(column, table), has_parent(name, parent, self.kind.column)]
        whole = " AND ".join(test for test in tests if test)
        return whole if column.required else f"({name} IS NULL OR ({whole}))"

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """As a key's."""
        return self._key.cell(column, table)

    def faults(self, column: MappedColumn, table: Table) -> tuple[Fault, ...]:
        """A key without such a parent."""
        name = f"{quoted(table.mapping.table)}.{quoted(column.legacy)}"
        parent = table.parents[self.kind.parent]
        lost = f"NOT {has_parent(name, parent, self.kind.column)}"
        tests = (self._key.common_test(column, table), self._key.strict_test(name), lost)
        return (
            Fault(
                "missing_parent",
                " AND ".join(f"({test})" for test in tests if test),
                f"{self.kind.parent} has no loaded row {{}}.",
                lambda raw: decode(raw) if isinstance(raw, bytes) else raw,
            ),
        )

    def sound_test(self, name: str) -> str:
        """As a key's."""
        return self._key.sound_test(name)

    def strict_test(self, name: str) -> str:
        """As a key's."""
        return self._key.strict_test(name)

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """As a key's, which must be stored as its kind is and is never repaired."""
        if storage != self.kind.storage:
            raise Refused(
                "bad_key", f"A key here is stored as {self.kind.storage}, this one as {storage}."
            )
        cell = self._key.convert(storage, raw, row)
        if cell.reason:
            raise Refused("bad_key", OTHER_SPELLING)
        return cell

    def read_target(self, name: str) -> str:
        """As a key's."""
        return self._key.read_target(name)

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """As a key's."""
        return self._key.spell_back(value, clock, required=required, explicit=explicit)
