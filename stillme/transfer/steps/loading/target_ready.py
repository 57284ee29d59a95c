"""Whether the target can take an import: reachable, migrated."""

from __future__ import annotations

from django.db import connections
from django.db.models import Model

from stillme.transfer.errors import TargetError
from stillme.transfer.inventory.applied_migrations import unapplied_migrations
from stillme.transfer.mapping import split_table
from stillme.transfer.models import Run
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.registry import legacy_models


def check_target(alias: str) -> None:
    """Raises TargetError where tables are missing, django's OperationalError without a server."""
    targets: list[type[Model]] = [Run, *(model.target_model() for model in legacy_models())]
    wanted = {split_table(model._meta.db_table) for model in targets}
    rows = fetch_all(
        connections[alias],
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s)",
        [sorted({schema for schema, _ in wanted})],
    )
    missing = sorted(wanted - set(rows))
    if missing:
        schema, table = missing[0]
        if schema == "public" and (elsewhere := _schema_in_path(alias, table)):
            raise TargetError(
                f"The target's table {table} is in the schema {elsewhere}, as a search_path says, "
                "and the engine takes tables without a schema from public: put public first in "
                "the search_path, and run `manage.py migrate` again."
            )
        raise TargetError(
            f"The target has no table {schema}.{table}: run `manage.py migrate` first."
        )
    if waiting := unapplied_migrations(alias):
        raise TargetError(
            f"Migrations of the project wait for the target ({', '.join(waiting[:3])}"
            f"{', ...' if len(waiting) > 3 else ''}): run `manage.py migrate` first."
        )


def _schema_in_path(alias: str, table: str) -> str:
    """The schema of a table that the search path finds; "" where it finds none, or in public."""
    rows = fetch_all(
        connections[alias],
        "SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass(quote_ident(%s)) AND n.nspname <> 'public'",
        [table],
    )
    return str(rows[0][0]) if rows else ""
