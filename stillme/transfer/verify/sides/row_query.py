"""A query about the rows of a target table, of which nothing but the rows can change the answer.

Every function and operator in it is PostgreSQL's own. Without that, one of somebody's that fits a
type better is called, wherever pg_catalog stands in the search_path: of a varchar column,
``octet_length(varchar)`` in public goes before PostgreSQL's, which takes a text.

A text that is not UTF-8 (a damaged page) comes as what equals no text of a legacy file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections
from psycopg.adapt import Buffer, Loader

# Within the statement's own transaction, or the caller's: so the path is put back, too.
_OWN_NAMES = (
    "SELECT pg_catalog.set_config('stillme.path', pg_catalog.current_setting('search_path'), true),"
    " pg_catalog.set_config('search_path', 'pg_catalog', true);\n"
)
_BACK = (
    ";\nSELECT pg_catalog.set_config('search_path', "
    "pg_catalog.current_setting('stillme.path'), true)"
)


class _AnyBytes(Loader):
    """Hands over text; bytes that are not UTF-8 as lone surrogates."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "surrogateescape")


def read(
    alias: str, sql: str, values: Sequence[Any] = (), text: type[Loader] = _AnyBytes
) -> list[tuple[Any, ...]]:
    """Rows of a query whose relations all have their schema. `text` loads its texts."""
    connection = connections[alias]
    if values:
        # A server that binds parameters itself takes one statement at a time.
        sql = connection.ops.compose_sql(sql, list(values))  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        for name in ("text", "varchar", "bpchar"):
            cursor.cursor.adapters.register_loader(name, text)
        cursor.execute(f"{_OWN_NAMES}{sql}{_BACK}")
        cursor.nextset()
        return list(cursor.fetchall())
