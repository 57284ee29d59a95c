"""The declared constraints and indexes, looked for by name only.

For a server on which no tables can be built to compare with (`reference`): then the judge cannot
compare definitions, and a constraint of the right name passes.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections, models

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import split_table
from stillme.transfer.verify.sides.target_table import select


def check_names(alias: str, model: type[models.Model]) -> Iterator[Finding]:
    """Yield a finding for each missing primary key, foreign key, check and index."""
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
    assert model._meta.pk is not None
    if (model._meta.pk.column,) not in keys:
        yield Finding(FindingKind.CONSTRAINT, where, None, "the primary key", "none")
    references = {tuple(columns) for _, kind, columns in rows if kind == "f"}
    for field in model._meta.local_concrete_fields:
        constrained = isinstance(field, models.ForeignKey) and vars(field)["db_constraint"]
        if constrained and (field.column,) not in references:
            at = f"{where}:{field.column}"
            yield Finding(FindingKind.FOREIGN_KEY, at, None, "a foreign key", "none")
    names = {name for name, _, _ in rows}
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.CheckConstraint) and constraint.name not in names:
            yield Finding(FindingKind.CONSTRAINT, where, None, constraint.name, "nothing")
    known = "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    found = {
        row[0] for row in select(alias, f"{known} WHERE indrelid = to_regclass(%s)", [relation])
    }
    for name in _indexes(alias, model):
        if name not in found:
            yield Finding(FindingKind.INDEX, where, None, f"index {name}", "none")


def _indexes(alias: str, model: type[models.Model]) -> list[str]:
    """Return the names of the indexes the model declares, those of its foreign keys included."""
    names = [index.name for index in model._meta.indexes]
    with connections[alias].schema_editor(collect_sql=True, atomic=False) as editor:
        for field in model._meta.local_fields:
            if vars(field)["db_index"] and not field.unique:
                name = editor._create_index_name(  # type: ignore[attr-defined]
                    model._meta.db_table, [field.column]
                )
                names.append(name.strip('"'))
    return names
