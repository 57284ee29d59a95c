"""Drift: where the schema found in a legacy file is not the one that was declared."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.project.files import is_built
from stillme.transfer.project.models import decision_about
from stillme.transfer.sqlite.capture.templates import CHANGE_TABLE, FREEZE_PREFIX, PREFIX
from stillme.transfer.sqlite.schema.found import FoundColumn, FoundSchema, FoundTable, folded

_DEFAULT = re.compile(r"\bDEFAULT\s+(.+?)\s*(?:CHECK\b.*)?\Z", re.IGNORECASE | re.DOTALL)
_VAIN = "nothing is stored of it, and it cannot be computed here: it is not loaded"
_FOREIGN = "its rows are read without; nothing but its own program can write to it: not followed"
_CONSTRAINT = re.compile(r"\b(?:PRIMARY|NOT|UNIQUE|CHECK|DEFAULT|REFERENCES|COLLATE)\b", re.I)


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference. `what` is its word (``extra column``), `name` the object it is about."""

    file: str
    table: str
    what: str
    name: str
    declared: str = ""
    found: str = ""
    effect: str = ""

    def sentence(self) -> str:
        """One line for a terminal."""
        where = f"{self.table}.{self.name}" if self.table and self.name else self.table or self.name
        sides = [f"declared {self.declared}"] if self.declared else []
        sides += [f"found {self.found}"] if self.found else []
        text = f"{self.what}: {where}" + (f" ({', '.join(sides)})" if sides else "")
        return f"{text}: {self.effect}" if self.effect else text


def find_drift(file: str, models: Sequence[type[LegacyModel]], schema: FoundSchema) -> list[Drift]:
    """Every difference between the declared tables of one file and what it holds."""
    found: list[Drift] = []
    for model in models:
        name = model._meta.db_table
        table = schema.table(name)
        if table is None:
            effect = "nothing to import for its target"
            found.append(Drift(file, name, "missing table", "", effect=effect))
            continue
        found += _columns(file, model, table)
        if not is_built(file):
            # Django's migrations make the same ones on both sides.
            found += _indexes(file, model, table)
    found += _others(file, {folded(m._meta.db_table) for m in models}, schema)
    return found


def _columns(file: str, model: type[LegacyModel], table: FoundTable) -> Iterator[Drift]:
    declared = {folded(str(c.column)): c for c in model.columns()}
    targets = {c.column for c in model.target_model()._meta.local_concrete_fields}
    # A target may do without the column that keeps what nobody declared.
    lost = "goes to legacy_extra" if model.keeps_extra() else "is not carried"
    for column in model.columns():
        found = table.column(str(column.column))
        if found is None:
            yield Drift(
                file, table.name, "missing column", str(column.column), column.declared,
                effect="its target takes the column's default, a time stays NULL",
            )  # fmt: skip
        else:
            yield from _differences(file, table, column, found)
    for found in table.columns:
        if folded(found.name) not in declared:
            same = folded(found.name) in targets
            effect = "goes to the target column of its name" if same else lost
            yield Drift(
                file, table.name, "extra column", found.name, "", _declaration(found), effect
            )
    yield from _table_facts(file, model, table)


def _table_facts(file: str, model: type[LegacyModel], table: FoundTable) -> Iterator[Drift]:
    order = [folded(c.name) for c in table.columns]
    shared = [folded(str(c.column)) for c in model.columns() if folded(str(c.column)) in order]
    other_order = [name for name in order if name in shared] != shared and not is_built(file)
    checked = any(getattr(c.kind, "choices", ()) for c in model.columns())
    unchecked = checked and "CHECK" not in table.sql.upper()
    hidden = "WITHOUT ROWID" if table.without_rowid else "a column named rowid"
    facts = [
        (other_order, "other order", "", "", "columns go by name: no effect"),
        (not table.has_rowid, "no rowid", "", hidden, "loads, every row cell by cell"),
        *((True, "uncomputable column", name, "GENERATED ALWAYS, virtual", _VAIN)
          for name in table.vain),
        (bool(table.foreign), "foreign name", "", table.foreign, _FOREIGN),
        (unchecked, "missing check", "", "", "values outside are quarantined as not_a_choice"),
    ]  # fmt: skip
    for is_so, what, name, found, effect in facts:
        if is_so:
            yield Drift(file, table.name, what, name, "", found, effect)


def _differences(
    file: str, table: FoundTable, column: Column, found: FoundColumn
) -> Iterator[Drift]:
    meant, default = declared_type(column.declared), declared_default(column.declared)
    was_key, required = "PRIMARY KEY" in column.declared, "NOT NULL" in column.declared
    keys, nulls = {True: "a key", False: "no key"}, {True: "NOT NULL", False: "nullable"}
    is_key = bool(found.primary_key)
    # Whether it is so, the word for it, what was declared, what was found, what follows.
    facts = [
        (bool(found.generated), "generated column", "values that are written", found.generated,
         "its values are loaded; on the way back SQLite computes them"),
        (meant != found.type.upper(), "other type", meant, found.type or "no type",
         "the stored values decide"),
        (is_key != was_key, "other key", keys[was_key], keys[is_key],
         "a key stored twice is quarantined"),
        (required != found.not_null and not was_key, "other null", nulls[required],
         nulls[found.not_null], ""),
        (_bare(default) != _bare(found.default), "other default", default or "none",
         found.default or "none", ""),
    ]  # fmt: skip
    for is_so, *words in facts:
        if is_so:
            what, declared, is_found, effect = words
            yield Drift(file, table.name, what, found.name, declared, is_found, effect)


def declared_type(declared: str) -> str:
    """``TIMESTAMP`` of ``TIMESTAMP DEFAULT CURRENT_TIMESTAMP``."""
    return _CONSTRAINT.split(declared, maxsplit=1)[0].strip().upper()


def declared_default(declared: str) -> str | None:
    """``'{}'`` of ``TEXT DEFAULT '{}'``."""
    match = _DEFAULT.search(declared)
    return match[1] if match else None


def _bare(default: str | None) -> str:
    text = (default or "").strip().strip("()").upper()
    return "" if text == "NULL" else text


def _declaration(found: FoundColumn) -> str:
    parts = [found.type or "no type", "NOT NULL" if found.not_null else ""]
    parts.append(f"DEFAULT {found.default}" if found.default is not None else "")
    parts.append(f"GENERATED ALWAYS, {found.generated}" if found.generated else "")
    return " ".join(part for part in parts if part)


def _indexes(file: str, model: type[LegacyModel], table: FoundTable) -> Iterator[Drift]:
    found = {folded(name): columns for name, columns in table.indexes.items()}
    for name, column in model.legacy.indexes.items():
        columns = found.pop(folded(name), None)
        if columns is None:
            yield Drift(file, table.name, "missing index", name, column, effect="no effect")
        elif columns != (column,):
            yield Drift(
                file, table.name, "other index", name, column, ", ".join(columns), "no effect"
            )
    for name, columns in found.items():
        listed = ", ".join("an expression" if c == "None" else c for c in columns)
        yield Drift(file, table.name, "extra index", name, "", listed, "is not carried over")


def _others(file: str, known: set[str], schema: FoundSchema) -> Iterator[Drift]:
    for name in schema.tables:
        if folded(name) not in known and name != CHANGE_TABLE and not decision_about(file, name):
            yield Drift(file, name, "extra table", "", effect="no model carries it")
    for what, name in schema.others:
        if not name.startswith((PREFIX, FREEZE_PREFIX)):
            yield Drift(file, name, f"extra {what}", "", effect="stays in the legacy file")
    if schema.user_version:
        effect = "the old application never sets it"
        yield Drift(file, "", "user_version", "", "0", str(schema.user_version), effect)


def virtual_tables(file: str, connection: sqlite3.Connection) -> list[Drift]:
    """Virtual tables as drift: their rows are not in the file's ordinary tables."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'"
    )
    effect = "no model carries it"
    return [Drift(file, str(row[0]), "extra virtual table", "", effect=effect) for row in rows]
