"""What Django asks of the catalogue, answered for tables in any schema.

Django looks for a table by its bare name among those on the search path. Here `to_regclass` finds
it as SQL would: in its schema when the name has one, on the search path otherwise. Tables off the
search path are reported in the form that a model's `db_table` has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.backends.postgresql import introspection
from django.db.backends.postgresql.introspection import FieldInfo, TableInfo
from django.db.models import Index

from stillme.postgresql import catalogue
from stillme.postgresql.names import Table


class DatabaseIntrospection(introspection.DatabaseIntrospection):
    """Django's, without the assumption that every table is on the search path."""

    def identifier_converter(self, name: str) -> str:
        """One spelling for a qualified name, so that Django's comparisons find it."""
        return Table.parse(name).db_table if '"."' in name else name

    def get_table_list(self, cursor: Any) -> list[Any]:
        """Every table and view outside PostgreSQL's own schemas."""
        cursor.execute(catalogue.TABLES)
        return [
            TableInfo(Table(schema, name).db_table, kind, comment)
            for schema, name, kind, comment in cursor.fetchall()
            if name not in self.ignored_tables
        ]

    def get_table_description(self, cursor: Any, table_name: str) -> list[FieldInfo]:
        """The columns of a table, with nullability, default, collation, identity, comment."""
        table = Table.parse(table_name).quoted
        cursor.execute(catalogue.COLUMNS, [table])
        field_map = {line[0]: line[1:] for line in cursor.fetchall()}
        cursor.execute(f"SELECT * FROM {table} LIMIT 1")
        return [
            FieldInfo(
                line.name,
                line.type_code,
                line.internal_size if line.display_size is None else line.display_size,
                line.internal_size,
                line.precision,
                line.scale,
                *field_map[line.name],
            )
            for line in cursor.description
        ]

    def get_sequences(
        self, cursor: Any, table_name: str, table_fields: Iterable[Any] = ()
    ) -> list[Any]:
        """The sequences that a table's columns own."""
        cursor.execute(catalogue.SEQUENCES, [Table.parse(table_name).quoted])
        return [
            {"name": Table(schema, name).db_table, "table": table_name, "column": column}
            for schema, name, column in cursor.fetchall()
        ]

    def get_relations(self, cursor: Any, table_name: str) -> dict[str, tuple[str, str]]:
        """`{column: (other column, other table)}` of every foreign key of a table."""
        cursor.execute(catalogue.RELATIONS, [Table.parse(table_name).quoted])
        return {
            column: (other_column, Table(schema, other).db_table)
            for column, schema, other, other_column in cursor.fetchall()
        }

    def get_constraints(self, cursor: Any, table_name: str) -> dict[str, Any]:
        """The constraints and indexes of a table by name, in Django's form."""
        table = Table.parse(table_name).quoted
        cursor.execute(catalogue.CONSTRAINTS, [table])
        constraints = {row[0]: _constraint(*row[1:]) for row in cursor.fetchall()}
        cursor.execute(catalogue.INDEXES, [self.index_default_access_method, table])
        for name, *row in cursor.fetchall():
            if name not in constraints:
                constraints[name] = self._index(name, *row)
        return constraints

    def _index(
        self,
        name: str,
        columns: list[str | None],
        unique: bool,
        primary: bool,
        orders: list[str | None],
        method: str,
        definition: str | None,
        options: list[str] | None,
    ) -> dict[str, Any]:
        # `_btree` is how django.contrib.postgres' BTreeIndex names its own.
        basic = (
            method == self.index_default_access_method
            and not name.endswith("_btree")
            and options is None
        )
        return {
            "columns": columns if columns != [None] else [],
            "orders": orders if orders != [None] else [],
            "primary_key": primary,
            "unique": unique,
            "foreign_key": None,
            "check": False,
            "index": True,
            "type": Index.suffix if basic else method,
            "definition": definition,
            "options": options,
        }


def _constraint(
    columns: list[str],
    kind: str,
    other_schema: str | None,
    other_table: str | None,
    other_column: str | None,
    options: list[str] | None,
) -> dict[str, Any]:
    other = Table(other_schema, other_table).db_table if other_table else None
    return {
        "columns": columns,
        "primary_key": kind == "p",
        "unique": kind in ("p", "u"),
        "foreign_key": (other, other_column) if kind == "f" else None,
        "check": kind == "c",
        "index": False,
        "definition": None,
        "options": options,
    }
