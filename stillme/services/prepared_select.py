"""Reads that are asked for all the time: prepared by the server, answered in binary.

Django compiles a queryset again for every call and parses every time in Python; of a page of fifty
rows that was nine tenths of the call (benchmarks/services_load.py). The statement is written over
the names of a model's fields, so the model stays the definition.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, cast

from django.db import connections, models, router
from psycopg.pq import Format

from stillme.postgresql.base import DatabaseWrapper
from stillme.postgresql.names import Table


def select(model: type[models.Model], names: Iterable[str]) -> str:
    """`SELECT columns FROM table` of the fields with these attribute names (as `cycle_id`)."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    columns = ", ".join(f'"{fields[name].column}"' for name in names)
    return f"SELECT {columns} {from_table(model)}"


def from_table(model: type[models.Model]) -> str:
    """`FROM "schema"."table"`."""
    return f"FROM {Table.parse(model._meta.db_table).quoted}"


def limit_clause(limit: int | None) -> str:
    """SQLite's LIMIT: none at all where it is negative.

    Spelled out, not a parameter: the plan of a prepared statement depends on it.
    """
    return "" if limit is None or limit < 0 else f" LIMIT {operator.index(limit)}"


def fetch(
    model: type[models.Model], sql: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """The rows of a statement, from where `model` is read; jsonb comes parsed, times in UTC."""
    connection = cast(DatabaseWrapper, connections[router.db_for_read(model)])
    return connection.fetch_prepared(sql, parameters, Format.BINARY)
