"""A row that needs attention, cell by cell: loaded, repaired or quarantined."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.stored_cells import Raw, cell_bytes
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.kinds import convert
from stillme.transfer.steps.kinds.base import Cell, Refused, RowContext
from stillme.transfer.steps.kinds.keys import OTHER_SPELLING
from stillme.transfer.steps.rows.load_huge import TargetCell, check_text


def keys_not_taken(mapping: TableMapping) -> tuple[str, ...]:
    """The reasons for which a row that is set aside does not occupy its key.

    Another row may be loaded under it. Without rowids no row is the first of its key: then all are
    set aside, and none is loaded.
    """
    return ("bad_key", "duplicate_key") if mapping.has_rowid else ("bad_key",)


def key_as_text(mapping: TableMapping, row: RawRow) -> str | None:
    """The row's key as the ledger writes it."""
    keys = mapping.key_columns
    return keys.of_cells(row.cells).spelled() if keys else None


@dataclass(frozen=True, slots=True)
class Kept:
    """The original of one cell, to be kept next to the loaded row."""

    column: str
    storage: str
    value: bytes | None
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """A row for the target: its key as text, its cells in PostgreSQL's input format.

    A huge text or document is a HugeCell there; such a row is written by `load_huge`.
    """

    key: str
    cells: tuple[TargetCell, ...]
    kept: tuple[Kept, ...]
    repaired: bool
    raw: RawRow


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row for the quarantine."""

    key: str | None
    raw: RawRow
    reason: str
    column: str
    sentence: str


class CarefulLoader:
    """Converts raw rows of one table."""

    def __init__(self, mapping: TableMapping, clock: Clock, epoch_units: dict[str, str]) -> None:
        self._mapping = mapping
        self._clock = clock
        self._units = epoch_units
        # Asked once, because there are millions of cells.
        keys = mapping.key_columns.columns
        self._keys = {column.legacy for column in mapping.columns if column in keys}
        found = {c: mapping.column(getattr(c.kind, "after", None) or "") for c in mapping.columns}
        self._earlier = {c.legacy: other.legacy for c, other in found.items() if other}
        self._contexts: dict[tuple[int | None, str | None], RowContext] = {}

    def convert(self, row: RawRow) -> LoadedRow | SetAside:
        """The outcome of one row, by docs/reference/values.md."""
        key = key_as_text(self._mapping, row)
        if not self._mapping.key_columns:
            return SetAside(None, row, "no_key", "", "The table has no key column.")
        if self._mapping.impossible:
            names = ", ".join(self._mapping.impossible)
            return SetAside(
                key, row, "missing_column", names, f"The file has no column for {names}."
            )
        cells: list[TargetCell] = []
        kept: list[Kept] = []
        repaired = False
        for column in self._mapping.columns:
            try:
                value, original, is_repaired = self._converted(column, row)
            except Refused as refused:
                return SetAside(key, row, refused.reason, column.legacy, refused.sentence)
            cells.append(value)
            if original is not None:
                kept.append(original)
            repaired = repaired or is_repaired
        cells += self._derived(row)
        cells += [None] * len(self._mapping.nulls)
        if self._mapping.extra:
            cells.append(self._extra(row))
        assert key is not None
        return LoadedRow(key, tuple(cells), tuple(kept), repaired, row)

    def _converted(self, column: MappedColumn, row: RawRow) -> tuple[TargetCell, Kept | None, bool]:
        """What the target gets, the original to be kept, and whether that makes the row repaired.

        A huge value that needs no repair is given as the HugeCell: it is copied from the file
        when the row is written, so that only one huge value at a time is in memory.
        """
        storage, raw = row.cells[column.legacy]
        huge = row.huge.get(column.legacy)
        if huge is not None:
            if column.kind.may_be_huge:
                check_text(huge)
                return huge, None, False
            raw = huge.read()
        cell = self._cell(column, row, storage, raw)
        if not cell.reason:
            return huge or cell.text, None, False
        original = Kept(column.legacy, storage, cell_bytes(storage, raw), cell.reason)
        return cell.text, original, cell.repaired

    def _cell(self, column: MappedColumn, row: RawRow, storage: str, raw: Raw) -> Cell:
        context = self._context(column.legacy, row)
        cell = convert(column.kind, column.required, storage, raw, context)
        is_key = column.legacy in self._keys
        if is_key and cell.reason and not column.kind.is_free_text:
            raise Refused("bad_key", OTHER_SPELLING)
        if row.repeated and is_key:
            raise Refused("duplicate_key", f"An earlier row has the key {cell.text}.")
        if column.legacy in row.orphaned and storage != "null":
            parent = getattr(column.kind, "parent", "the parent table")
            raise Refused("missing_parent", f"{parent} has no loaded row {cell.text}.")
        return cell

    def _context(self, name: str, row: RawRow) -> RowContext:
        unit, earlier = self._units.get(name), self._earlier.get(name)
        if earlier is not None:
            return RowContext(self._clock, row.row_offset, unit, row.cells[earlier])
        known = self._contexts.get((row.row_offset, unit))
        if known is None:
            known = RowContext(self._clock, row.row_offset, unit)
            self._contexts[row.row_offset, unit] = known
        return known

    def _derived(self, row: RawRow) -> list[str]:
        values = []
        for _, rule in self._mapping.derived:
            column = self._mapping.column(rule.column)
            is_set = column is not None and row.cells[column.legacy][0] != "null"
            values.append(rule.then if is_set else rule.otherwise)
        return values

    def _extra(self, row: RawRow) -> str | None:
        found = {
            name: _extra_value(*row.cells[name])
            for name in self._mapping.extra
            if row.cells[name][0] != "null"
        }
        return json.dumps(found, ensure_ascii=False) if found else None


def _extra_value(storage: str, raw: Raw) -> object:
    if isinstance(raw, float):
        return {"real": raw.hex()}
    if not isinstance(raw, bytes):
        return raw
    if storage == "blob":
        return {"blob": raw.hex()}
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"text": raw.hex()}
    return {"text": raw.hex()} if "\0" in text else text
