"""The target's structure: columns, constraints, indexes, sequences, as the models declare them."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections, models

from stillme.postgresql.session import spell_plainly
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import split_table
from stillme.transfer.models import DroppedObject
from stillme.transfer.verify.target_side import select


def check_structure(alias: str, model: type[models.Model]) -> Iterator[Finding]:
    """Everything about one target table that is not its rows."""
    spell_plainly(connections[alias])
    schema, table = split_table(model._meta.db_table)
    where = f"{schema}.{table}"
    exists = select(alias, "SELECT to_regclass(%s) IS NOT NULL", [_relation(schema, table)])
    if not exists[0][0]:
        yield Finding(FindingKind.MISSING_TABLE, where, None, "the table", "nothing")
        return
    yield from _columns(alias, model, schema, table)
    yield from _constraints(alias, model, schema, table)
    yield from _indexes(alias, model, schema, table)
    yield from _taken_down(alias, schema, table)


def forbids_reading(finding: Finding) -> bool:
    """Whether the rows of the table cannot be read as declared: a column is gone or another."""
    if finding.kind is FindingKind.MISSING_TABLE:
        return True
    return finding.kind is FindingKind.COLUMN and (
        finding.note == "type" or finding.found == "nothing"
    )


def _relation(schema: str, table: str) -> str:
    return f'"{schema}"."{table}"'


def _columns(alias: str, model: type[models.Model], schema: str, table: str) -> Iterator[Finding]:
    connection = connections[alias]
    found = {
        name: (kind, required, has_default or identity != "")
        for name, kind, required, has_default, identity in select(
            alias,
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef, attidentity "
            "FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
            "AND NOT attisdropped",
            [_relation(schema, table)],
        )
    }
    for field in model._meta.concrete_fields:
        where = f"{schema}.{table}:{field.column}"
        if field.column not in found:
            yield Finding(FindingKind.COLUMN, where, None, "the column", "nothing")
            continue
        kind, required, default = found.pop(field.column)
        wanted = _type_name(str(field.db_type(connection)))
        if kind != wanted:
            yield Finding(FindingKind.COLUMN, where, None, wanted, kind, "type")
        if required == field.null and not field.primary_key:
            words = {True: "NOT NULL", False: "NULL allowed"}
            yield Finding(FindingKind.COLUMN, where, None, words[not field.null], words[required])
        if field.has_db_default() and not default:
            yield Finding(FindingKind.COLUMN, where, None, "a default", "none")
    for name in found:
        yield Finding(FindingKind.COLUMN, f"{schema}.{table}:{name}", None, "nothing", "a column")


def _type_name(db_type: str) -> str:
    return {"varchar": "character varying"}.get(db_type, db_type)


def _constraints(
    alias: str, model: type[models.Model], schema: str, table: str
) -> Iterator[Finding]:
    rows = select(
        alias,
        "SELECT conname, contype::text, convalidated, "
        "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid "
        "AND attnum = ANY(conkey) ORDER BY attname) "
        "FROM pg_constraint WHERE conrelid = to_regclass(%s)",
        [_relation(schema, table)],
    )
    where = f"{schema}.{table}"
    for name, _, valid, _ in rows:
        if not valid:
            yield Finding(FindingKind.CONSTRAINT, where, None, f"{name} validated", "NOT VALID")
    keys = {tuple(columns) for _, kind, _, columns in rows if kind == "p"}
    assert model._meta.pk is not None
    if (model._meta.pk.column,) not in keys:
        yield Finding(FindingKind.CONSTRAINT, where, None, "the primary key", "none")
    references = {tuple(columns) for _, kind, _, columns in rows if kind == "f"}
    for field in model._meta.concrete_fields:
        constrained = isinstance(field, models.ForeignKey) and vars(field)["db_constraint"]
        if constrained and (field.column,) not in references:
            at = f"{where}:{field.column}"
            yield Finding(FindingKind.FOREIGN_KEY, at, None, "a foreign key", "none")
    names = {name for name, _, _, _ in rows}
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.CheckConstraint) and constraint.name not in names:
            yield Finding(FindingKind.CONSTRAINT, where, None, constraint.name, "nothing")


def _indexes(alias: str, model: type[models.Model], schema: str, table: str) -> Iterator[Finding]:
    rows = select(
        alias,
        "SELECT relname, indisvalid AND indisready FROM pg_index "
        "JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = to_regclass(%s)",
        [_relation(schema, table)],
    )
    found = dict(rows)
    where = f"{schema}.{table}"
    for name, valid in rows:
        if not valid:
            yield Finding(FindingKind.INDEX, where, None, f"{name} valid", "INVALID")
    for name in declared_indexes(alias, model):
        if name not in found:
            yield Finding(FindingKind.INDEX, where, None, f"index {name}", "none")


def declared_indexes(alias: str, model: type[models.Model]) -> list[str]:
    """The names of the indexes the model declares, those of its foreign keys included."""
    names = [index.name for index in model._meta.indexes]
    with connections[alias].schema_editor(collect_sql=True, atomic=False) as editor:
        for field in model._meta.local_fields:
            if vars(field)["db_index"] and not field.unique:
                name = editor._create_index_name(  # type: ignore[attr-defined]
                    model._meta.db_table, [field.column]
                )
                names.append(name.strip('"'))
    return names


def _taken_down(alias: str, schema: str, table: str) -> Iterator[Finding]:
    relation = _relation(schema, table)
    for dropped in DroppedObject.objects.using(alias).filter(relation=relation):
        note = "taken down by an import that did not end: run it again"
        kind = FindingKind.CONSTRAINT if dropped.is_constraint else FindingKind.INDEX
        yield Finding(kind, f"{schema}.{table}", None, dropped.name, "taken down", note)


def check_foreign_keys(alias: str, model: type[models.Model]) -> Iterator[Finding]:
    """Every reference names a row that exists, whether or not a constraint says so."""
    schema, table = split_table(model._meta.db_table)
    for field in model._meta.concrete_fields:
        if not isinstance(field, models.ForeignKey):
            continue
        parent = field.remote_field.model._meta
        known = "SELECT to_regclass(%s) IS NOT NULL"
        if not select(alias, known, [_relation(*split_table(parent.db_table))])[0][0]:
            continue
        rows = select(
            alias,
            f'SELECT c."{model._meta.pk.column}"::text, c."{field.column}"::text '
            f'FROM {_relation(schema, table)} AS c WHERE c."{field.column}" IS NOT NULL '
            f"AND NOT EXISTS (SELECT 1 FROM {_relation(*split_table(parent.db_table))} AS p "
            f'WHERE p."{parent.pk.column}" = c."{field.column}")',
        )
        for key, value in rows:
            where = f"{schema}.{table}:{field.column}"
            yield Finding(FindingKind.FOREIGN_KEY, where, key, "a parent row", f"none for {value}")
