"""The judge's own reading of the target: floats in PostgreSQL's binary form, JSON as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from django.db import connections


@dataclass(frozen=True, slots=True)
class TargetItem:
    """One row of vector.items."""

    embedding_id: str
    document: str | None
    metadata: str
    embedding: list[float]
    origin: str
    created_at: datetime | None
    legacy_seq_id: int | None


_SELECT = (
    "SELECT embedding_id, document, metadata::text, embedding, origin, created_at, legacy_seq_id "
    'FROM "vector"."items" WHERE collection_id = %s AND embedding_id = ANY(%s)'
)


def target_items(alias: str, collection: int, keys: Sequence[str]) -> dict[str, TargetItem]:
    """The items of a collection with these ids."""
    with _binary_cursor(alias) as cursor:
        cursor.execute(_SELECT, [collection, list(keys)])
        return {row[0]: TargetItem(*row) for row in cursor.fetchall()}


def target_ids(alias: str, collection: int) -> set[str]:
    """All ids of a collection."""
    with _binary_cursor(alias) as cursor:
        sql = 'SELECT embedding_id FROM "vector"."items" WHERE collection_id = %s'
        cursor.execute(sql, [collection])
        return {row[0] for row in cursor.fetchall()}


def _binary_cursor(alias: str) -> Any:
    """psycopg's own cursor: in text a float32 would be the shortest decimal that names it.

    Django's are client-side cursors, which cannot give binary results.
    """
    wrapper = connections[alias]
    wrapper.ensure_connection()
    cursor = psycopg.Cursor(wrapper.connection)
    cursor.format = psycopg.pq.Format.BINARY
    return cursor
