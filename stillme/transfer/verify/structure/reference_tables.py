"""What the models declare, as PostgreSQL itself spells it.

The tables of one schema are built a second time, empty and temporary, in a transaction that is
rolled back; the server then describes both in the same words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import shorten

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.db import models as django_models
from django.db.models import Model

from stillme.postgresql.connecting.session import spell_plainly
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import split_table
from stillme.transfer.verify.sides.target_table import select, select_all
from stillme.transfer.verify.structure.table_definition import Described, Named, describe
from stillme.transfer.verify.structure.table_structure import has_wide_key

# Any user may make a temporary table unless somebody took that right away.
_SCRATCH = "pg_temp"
_OIDS = """
SELECT to_regclass(name)::int8 FROM unnest(%s::text[]) WITH ORDINALITY AS n(name, place)
ORDER BY place
"""


def check_definitions(
    alias: str,
    targets: Sequence[type[Model]],
    wanted: set[type[Model]],
    notices: list[str] | None = None,
    *,
    by_others: bool = False,
) -> Iterator[Finding]:
    """Differences in definition among the `wanted` of `targets`, in both directions.

    Told in `notices`: what changes neither what is read nor what may be written (an index that no
    model declares), and that nothing could be compared but names, because the server let no
    temporary table be made.

    Migrations of others (`by_others`) do not always make what their models declare: an index that
    is not unique and is missing, or another collation, is then reported as a notice.
    """
    notices = [] if notices is None else notices
    checked = [model for model in targets if model in wanted]
    if not checked:
        return
    spell_plainly(connections[alias])
    try:
        pairs = _described(alias, targets, checked)
    except DatabaseError as error:
        if isinstance(error, InterfaceError | OperationalError):
            raise
        why = str(error).partition("\n")[0]
        names = ", ".join(model._meta.db_table.replace('"', "") for model in checked)
        notices.append(
            "Only types and names were compared, not defaults, identity, collations, sequences and "
            f"what constraints and indexes say: PostgreSQL made no temporary table ({why}). "
            f"Tables: {names}."
        )
        for model in checked:
            yield from _check_names(alias, model)
        return
    for where, declared, found in pairs:
        if by_others:
            notices += _without_drift(where, declared, found)
        yield from _columns(where, declared, found)
        yield from _constraints(where, declared, found)
        yield from _indexes(where, declared, found, notices)


def _described(
    alias: str, targets: Sequence[type[Model]], checked: list[type[Model]]
) -> list[tuple[str, Described, Described]]:
    """(where, as declared, as found) of each checked table that is there."""
    needed = _with_parents(targets)
    schemas = {
        table: schema for schema, table in (split_table(model._meta.db_table) for model in needed)
    }
    statements = _statements(alias, needed, set(schemas.values()))
    pairs = []
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        # For a table whose name has no schema; types may be in any of the others.
        cursor.execute(
            "SELECT set_config('search_path', concat_ws(', ', 'pg_temp', "
            "nullif(current_setting('search_path'), '')), true)"
        )
        for model in (m for m in checked if has_wide_key(alias, m)):
            name = split_table(model._meta.db_table)[1]
            statements.append(f'ALTER TABLE {_SCRATCH}."{name}" ALTER id TYPE bigint')
        # One path for both, and every name that is not PostgreSQL's own told with its schema.
        select_all(alias, [*statements, "SET LOCAL search_path = pg_catalog"])
        names = [split_table(model._meta.db_table) for model in checked]
        there = _oids(alias, names)
        scratch = _oids(alias, [(_SCRATCH, table) for _, table in names])
        tables: dict[int, Named] = {oid: "{}.{}".format for oid in there if oid}
        tables |= {oid: lambda _, name: f"{schemas[name]}.{name}" for oid in scratch if oid}
        described = describe(alias, tables)
        for (schema, table), found, declared in zip(names, there, scratch, strict=True):
            if found is not None:
                assert declared is not None
                pairs.append((f"{schema}.{table}", described[declared], described[found]))
        transaction.set_rollback(True, using=alias)
    return pairs


def _oids(alias: str, tables: list[tuple[str, str]]) -> list[int | None]:
    """The oid of each table, None where there is none of that name."""
    names = [f'"{schema}"."{table}"' for schema, table in tables]
    return [oid for (oid,) in select(alias, _OIDS, [names])]


def _with_parents(targets: Sequence[type[Model]]) -> list[type[Model]]:
    """The models and all that they refer to: a temporary table refers to temporary ones only.

    The tables that Django makes for many-to-many fields are among them: it makes them with the
    table of the model that has the field.
    """
    needed = list(targets)
    for model in needed:
        for relation in model._meta.local_many_to_many:
            through = relation.remote_field.through
            if through is not None and through._meta.auto_created and through not in needed:
                needed.append(through)
        for field in model._meta.local_fields:
            if isinstance(field, django_models.ForeignKey):
                parent = field.remote_field.model
                if parent not in needed:
                    needed.append(parent)
    return needed


def _statements(alias: str, needed: list[type[Model]], schemas: set[str]) -> list[str]:
    with connections[alias].schema_editor(collect_sql=True, atomic=False) as editor:
        for model in needed:
            if not model._meta.auto_created:
                editor.create_model(model)
    found = []
    for statement in map(str, editor.collected_sql or []):
        if statement.startswith(("CREATE SCHEMA", "--")):
            continue
        for schema in schemas:
            statement = statement.replace(f'"{schema}".', f'"{_SCRATCH}".')
        found.append(statement)
    return found


def _without_drift(where: str, declared: Described, found: Described) -> Iterator[str]:
    """Tell what no value depends on, and take it out of both."""
    for key in [key for key in declared.columns if key[2] == "collation"]:
        words, present = declared.columns.pop(key), found.columns.pop(key, None)
        if present not in (words, None):
            yield f"{where}:{key[1]} has the {present}, its model declares {words}."
    for name, words in list(declared.indexes.items()):
        if name not in found.indexes and not words.startswith("UNIQUE "):
            del declared.indexes[name]
            yield f"{where} has no index {name} ({words}), which its model declares."


def _columns(where: str, declared: Described, found: Described) -> Iterator[Finding]:
    for (kind, column, what), words in declared.columns.items():
        # A column or sequence that is not there is said elsewhere.
        present = found.columns.get((kind, column, what), words)
        if present != words:
            note = "it goes back by hand" if kind is FindingKind.SEQUENCE else ""
            yield Finding(kind, _at(where, kind, column), None, words, present, note)


def _constraints(where: str, declared: Described, found: Described) -> Iterator[Finding]:
    wanted, there = Counter(declared.constraints), Counter(found.constraints)
    for kind, columns, words in (wanted - there).elements():
        yield Finding(kind, _at(where, kind, columns), None, words, "none such")
    for kind, columns, words in (there - wanted).elements():
        yield Finding(kind, _at(where, kind, columns), None, "no such constraint", words)


def _at(where: str, kind: FindingKind, columns: str) -> str:
    return where if kind is FindingKind.CONSTRAINT else f"{where}:{columns}"


def _indexes(
    where: str, declared: Described, found: Described, notices: list[str]
) -> Iterator[Finding]:
    for name, words in declared.indexes.items():
        present = found.indexes.get(name, "none")
        if present != words:
            yield Finding(FindingKind.INDEX, where, None, f"{name}: {words}", present)
    for name in found.indexes.keys() - declared.indexes.keys():
        words = f"{name}: {found.indexes[name]}"
        if found.indexes[name].startswith("UNIQUE "):
            note = "it refuses rows that the models allow"
            yield Finding(FindingKind.INDEX, where, None, "no such index", words, note)
        else:
            # The expression of the console's search index is as long as a page.
            short = shorten(words, 160, placeholder=" ...")
            notices.append(
                f"{where} has an index that no model declares, {short}; no value depends on it."
            )


def _check_names(alias: str, model: type[Model]) -> Iterator[Finding]:
    """Look for each primary key, foreign key, check and index by name only.

    A constraint of the right name passes: its definition is not compared.
    """
    schema, table = split_table(model._meta.db_table)
    where, relation = f"{schema}.{table}", f'"{schema}"."{table}"'
    rows = select(
        alias,
        "SELECT conname, contype::text, "
        "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid "
        "AND attnum = ANY(conkey) ORDER BY attname) "
        "FROM pg_constraint WHERE conrelid = to_regclass(%s)",
        [relation],
    )
    keys = {tuple(columns) for _, kind, columns in rows if kind == "p"}
    if tuple(sorted(str(field.column) for field in model._meta.pk_fields)) not in keys:
        yield Finding(FindingKind.CONSTRAINT, where, None, "the primary key", "none")
    references = {tuple(columns) for _, kind, columns in rows if kind == "f"}
    for field in model._meta.local_concrete_fields:
        constrained = isinstance(field, django_models.ForeignKey) and vars(field)["db_constraint"]
        if constrained and (field.column,) not in references:
            at = f"{where}:{field.column}"
            yield Finding(FindingKind.FOREIGN_KEY, at, None, "a foreign key", "none")
    names = {name for name, _, _ in rows}
    for constraint in model._meta.constraints:
        if isinstance(constraint, django_models.CheckConstraint) and constraint.name not in names:
            yield Finding(FindingKind.CONSTRAINT, where, None, constraint.name, "nothing")
    known = "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    found = {
        row[0] for row in select(alias, f"{known} WHERE indrelid = to_regclass(%s)", [relation])
    }
    # With the model come tables of its many-to-many fields, which are not asked for.
    here = re.escape(connections[alias].ops.quote_name(model._meta.db_table))
    made = "\n".join(_statements(alias, [model], set()))
    for name in re.findall(rf'^CREATE INDEX "([^"]+)" ON {here} ', made, re.MULTILINE):
        if name not in found:
            yield Finding(FindingKind.INDEX, where, None, f"index {name}", "none")
