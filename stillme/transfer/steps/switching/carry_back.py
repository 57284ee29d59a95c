"""Carrying target rows back into a legacy file, inside one transaction of that file.

Only what differs is written: `2025-01-01 10:00:00` stays as it is if the target holds that instant.
What was written is read back through the loader and compared. What the file cannot hold (NaN, a
fraction of a second) is returned, to be kept in `transfer.carried_cell`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connections, models, transaction
from django.db.models import Value

from stillme.postgresql.statements import set_local
from stillme.transfer.keys import Key
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.postgresql.copy import STAGE, fetch_all, quoted
from stillme.transfer.registry import legacy_model
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.base import Rendered, Stored
from stillme.transfer.steps.merging.staging import begin_stage, cells_differ, stage_keys
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.switching.legacy_rows import (
    UNREADABLE,
    Carried,
    LegacyRows,
    Lost,
    extra_cells,
)

AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class _TargetRow:
    key: Key
    in_stage: bool
    differs: tuple[bool, ...]
    extra_differs: bool
    values: tuple[Any, ...]
    others: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The key as it is recorded."""
        return self.key.spelled() or ""


def carry_table(
    alias: str, source: TableSource, writable: sqlite3.Connection, keys: Sequence[Key]
) -> Carried:
    """Bring the legacy rows of `keys` to the target's state, in the caller's transactions.

    `source` must read through `writable`, so that it sees what has been written.
    """
    mapping = source.job.mapping
    carried = Carried(*mapping.identity, mapping.key_columns.held(keys))
    writer = LegacyRows(writable, mapping)
    for batch in _batches(carried):
        rows, legacy = _target_rows(alias, source, batch)
        _write_rows(source, writer, rows, legacy, carried, explicit=False)
        present = {row.key for row in rows}
        carried.deleted += writer.delete([k for k in batch if k not in present and k in legacy])
    writer.write_held()
    writer.raise_sequence(carried.keys)
    return carried


def read_back(
    alias: str, source: TableSource, writable: sqlite3.Connection, carried: Carried
) -> None:
    """Compare what `carry_table` wrote with the target.

    When all tables of the file are written: a row may have come before its parent.
    """
    writer = LegacyRows(writable, source.job.mapping)
    for batch in _batches(carried):
        if source.job.mapping.generated:
            _note_computed(alias, source, batch, carried)
        _write_misread(alias, source, writer, batch, carried)


def _batches(carried: Carried) -> Iterator[Sequence[Key]]:
    for start in range(0, len(carried.keys), AT_ONCE):
        yield carried.keys[start : start + AT_ONCE]


def _note_computed(alias: str, source: TableSource, keys: Sequence[Key], carried: Carried) -> None:
    """Note generated columns for which SQLite computes another value than the target holds.

    Nobody can write to such a column.
    """
    mapping = source.job.mapping
    for row in _misread(alias, source, keys, carried.lost):
        for column, value, differs in zip(mapping.columns, row.values, row.differs, strict=True):
            if differs and column.legacy in mapping.generated:
                carried.lost.append(
                    Lost(carried.table, row.name, column.target, str(value), "computed")
                )


def _write_misread(
    alias: str,
    source: TableSource,
    writer: LegacyRows,
    keys: Sequence[Key],
    carried: Carried,
) -> None:
    """Read back what was written; write a time that reads as another instant with its offset."""
    if misread := _misread(alias, source, keys, carried.lost):
        present = {row.key for row in misread}
        again = Carried(carried.file, carried.table)
        _write_rows(source, writer, misread, present, again, explicit=True)
        writer.write_held()
        carried.unequal += [row.name for row in _misread(alias, source, keys, carried.lost)]


def _misread(
    alias: str, source: TableSource, keys: Sequence[Key], known: Sequence[Lost]
) -> list[_TargetRow]:
    """Target rows whose legacy row, read back, differs beyond what is known to be lost."""
    mapping = source.job.mapping
    lost = {(item.key, item.column) for item in known}
    unreadable = {item.key for item in known if item.reason in UNREADABLE}
    found = []
    for row in _target_rows(alias, source, keys)[0]:
        differs = tuple(
            differs and (row.name, column.target) not in lost
            for column, differs in zip(mapping.columns, row.differs, strict=True)
        )
        if not row.in_stage and row.name in unreadable:
            continue
        if any(differs) or not row.in_stage:
            found.append(replace(row, differs=differs))
    return found


def _target_rows(
    alias: str, source: TableSource, keys: Sequence[Key]
) -> tuple[list[_TargetRow], set[Key]]:
    """The target rows of keys, with which mapped columns differ from the legacy rows.

    Also the keys that the legacy has.
    """
    mapping = source.job.mapping
    key = mapping.key_columns
    among, among_values = key.target_among(keys, "t")
    columns = [(c.kind, quoted(c.target)) for c in mapping.columns]
    compared = [c.target for c in mapping.columns]
    compared += mapping.extra_columns if mapping.extra else ()
    differs = [cells_differ(mapping, name) for name in compared]
    values = [loader_of(kind).read_target(f"t.{n}") for kind, n in columns]
    others = [f"t.{quoted(str(f.column))}::text" for f in other_fields(mapping)]
    with transaction.atomic(using=alias):
        # All digits, whatever the role's default is.
        set_local(connections[alias], {"extra_float_digits": 1})
        writer, merged = begin_stage(alias, mapping)
        legacy = stage_keys(writer, source, keys, merged)
        rows = fetch_all(
            alias,
            f"SELECT {key.target('t')}, NOT {key.target_null('s')}, "
            f"{', '.join([*differs, *values, *others])} FROM {mapping.relation} AS t "
            f"LEFT JOIN {STAGE} AS s ON {key.target_same('s', 't')} WHERE {among}",
            among_values,
        )
    return [_target_row(row, mapping) for row in rows], legacy


def _target_row(row: tuple[Any, ...], mapping: TableMapping) -> _TargetRow:
    columns, has_extra = len(mapping.columns), bool(mapping.extra)
    parts = len(mapping.key_columns.columns)
    key, in_stage, row = Key.of(*row[:parts]), row[parts], row[parts + 1 :]
    differs, rest = row[: columns + has_extra], row[columns + has_extra :]
    extra_differs = has_extra and differs[-1]
    values, others = rest[:columns], rest[columns:]
    return _TargetRow(key, in_stage, tuple(differs[:columns]), extra_differs, values, others)


def other_fields(mapping: TableMapping) -> list[models.Field[Any, Any]]:
    """The target's fields that no legacy column of this file feeds."""
    target = legacy_model(*mapping.identity).target_model()
    fed = {c.target for c in mapping.columns}
    return [
        f for f in target._meta.local_concrete_fields if f.column not in fed and not f.generated
    ]


def _write_rows(
    source: TableSource,
    writer: LegacyRows,
    rows: Sequence[_TargetRow],
    legacy: Collection[Key],
    carried: Carried,
    *,
    explicit: bool,
) -> None:
    mapping = source.job.mapping
    fields = other_fields(mapping)
    written = [name for name in mapping.extra if name not in mapping.generated]
    columns = source.job.snapshot.schema.tables[mapping.table].columns
    required = {column.name for column in columns if column.not_null}
    for row in rows:
        is_new = row.key not in legacy
        wanted = [
            (column, value)
            for column, value, differs in zip(mapping.columns, row.values, row.differs, strict=True)
            if (is_new or differs or not row.in_stage) and column.legacy not in mapping.generated
        ]
        cells: dict[str, Stored] = {}
        for column, value in wanted:
            made = Rendered(None)
            if value is not None:
                made = loader_of(column.kind).spell_back(
                    value, source.job.clock, required=column.required, explicit=explicit
                )
            cells[column.legacy] = made.value
            if made.lost:
                carried.lost.append(
                    Lost(carried.table, row.name, column.target, str(value), made.lost)
                )
        document, lost = _others(mapping, fields, row)
        carried.lost += lost
        if mapping.extra and (is_new or row.extra_differs or not row.in_stage):
            found = extra_cells(document, written)
            # A row that PostgreSQL made names no undeclared column: one that may not be NULL gets
            # the file's default, or stays as it is.
            cells.update({n: v for n, v in found.items() if v is not None or n not in required})
        _write_one(writer, row, is_new, cells, carried)


def _write_one(
    writer: LegacyRows,
    row: _TargetRow,
    is_new: bool,
    cells: dict[str, Stored],
    carried: Carried,
) -> None:
    if is_new:
        writer.insert(row.key, cells)
        carried.inserted += 1
    elif cells:
        writer.update(row.key, cells)
        carried.updated += 1
    else:
        carried.unchanged += 1
    carried.cells += len(cells)


def _others(
    mapping: TableMapping, fields: Sequence[models.Field[Any, Any]], row: _TargetRow
) -> tuple[str | None, list[Lost]]:
    """(`legacy_extra`, values of columns the legacy has not that are not what an import gives)."""
    document: str | None = None
    lost = []
    derived = dict(mapping.derived)
    by_legacy = {c.legacy.lower(): v for c, v in zip(mapping.columns, row.values, strict=True)}
    for target_field, value in zip(fields, row.others, strict=True):
        name = str(target_field.column)
        if name == EXTRA_COLUMN and mapping.extra:
            document = value
            continue
        if name in derived:
            rule = derived[name]
            given = by_legacy.get(rule.column.lower()) is not None
            expected: str | None = rule.then if given else rule.otherwise
        else:
            expected = _default_text(target_field)
        if value is not None and value != expected:
            lost.append(Lost(mapping.declared_table, row.name, name, value, "no_legacy_column"))
    return document, lost


def _default_text(target_field: models.Field[Any, Any]) -> str | None:
    """PostgreSQL's text of a constant default; None where there is none (or it is "now")."""
    default = target_field.db_default if target_field.has_db_default() else None
    if not isinstance(default, Value):
        default = Value(default) if isinstance(default, str | int | float) else None
    if default is None:
        return None
    return str(default.value) if not isinstance(default.value, dict) else "{}"
