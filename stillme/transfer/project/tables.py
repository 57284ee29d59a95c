"""The name of a model's table in the file, and names that Django cannot use on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.backends.utils import strip_quotes, truncate_name

from stillme.postgresql.names import Table
from stillme.transfer.project.files import Model

# PostgreSQL's limit of a name (NAMEDATALEN), in bytes. SQLite has none.
LONGEST_NAME = 63


def legacy_table(model: Model) -> str:
    """The name of a model's table in the file.

    Of ``"sales"."order"`` it is the part after the dot, because SQLite knows no schemas. A name
    that Django made by itself and cut for PostgreSQL was not cut for SQLite.
    """
    return Table.parse(_uncut(model)).name


def _uncut(model: Model) -> str:
    """The model's `db_table` as Django makes it where names have no limit."""
    meta: Any = model._meta
    made = whole = f"{meta.app_label}_{meta.model_name}"
    if owner := meta.auto_created:
        (name,) = (f.name for f in owner._meta.many_to_many if f.remote_field.through is model)
        made = f"{strip_quotes(owner._meta.db_table)}_{name}"
        whole = f"{strip_quotes(_uncut(owner))}_{name}"
    named = str(meta.db_table)
    return whole if named == truncate_name(made, LONGEST_NAME) else named


def problems_of_names(model: Model) -> Iterator[str]:
    """Sentences about names with which Django works on SQLite, and not on PostgreSQL."""
    table = Table.parse(model._meta.db_table).name
    if len(table.encode()) > LONGEST_NAME:
        yield (
            f"{model._meta.label} has a table name of {len(table.encode())} bytes, which "
            f"PostgreSQL cuts after {LONGEST_NAME}: give it a shorter db_table by a migration, run "
            "with the old settings"
        )
    for name in [table, *(str(field.column) for field in model._meta.local_concrete_fields)]:
        if "%" in name:
            yield (
                f"{model._meta.label} has the name {name!r} in the database, and with a percent "
                "sign in a name Django's queries fail on PostgreSQL: rename it (db_table, "
                "db_column) by a migration, run with the old settings"
            )
