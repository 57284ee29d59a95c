"""A target table's structure: its columns, its constraints' states, what an import took down."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections, models

from stillme.postgresql.connecting.session import spell_plainly
from stillme.postgresql.names import Table, quote
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapped_column import spelled_key
from stillme.transfer.mapping import split_table
from stillme.transfer.models import DroppedObject
from stillme.transfer.verify.sides.row_query import read
from stillme.transfer.verify.sides.target_table import select
from stillme.transfer.verify.structure.shards import check_shards
from stillme.transfer.verify.structure.target_relation import UNREADABLE, Relation

_UNUSED = "NOT ENFORCED", "NOT VALID"


def check_structure(
    alias: str, model: type[models.Model], *, is_live: bool = False
) -> Iterator[Finding]:
    """Yield what is wrong with one target table, apart from its rows. Of a table that `is_live`
    what is written must be logged.

    The definitions of defaults, constraints, indexes and sequences are compared elsewhere
    (`check_definitions`).
    """
    spell_plainly(connections[alias])
    schema, table = split_table(model._meta.db_table)
    relation = Relation(alias, schema, table)
    found = list(relation.check())
    yield from found
    if any(finding.kind is FindingKind.MISSING_TABLE for finding in found):
        return
    if is_live:
        yield from relation.capture()
    yield from _hidden(alias, model, schema, table)
    yield from _columns(alias, model, schema, table)
    yield from _states(alias, schema, table)
    yield from _taken_down(alias, schema, table)
    yield from check_shards(alias, schema, table)


def _hidden(alias: str, model: type[models.Model], schema: str, table: str) -> Iterator[Finding]:
    """Django names such a table without a schema: PostgreSQL takes the first of that name."""
    if Table.parse(model._meta.db_table).schema is not None:
        return
    for (other,) in select(
        alias,
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass(%s) "
        "AND oid <> to_regclass(%s)",
        [quote(table), _relation(schema, table)],
    ):
        found = f"the one in the schema {other}"
        note = "the search_path has that schema first: the application reads and writes there"
        at = f"{schema}.{table}"
        yield Finding(FindingKind.TABLE, at, None, "the table that Django uses", found, note)


def forbids_reading(finding: Finding) -> bool:
    """Whether the rows of the table cannot be read as declared: it is no table, may not be read, or
    a column is missing or of another type."""
    if finding.kind is FindingKind.MISSING_TABLE or finding.note == UNREADABLE:
        return True
    return finding.kind is FindingKind.COLUMN and (
        finding.note == "type" or finding.found == "nothing"
    )


def has_wide_key(alias: str, model: type[models.Model]) -> bool:
    """Whether a table that Django made for a many-to-many field has an id of 64 bits.

    Migrations give it that of DEFAULT_AUTO_FIELD, although its app may declare another one: the id
    of `auth_group_permissions` is a bigint in a project whose default is BigAutoField.
    """
    if not model._meta.auto_created:
        return False
    found = select(
        alias,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attname = 'id'",
        [_relation(*split_table(model._meta.db_table))],
    )
    return found == [("bigint",)]


def _relation(schema: str, table: str) -> str:
    return f'"{schema}"."{table}"'


def _columns(alias: str, model: type[models.Model], schema: str, table: str) -> Iterator[Finding]:
    connection = connections[alias]
    found = {
        name: (kind, required)
        for name, kind, required in select(
            alias,
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull "
            "FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
            "AND NOT attisdropped",
            [_relation(schema, table)],
        )
    }
    for field in model._meta.local_concrete_fields:
        where = f"{schema}.{table}:{field.column}"
        if field.column not in found:
            yield Finding(FindingKind.COLUMN, where, None, "the column", "nothing")
            continue
        kind, required = found.pop(field.column)
        wanted = _type_name(str(field.db_type(connection)))
        if field.primary_key and has_wide_key(alias, model):
            wanted = "bigint"
        if kind != wanted:
            yield Finding(FindingKind.COLUMN, where, None, wanted, kind, "type")
        if required == field.null and not (field.primary_key or field.generated):
            words = {True: "NOT NULL", False: "NULL allowed"}
            yield Finding(FindingKind.COLUMN, where, None, words[not field.null], words[required])
    for name in found:
        yield Finding(FindingKind.COLUMN, f"{schema}.{table}:{name}", None, "nothing", "a column")


# Django's spelling of a type -> the server's, where they differ.
_TYPES = {"varchar": "character varying", "char": "character", "time": "time without time zone"}


def _type_name(db_type: str) -> str:
    name, bracket, size = db_type.partition("(")
    return _TYPES.get(name, name) + bracket + size.replace(" ", "")


def _states(alias: str, schema: str, table: str) -> Iterator[Finding]:
    """Yield constraints that are not validated or not enforced, and indexes that are invalid."""
    relation, where = _relation(schema, table), f"{schema}.{table}"
    for name, definition in select(
        alias,
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = to_regclass(%s) AND (NOT convalidated "
        "OR pg_get_constraintdef(oid) ~ ' NOT ENFORCED$') ORDER BY conname",
        [relation],
    ):
        words = next((word for word in _UNUSED if word in definition), "NOT VALID")
        yield Finding(FindingKind.CONSTRAINT, where, None, f"{name} validated", words)
    for (name,) in select(
        alias,
        "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE indrelid = to_regclass(%s) AND NOT (indisvalid AND indisready AND indislive) "
        "ORDER BY relname",
        [relation],
    ):
        yield Finding(FindingKind.INDEX, where, None, f"{name} valid", "INVALID")


def _taken_down(alias: str, schema: str, table: str) -> Iterator[Finding]:
    relation = _relation(schema, table)
    for dropped in DroppedObject.objects.using(alias).filter(relation=relation):
        note = "taken down by an import that did not end: run it again"
        kind = FindingKind.CONSTRAINT if dropped.is_constraint else FindingKind.INDEX
        yield Finding(kind, f"{schema}.{table}", None, dropped.name, "taken down", note)


def check_foreign_keys(alias: str, model: type[models.Model]) -> Iterator[Finding]:
    """Yield each reference to a row that does not exist, whether or not its constraint is there.

    A field that is declared without one (`db_constraint=False`) may name a row that is gone.
    """
    schema, table = split_table(model._meta.db_table)
    for field in model._meta.local_concrete_fields:
        if not isinstance(field, models.ForeignKey) or not vars(field)["db_constraint"]:
            continue
        # The parent's key, or the column that `to_field` names.
        named = field.target_field
        parent = named.model._meta
        # What is wrong with the parent table is said of it.
        if any(map(forbids_reading, check_structure(alias, named.model))):
            continue
        rows = read(
            alias,
            f'SELECT {spelled_key(model, "c")}, c."{field.column}"::text '
            f'FROM {_relation(schema, table)} AS c WHERE c."{field.column}" IS NOT NULL '
            f"AND NOT EXISTS (SELECT 1 FROM {_relation(*split_table(parent.db_table))} AS p "
            f'WHERE p."{named.column}" = c."{field.column}")',
        )
        for key, value in rows:
            where = f"{schema}.{table}:{field.column}"
            yield Finding(FindingKind.FOREIGN_KEY, where, key, "a parent row", f"none for {value}")
