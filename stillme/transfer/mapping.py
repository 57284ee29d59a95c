"""Where each column of a found legacy table goes: the declared mapping meets the real file.

A legacy column goes to the target column that its mapping names, else to the target column of
the same name (a file that somebody already moved half-way), else into `legacy_extra`. A target
without that column holds no undeclared one: it is *open* in the inventory until left. Pure
meaning: loader and judge both start from a `TableMapping` and convert by roads of their own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Value

from stillme.postgresql.names import Table
from stillme.transfer import kinds
from stillme.transfer.identity import TableId
from stillme.transfer.key_columns import KeyColumns
from stillme.transfer.kinds import Kind, Twin, WhenSet
from stillme.transfer.legacy import EXTRA_COLUMN as EXTRA_COLUMN
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.quoting import ABREAST
from stillme.transfer.project.fields import UnknownField, kind_of
from stillme.transfer.sqlite.schema.found import FoundSchema, FoundTable, folded

# Counts up whenever the treatment of some value changes: chunks of another policy are re-read.
POLICY_VERSION = 1


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A target column that the file has nothing for, and the constant that every imported row
    holds there: the declared default as text that the column's type reads, None for NULL. Of a
    double it is Python's shortest spelling, and `is_double`.
    """

    target: str
    default: str | None = None
    is_double: bool = False


@dataclass(frozen=True, slots=True)
class TableMapping:
    """One found legacy table onto its target.

    `columns` are in the order of the declaration, the key first where it was found. `extra` are
    undeclared legacy columns, `derived` target columns computed by rule, `nulls` target columns
    that the legacy never had and that must be NULL although their default is the current time.
    `unfilled` are all target columns that the file has nothing for, those among them; only where
    the declared default is neither a constant nor the current time, a column is not in it.
    `key_is_in_order` tells that a range of keys holds the same rows on both sides.
    `generated` are the legacy columns that SQLite computes: they are read and never written.
    `impossible` names required target columns for which the file has nothing.
    `extra_columns` is ``("legacy_extra",)``, or empty where the target has no such column; then
    `extra` is empty too, and undeclared legacy columns are `not_carried`.
    """

    file: str
    table: str
    declared_table: str
    schema: str
    target_table: str
    key_columns: KeyColumns
    columns: tuple[MappedColumn, ...]
    extra: tuple[str, ...]
    derived: tuple[tuple[str, WhenSet], ...]
    nulls: tuple[str, ...]
    impossible: tuple[str, ...]
    clock: Twin | None
    key_is_unique: bool
    key_is_in_order: bool
    key_is_rowid: bool
    has_rowid: bool
    generated: tuple[str, ...] = ()
    unfilled: tuple[Unfilled, ...] = ()
    not_carried: tuple[str, ...] = ()
    extra_columns: tuple[str, ...] = (EXTRA_COLUMN,)

    @property
    def identity(self) -> TableId:
        """The file and the declared table: what every record of the ledger names."""
        return TableId(self.file, self.declared_table)

    @property
    def target(self) -> str:
        """``schema.table``, for people."""
        return f"{self.schema}.{self.target_table}"

    @property
    def relation(self) -> str:
        """``"schema"."table"``, for SQL."""
        return f'"{self.schema}"."{self.target_table}"'

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The target columns an import writes, in the order of the cells."""
        names = [c.target for c in self.columns]
        names += [name for name, _ in self.derived]
        names += list(self.nulls)
        return tuple(names) + (self.extra_columns if self.extra else ())

    @property
    def digest(self) -> str:
        """Identifies this mapping and the policy it is loaded under."""
        parts = (POLICY_VERSION, self.target, self.columns, self.extra, self.derived, self.nulls)
        return hashlib.sha256(repr((parts, self.clock)).encode()).hexdigest()[:32]

    def column(self, legacy: str) -> MappedColumn | None:
        """The mapped column of that legacy name, or None."""
        return next((c for c in self.columns if folded(c.legacy) == folded(legacy)), None)

    def named_by(self, reference: MappedColumn) -> str | None:
        """The target column that a reference to this table names; None where the file has none."""
        if not self.key_columns.is_single:
            return None
        if not reference.names:
            return self.key_columns.targets[0]
        named = self.column(reference.names)
        return named.target if named else None

    @property
    def sql_tells_unusual(self) -> bool:
        """Whether SQL says what is unusual in a row; of other tables such rows go cell by cell.

        It names rows by rowid, and for each column it is longer than that of common rows.
        """
        few = len(self.columns) + len(self.extra) <= ABREAST
        return few and self.has_rowid and self.key_columns.is_single and not self.impossible

    @property
    def refers_to_itself(self) -> bool:
        """Whether a column names rows of this very table."""
        return any(parent == self.declared_table for _, parent in self.references())

    def references(self) -> list[tuple[MappedColumn, str]]:
        """(column, declared name of the parent table) of every reference."""
        return [(c, c.kind.parent) for c in self.columns if isinstance(c.kind, kinds.Reference)]


def split_table(db_table: str) -> tuple[str, str]:
    """``'"rss"."fetch_items"'`` -> ``("rss", "fetch_items")``; schema "public" if unqualified.

    A dot alone qualifies nothing: Django quotes ``fetch.items`` as one name.
    """
    table = Table.parse(db_table)
    return table.schema or "public", table.name


def map_table(model: type[LegacyModel], schema: FoundSchema) -> TableMapping | None:
    """The mapping of `model` onto the table found in the file; None where the table is missing."""
    table = schema.table(model._meta.db_table)
    if table is None:
        return None
    target = model.target_model()
    placed, undeclared = _place(model, table, target)
    keeps = model.keeps_extra()
    key_names = {column.target_name for column in model.columns() if column.is_key}
    of_pk = [str(field.column) for field in target._meta.pk_fields]
    keys = KeyColumns(
        tuple(
            sorted(
                (c for c in placed if c.target in key_names),
                key=lambda c: of_pk.index(c.target) if c.target in of_pk else len(of_pk),
            )
        )
    )
    columns = (*keys, *(c for c in placed if c.target not in key_names))
    taken = {c.target for c in columns}
    derived = tuple(
        (name, rule) for name, rule in model.legacy.derived.items() if name not in taken
    )
    left = _left_over(
        target, taken | {name for name, _ in derived} | ({EXTRA_COLUMN} if keeps else set())
    )
    schema_name, target_table = split_table(target._meta.db_table)
    clock = model.legacy.clock
    return TableMapping(
        file=model.legacy.file,
        table=table.name,
        declared_table=model._meta.db_table,
        schema=schema_name,
        target_table=target_table,
        key_columns=keys,
        columns=columns,
        extra=tuple(undeclared) if keeps else (),
        derived=derived,
        nulls=tuple(str(f.column) for f in left if f.null and isinstance(f, models.DateTimeField)),
        impossible=tuple(str(f.column) for f in left if _cannot_be_filled(f)),
        clock=clock if clock and table.column(clock.local) and table.column(clock.utc) else None,
        # A text key whose column also stores numbers may hold 5 and '5', which become one text.
        key_is_unique=table.is_unique(*keys.names) and _stores_text(table, keys),
        key_is_in_order=bool(keys) and _is_in_order(table, keys),
        key_is_rowid=bool(keys) and keys.names == (table.rowid_alias,),
        has_rowid=table.has_rowid,
        generated=tuple(c.name for c in table.columns if c.generated),
        unfilled=tuple(found for field in left if (found := _unfilled(field)) is not None),
        not_carried=() if keeps else tuple(undeclared),
        extra_columns=(EXTRA_COLUMN,) if keeps else (),
    )


def _is_in_order(table: FoundTable, keys: KeyColumns) -> bool:
    """Whether both sides order the keys alike.

    Of text keys only where the file compares bytes (not NOCASE, say), and holds no numbers, which
    come before every text in SQLite.
    """
    if not keys.holds_text:
        return True
    by_bytes = table.is_unique(*keys.names) and table.key_collation == "BINARY"
    return by_bytes and _stores_text(table, keys)


def _stores_text(table: FoundTable, keys: KeyColumns) -> bool:
    """Whether the file turns numbers into text in every key column whose target holds text."""
    found = [table.column(column.legacy) for column in keys if column.holds_text]
    return all(column is not None and column.stores_text for column in found)


def _place(
    model: type[LegacyModel], table: FoundTable, target: type[models.Model]
) -> tuple[list[MappedColumn], list[str]]:
    """Give every found column its target; declared names first, so that they win.

    A column that PostgreSQL computes by itself gets nothing.
    """
    fields = {f.column: f for f in target._meta.local_concrete_fields if not f.generated}
    placed: list[MappedColumn] = []
    taken: set[str] = set()
    found = {folded(c.name): c.name for c in table.columns}
    for declared in model.columns():
        name = found.pop(folded(str(declared.column)), None)
        if name is not None:
            field = fields[declared.target_name]
            placed.append(MappedColumn(name, str(field.column), declared.kind, not field.null))
            taken.add(str(field.column))
    extra: list[str] = []
    computed = {folded(str(f.column)) for f in target._meta.local_concrete_fields if f.generated}
    for lowered, name in found.items():
        if lowered in computed:
            continue
        same = fields.get(lowered)
        if same is None or lowered in taken or lowered == EXTRA_COLUMN:
            extra.append(name)
            continue
        kind = _kind_of_target(model, lowered, same)
        placed.append(MappedColumn(name, lowered, kind, not same.null))
        taken.add(lowered)
    return placed, extra


def _kind_of_target(model: type[LegacyModel], name: str, field: models.Field) -> Kind:  # type: ignore[type-arg]
    """The meaning of a legacy column that already bears the target's name."""
    for column in model.columns():
        if column.target_name == name:
            return column.kind
    if isinstance(field, models.DateTimeField):
        return kinds.Timestamp(kinds.Stamp.MIXED)
    try:
        return kind_of(field)
    except UnknownField:
        return kinds.Text()


def _left_over(target: type[models.Model], taken: set[str]) -> list[models.Field]:  # type: ignore[type-arg]
    fields = target._meta.local_concrete_fields
    return [f for f in fields if f.column not in taken and not f.generated]


def _unfilled(field: models.Field) -> Unfilled | None:  # type: ignore[type-arg]
    """What imported rows hold in a left-over column; None where that is no constant."""
    name = str(field.column)
    if not field.has_db_default() or (field.null and isinstance(field, models.DateTimeField)):
        return Unfilled(name)
    default = field.db_default
    value: Any = default.value if isinstance(default, Value) else default
    if hasattr(value, "resolve_expression"):
        return None
    if isinstance(field, models.JSONField):
        return Unfilled(name, json.dumps(value))
    if isinstance(field, models.FloatField):
        return Unfilled(name, repr(float(value)), is_double=True)
    return Unfilled(name, None if value is None else str(value))


def _cannot_be_filled(field: models.Field) -> bool:  # type: ignore[type-arg]
    """A required column whose value would have to be invented: no default, or the time "now"."""
    has_default = field.has_db_default() and not isinstance(field, models.DateTimeField)
    return not field.null and not has_default
