"""The judge's reading of keys, and of references to keys of any kind.

A key of the kind `Key` is a 64-bit integer and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    Expected,
    Fault,
    KindJudge,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    or_null,
)
from stillme.transfer.verify.kinds.local_clock import LocalClock


class KeyJudge(KindJudge[kinds.Key]):
    """A key."""

    decides_blobs = True

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The stored integer."""
        if storage != "integer":
            raise MustBeSetAside("bad_key")
        return Expected(raw)

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A key is never NULL, whatever the declaration says."""
        return f"typeof({quoted(column.legacy)}) = 'integer'"


class ReferenceJudge(KindJudge[kinds.Reference]):
    """A value of the kind of the parent's key, whose parent must be there."""

    decides_blobs = True

    @property
    def _key(self) -> KindJudge[Any]:
        from stillme.transfer.verify.kinds import judge_of

        return judge_of(self.kind.key)

    @property
    def functions(self) -> Mapping[str, Callable[[Any], Any]]:  # type: ignore[override]
        """As a key's."""
        return self._key.functions

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """What the parent's key is read as; it must be stored as one."""
        if storage != self.kind.key.storage:
            raise MustBeSetAside("bad_key")
        expected = self._key.expect(storage, raw, around)
        if expected.kept:
            raise MustBeSetAside("bad_key")
        return expected

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """Stored as a key, with a parent."""
        name = quoted(column.legacy)
        test = table.parents[self.kind.parent, self.kind.column]
        has_parent = test.format(f"{quoted(table.mapping.table)}.{name}")
        return or_null(column, f"({self._key.plain_test(column, table)}) AND {has_parent}")

    def faults(self, column: MappedColumn, table: Table) -> tuple[Fault, ...]:
        """A key as it should be, that no parent has."""
        name = f"{quoted(table.mapping.table)}.{quoted(column.legacy)}"
        lost = f"NOT ({table.parents[self.kind.parent, self.kind.column].format(name)})"
        usual = self._key.is_usual(replace(column, kind=self.kind.key), table)
        return (Fault("missing_parent", f"{name} IS NOT NULL AND ({usual}) AND {lost}"),)

    def surely_plain(self, name: str) -> str:
        """As a key's."""
        return self._key.surely_plain(name)

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """As a key's."""
        return self._key.legacy_piece(column, table)

    def target_piece(self, name: str) -> str:
        """As a key's."""
        return self._key.target_piece(name)

    def compared(self, name: str) -> str:
        """As a key's."""
        return self._key.compared(name)

    def read(self, found: Any) -> Any:
        """As a key's."""
        return self._key.read(found)

    def is_same(self, found: Any, wanted: Any) -> bool:
        """As a key's."""
        return self._key.is_same(found, wanted)

    def show(self, value: Any) -> str | None:
        """As a key's."""
        return self._key.show(value)

    def parameter(self, value: Any) -> Any:
        """As a key's."""
        return self._key.parameter(value)

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """As a key's."""
        return self._key.rebuilt(value, clock)
