"""What must have become of a legacy row, by docs/reference/values.md as the judge reads it.

Example: of a row with '7' in an INTEGER column, the target must hold 7, and a kept original the
text '7'. Of a row with 'seven' there, the quarantine must hold the row, as `not_a_number`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.verify.kinds import expect, json_documents
from stillme.transfer.verify.kinds.base import Expected, MustBeSetAside, Surroundings
from stillme.transfer.verify.kinds.huge_text import HugeText
from stillme.transfer.verify.kinds.local_clock import LocalClock
from stillme.transfer.verify.sides.legacy_rows import StoredRow

# Originals of times that are kept although the row counts as loaded.
_LOADED = ("clock_offset", "clock_guess")


@dataclass(frozen=True, slots=True)
class Fate:
    """What must become of a row: expected target values and kept cells, or a reason and the legacy
    column that gives it."""

    values: dict[str, Any]
    kept: dict[str, tuple[str, Raw, str]]
    repaired: bool
    reason: str = ""
    column: str = ""


class Oracle:
    """Says the fate of rows of one table, from the legacy row alone."""

    def __init__(self, mapping: TableMapping, clock: LocalClock, units: dict[str, str]) -> None:
        self._mapping, self._clock, self._units = mapping, clock, units
        found = {c: mapping.column(getattr(c.kind, "after", None) or "") for c in mapping.columns}
        # The column whose moment was never later, by the name of the one it belongs to.
        self._earlier = {c.legacy: other.legacy for c, other in found.items() if other}

    def fate(self, row: StoredRow) -> Fate:
        """What docs/reference/values.md says must become of the row."""
        values: dict[str, Any] = {}
        kept: dict[str, tuple[str, Raw, str]] = {}
        repaired = False
        if not self._mapping.key_columns:
            return Fate({}, {}, False, "no_key")
        if self._mapping.impossible:
            return Fate({}, {}, False, "missing_column", ", ".join(self._mapping.impossible))
        for column in self._mapping.columns:
            storage, raw = row.cells[column.legacy]
            around = self._around(column, row)
            try:
                cell = self._cell(column, row, storage, raw, around)
            except MustBeSetAside as why:
                return Fate({}, {}, False, why.reason, column.legacy)
            values[column.target] = cell.value
            if cell.kept and not isinstance(raw, HugeText):
                kept[column.legacy] = (storage, raw, cell.kept)
                repaired = repaired or cell.kept not in _LOADED
        for name, rule in self._mapping.derived:
            source = self._mapping.column(rule.column)
            unset = source is None or row.cells[source.legacy][0] == "null"
            values[name] = rule.otherwise if unset else rule.then
        values.update({column.target: column.default for column in self._mapping.unfilled})
        values.update({name: self._extra(row) for name in self._mapping.extra_columns})
        return Fate(values, kept, repaired)

    def _around(self, column: MappedColumn, row: StoredRow) -> Surroundings:
        earlier = self._earlier.get(column.legacy)
        start: Any = None if earlier is None else row.cells[earlier]
        return Surroundings(self._clock, row.minutes, self._units.get(column.legacy), start)

    def _cell(
        self,
        column: MappedColumn,
        row: StoredRow,
        storage: str,
        raw: Raw | HugeText,
        around: Surroundings,
    ) -> Expected:
        if isinstance(raw, HugeText):
            if raw.fault:
                raise MustBeSetAside(raw.fault)
            return Expected(raw)
        cell = expect(column.kind, column.required, storage, raw, around)
        is_key = column in self._mapping.key_columns.columns
        if is_key and cell.kept and not column.kind.is_free_text:
            raise MustBeSetAside("bad_key")
        if row.is_repeat and is_key:
            raise MustBeSetAside("duplicate_key")
        if column.legacy in row.lost_parents and storage != "null":
            raise MustBeSetAside("missing_parent")
        return cell

    def _extra(self, row: StoredRow) -> Any:
        members: dict[str, Any] = {}
        for name in self._mapping.extra:
            storage, raw = row.cells[name]
            if storage == "integer":
                members[name] = json_documents.number_tree(str(raw))
            elif storage == "real":
                members[name] = _wrapped("real", raw.hex())  # type: ignore[union-attr]
            elif storage == "blob":
                members[name] = _wrapped("blob", bytes(raw).hex())  # type: ignore[arg-type]
            elif storage == "text":
                members[name] = _extra_text(bytes(raw))  # type: ignore[arg-type]
        return ("object", members) if members else None


def _wrapped(name: str, text: str) -> Any:
    return ("object", {name: ("text", text)})


def _extra_text(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _wrapped("text", raw.hex())
    return _wrapped("text", raw.hex()) if "\x00" in text else ("text", text)
