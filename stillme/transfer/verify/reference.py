"""What the models declare, as PostgreSQL itself spells it.

The tables of one schema are built a second time, empty, in a scratch schema of a transaction
that is rolled back; the server then describes both in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connections, models, transaction

from stillme.postgresql.session import spell_plainly
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import split_table
from stillme.transfer.verify.target_side import select

_SCRATCH = "stillme_judge"


@dataclass(slots=True)
class Described:
    """Defaults by column, definitions of constraints by column, of indexes by name."""

    defaults: dict[str, str | None] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)


def check_definitions(
    alias: str, targets: list[type[models.Model]], wanted: set[type[models.Model]]
) -> Iterator[Finding]:
    """Differences in definition among the `wanted` of `targets`, which share one schema.

    A user who may not create a schema gets none of these checks; names are checked elsewhere.
    """
    may = "SELECT has_database_privilege(current_database(), 'CREATE')"
    if not targets or not select(alias, may)[0][0]:
        return
    spell_plainly(connections[alias])
    schema = split_table(targets[0]._meta.db_table)[0]
    declared = _declared(alias, schema, targets)
    for model in targets:
        table = split_table(model._meta.db_table)[1]
        if model in wanted and _exists(alias, schema, table):
            found = _describe(alias, schema, table)
            yield from _compare(f"{schema}.{table}", declared[table], found)


def _exists(alias: str, schema: str, table: str) -> bool:
    return bool(
        select(alias, "SELECT to_regclass(%s) IS NOT NULL", [f'"{schema}"."{table}"'])[0][0]
    )


def _declared(alias: str, schema: str, targets: list[type[models.Model]]) -> dict[str, Described]:
    with connections[alias].schema_editor(collect_sql=True, atomic=False) as editor:
        for model in targets:
            editor.create_model(model)
    described = {}
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        # Citus may be told to distribute every new schema; elsewhere the name means nothing.
        cursor.execute("SET LOCAL citus.enable_schema_based_sharding = off")
        cursor.execute(f'CREATE SCHEMA "{_SCRATCH}"')
        for statement in editor.collected_sql or []:
            if not statement.startswith(("CREATE SCHEMA", "--")):
                cursor.execute(statement.replace(f'"{schema}".', f'"{_SCRATCH}".'))
        for model in targets:
            table = split_table(model._meta.db_table)[1]
            described[table] = _describe(alias, _SCRATCH, table)
        transaction.set_rollback(True, using=alias)
    return described


def _describe(alias: str, schema: str, table: str) -> Described:
    relation = f'"{schema}"."{table}"'
    found = Described()
    found.defaults = dict(
        select(
            alias,
            "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef "
            "ON adrelid = attrelid AND adnum = attnum WHERE attrelid = to_regclass(%s) "
            "AND attnum > 0 AND NOT attisdropped",
            [relation],
        )
    )
    for column, definition in select(
        alias,
        "SELECT (SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute "
        "WHERE attrelid = conrelid AND attnum = ANY(conkey)), pg_get_constraintdef(oid) "
        "FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype IN ('c', 'f', 'u', 'p')",
        [relation],
    ):
        found.constraints[_neutral(definition, schema)] = column or ""
    for name, definition in select(
        alias,
        "SELECT relname, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class "
        "ON pg_class.oid = indexrelid WHERE indrelid = to_regclass(%s) AND NOT indisprimary",
        [relation],
    ):
        found.indexes[name] = _neutral(definition, schema)
    return found


def _neutral(definition: str, schema: str) -> str:
    return (
        definition.replace(f"{schema}.", "").replace(f'"{schema}".', "").replace(" NOT VALID", "")
    )


def _compare(where: str, declared: Described, found: Described) -> Iterator[Finding]:
    for column, default in declared.defaults.items():
        present = found.defaults.get(column, default)
        if present != default:
            at = f"{where}:{column}"
            yield Finding(FindingKind.COLUMN, at, None, _default(default), _default(present))
    for definition, columns in declared.constraints.items():
        if definition not in found.constraints:
            is_reference = definition.startswith("FOREIGN KEY")
            kind = FindingKind.FOREIGN_KEY if is_reference else FindingKind.CONSTRAINT
            at = f"{where}:{columns}" if is_reference else where
            yield Finding(kind, at, None, definition, "none such")
    for name, definition in declared.indexes.items():
        if name in found.indexes and found.indexes[name] != definition:
            yield Finding(FindingKind.INDEX, where, None, definition, found.indexes[name])


def _default(expression: str | None) -> str:
    return "no default" if expression is None else f"default {expression}"
