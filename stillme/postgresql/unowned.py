"""Tables in the database that nobody here owns: another program made them.

Alembic, a copy script or a second application whose `DATABASE_URL` names this database makes tables
of its own in it: `public.alembic_version`, `public.knowledge_items`. The application may then write
to those, and no model, admin page or proof sees what it wrote.
"""

from __future__ import annotations

from collections.abc import Collection

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from stillme.postgresql.names import Table

# Partitions belong to their parent, tables of an extension (PostGIS, Citus) to the extension.
_TABLES = """
    SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
        AND n.nspname <> 'information_schema' AND NOT starts_with(n.nspname, 'pg_')
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND d.deptype = 'e'
        )
    ORDER BY n.nspname, c.relname
"""
_SHOWN = 5
PAGE = "docs/howto/moving-the-application.md"


def unowned_tables(connection: BaseDatabaseWrapper, ours: Collection[str]) -> list[str]:
    """``schema.table`` of every table that no installed app's model has, nor Django itself.

    Tables in the schemas `ours` are left out: their app may not be installed any more. Raises
    DatabaseError.
    """
    models = apps.get_models(include_auto_created=True, include_swapped=True)
    owned = {Table.parse(model._meta.db_table) for model in models}
    owned.add(Table.parse(MigrationRecorder.Migration._meta.db_table))
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        rows = cursor.fetchall()
    return [
        f"{schema}.{name}"
        for schema, name, visible in rows
        if schema not in ours
        and Table(schema, name) not in owned
        and not (visible and Table(None, name) in owned)
    ]


def unowned_sentence(names: list[str]) -> str:
    """What they mean, in one sentence; "" for none."""
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    verb = "is a table" if len(names) == 1 else "are tables"
    return (
        f"{', '.join(names[:_SHOWN])}{more} {verb} of no installed app: another program made "
        "them, and nothing here reads what it writes there"
    )
