"""One row stored with an INSERT that is compiled once per model and columns.

Django compiles the statement again for every object; in a service that stores one row per call that
took three quarters of the call's processor time (benchmarks/services_load.py). Values go through
their fields as in `Model.save`, errors are Django's; signals are not sent, and a column that is
not named gets the field's default, the database's default, or NULL.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, cast

from django.db import connections, models, router, transaction
from psycopg.types.json import Jsonb

from stillme.postgresql.base import DatabaseWrapper
from stillme.postgresql.distributed import is_distributed
from stillme.postgresql.names import Table
from stillme.services.connections import savepoint
from stillme.services.json_text import json_text


class _Insert(NamedTuple):
    sql: str
    fields: tuple[models.Field[Any, Any], ...]


def insert(model: type[models.Model], **values: Any) -> int:
    """Store a row of `values` (by attribute name, as `cycle_id`); answers its key."""
    found = insert_from(model, "", (), values)
    assert found is not None
    return found


def insert_from(
    model: type[models.Model], given: str, parameters: tuple[Any, ...], values: dict[str, Any]
) -> int | None:
    """The same after another statement, `given` with `parameters`: where that returns a row.

    One statement, and so one round trip, unless the table is on another node of a Citus cluster:
    there an INSERT below a WITH may take its ids from that node's sequence. Answers None where
    nothing was stored. In a caller's transaction an error undoes this statement only.
    """
    alias = router.db_for_write(model)
    connection = cast(DatabaseWrapper, connections[alias])
    if given and is_distributed(connection, model._meta.db_table):
        with transaction.atomic(using=alias):
            return insert(model, **values) if connection.fetch_prepared(given, parameters) else None
    before = f"WITH given AS ({given})" if given else ""
    statement = _compiled(alias, model, before, tuple(values))
    cells = [
        _cell(field, values.get(field.attname, _ABSENT), connection) for field in statement.fields
    ]
    with savepoint(alias):
        rows = connection.fetch_prepared(statement.sql, [*parameters, *cells])
    return int(rows[0][0]) if rows else None


_ABSENT = object()


def _cell(field: models.Field[Any, Any], value: Any, connection: DatabaseWrapper) -> Any:
    given = field.get_default() if value is _ABSENT else value
    cell = field.get_db_prep_save(given, connection)
    plain = isinstance(cell, Jsonb) and getattr(field, "encoder", None) is None
    return Jsonb(cell.obj, dumps=json_text) if plain else cell


@cache
def _compiled(
    alias: str, model: type[models.Model], before: str, names: tuple[str, ...]
) -> _Insert:
    fields = [f for f in model._meta.concrete_fields if f.attname in names or f.has_default()]
    unknown = set(names) - {f.attname for f in fields}
    missing = [
        f.attname
        for f in model._meta.concrete_fields
        if f not in fields and not f.null and not f.has_db_default() and not f.primary_key
    ]
    if unknown or missing:
        wrong = ", ".join(sorted([*unknown, *missing]))
        raise TypeError(f"{model.__name__} has no such columns, or needs them: {wrong}.")
    table = Table.parse(model._meta.db_table).quoted
    columns = ", ".join(f'"{field.column}"' for field in fields)
    # Parameters as text (%t): psycopg's binary form cuts an integer that is too large for its
    # column to 32 bits without a word. The cast, because a SELECT gives a parameter no type.
    marks = ", ".join(f"%t::{field.db_type(connections[alias])}" for field in fields)
    rows = f"SELECT {marks} FROM given" if before else f"VALUES ({marks})"
    key = model._meta.pk
    assert key is not None
    sql = f'{before} INSERT INTO {table} ({columns}) {rows} RETURNING "{key.column}"'
    return _Insert(sql.strip(), tuple(fields))
