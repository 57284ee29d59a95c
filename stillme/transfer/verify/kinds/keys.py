"""The judge's reading of keys and references: 64-bit integers and nothing else."""

from __future__ import annotations

from stillme.transfer import kinds
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    Expected,
    K,
    KindJudge,
    MustBeSetAside,
    Surroundings,
    Table,
    or_null,
)


class _WholeKeyJudge(KindJudge[K]):
    decides_blobs = True

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The stored integer."""
        if storage != "integer":
            raise MustBeSetAside("bad_key")
        return Expected(raw)


class KeyJudge(_WholeKeyJudge[kinds.Key]):
    """A key."""

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A key is never NULL, whatever the declaration says."""
        return f"typeof({quoted(column.legacy)}) = 'integer'"


class ReferenceJudge(_WholeKeyJudge[kinds.Reference]):
    """A reference, whose parent must be there."""

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """An integer with a parent."""
        name = quoted(column.legacy)
        has_parent = table.parents[self.kind.parent].format(f"{quoted(table.mapping.table)}.{name}")
        return or_null(column, f"typeof({name}) = 'integer' AND {has_parent}")
