"""Keys and references: 64-bit integers, handed over as they are and never repaired.

A key that is stored as anything else ('7', 7.0) could be another row's key once converted, so its
row is quarantined as ``bad_key``.
"""

from __future__ import annotations

from stillme.transfer import kinds
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.other_rows import has_parent, no_earlier
from stillme.transfer.steps.kinds.base import Cell, K, KindLoader, Refused, RowContext, Table


class _WholeKeyLoader(KindLoader[K]):
    decides_blobs = True
    compared = "{}"

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """An integer stays, anything else is refused."""
        if storage != "integer":
            raise Refused("bad_key", f"A key must be an integer, stored is {storage}.")
        return Cell(str(raw))


class KeyLoader(_WholeKeyLoader[kinds.Key]):
    """A key must also be the first of its number."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """Nothing for a rowid alias: it is an integer and unique by construction."""
        mapping = table.mapping
        if mapping.key_is_unique and mapping.key_is_rowid:
            return ""
        unique = "" if mapping.key_is_unique else f" AND {no_earlier(mapping)}"
        return f"typeof({quoted(column.legacy)}) = 'integer'{unique}"


class ReferenceLoader(_WholeKeyLoader[kinds.Reference]):
    """A reference needs a parent that was not set aside."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """An integer that is the key of a loaded row of the parent table."""
        name = f"{quoted(table.mapping.table)}.{quoted(column.legacy)}"
        parent = table.parents[self.kind.parent]
        whole = f"typeof({name}) = 'integer' AND {has_parent(name, parent)}"
        return whole if column.required else f"({name} IS NULL OR ({whole}))"
