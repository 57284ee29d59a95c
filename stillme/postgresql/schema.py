"""DDL for schema-qualified tables: schemas made in time, and nothing dropped by a bare name.

An index lives in the schema of its table, so `DROP INDEX IF EXISTS name` finds nothing there and
says so to nobody. Every statement that names an index or a constraint outside an ALTER TABLE
names its schema here.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.ddl_references import Statement
from django.db.backends.ddl_references import Table as TableReference
from django.db.backends.postgresql import schema
from django.db.models import Model

from stillme.postgresql.names import Table, quote


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Django's, which creates schemas and qualifies what it drops and renames."""

    sql_create_schema = "CREATE SCHEMA IF NOT EXISTS %(schema)s"
    sql_set_schema = "ALTER TABLE %(table)s SET SCHEMA %(schema)s"
    sql_delete_fk = (
        "SET CONSTRAINTS %(namespace)s%(name)s IMMEDIATE; "
        "ALTER TABLE %(table)s DROP CONSTRAINT %(name)s"
    )

    def create_model(self, model: type[Model]) -> None:
        """Create the model's schema, unless it is there, then its table."""
        self._create_schema(Table.parse(model._meta.db_table).schema)
        super().create_model(model)

    def alter_db_table(self, model: type[Model], old_db_table: str, new_db_table: str) -> None:
        """Rename a table, or move it to another schema, or both."""
        old, new = Table.parse(old_db_table), Table.parse(new_db_table)
        if old == new:
            return
        if old.schema is None and new.schema is None:
            super().alter_db_table(model, old_db_table, new_db_table)
            return
        self._move_table(old, new)
        for deferred in self.deferred_sql:
            if isinstance(deferred, Statement):
                deferred.rename_table_references(old_db_table, new_db_table)

    def _move_table(self, old: Table, new: Table) -> None:
        moved = Table(new.schema, old.name)
        if old.schema != new.schema:
            self._create_schema(new.schema)
            statement = self.sql_set_schema % {
                "table": old.quoted,
                "schema": quote(new.schema or "public"),
            }
            self.execute(statement, params=None)
        if old.name != new.name:
            statement = self.sql_rename_table % {
                "old_table": moved.quoted,
                "new_table": quote(new.name),
            }
            self.execute(statement, params=None)

    def _create_schema(self, name: str | None) -> None:
        """Only when it is missing: IF NOT EXISTS wants the right to create even if it exists."""
        if name is None or (not self.collect_sql and self._schema_exists(name)):
            return
        self.execute(self.sql_create_schema % {"schema": quote(name)}, params=None)

    def _schema_exists(self, name: str) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", [name])
            return cursor.fetchone() is not None

    def _delete_index_sql(
        self,
        model: type[Model],
        name: str,
        sql: str | None = None,
        concurrently: bool = False,
    ) -> Statement:
        # Django's also lets go of a deferred CREATE INDEX of that name, which has no schema in it.
        django: Any = super()
        statement: Statement = django._delete_index_sql(model, name, sql, concurrently)
        parts: dict[str, Any] = statement.parts
        parts["name"] = Table.parse(model._meta.db_table).beside(name).quoted
        return statement

    def _rename_index_sql(self, model: type[Model], old_name: str, new_name: str) -> Statement:
        return Statement(
            self.sql_rename_index,
            table=TableReference(model._meta.db_table, self.quote_name),
            old_name=Table.parse(model._meta.db_table).beside(old_name).quoted,
            new_name=self.quote_name(new_name),
        )

    def _delete_constraint_sql(self, template: str, model: type[Model], name: str) -> Statement:
        """Drop a constraint, or an index that stands for one (a conditional unique)."""
        table = Table.parse(model._meta.db_table)
        drops_index = template in (self.sql_delete_index, self.sql_delete_index_concurrently)
        parts: dict[str, Any] = {
            "table": TableReference(model._meta.db_table, self.quote_name),
            "name": table.beside(name).quoted if drops_index else self.quote_name(name),
            "namespace": f"{quote(table.schema)}." if table.schema else "",
        }
        return Statement(template, **parts)
