"""The judge's own reading of the target: floats in PostgreSQL's binary form, JSON as text."""

from __future__ import annotations

import struct
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.db import connections, transaction
from psycopg.adapt import Buffer, Loader
from psycopg.types.datetime import TimestamptzBinaryLoader

from stillme.postgresql.statements import set_local
from stillme.transfer.verify.tables.index_scans import BY_SCAN
from vector.serving import pgvector as extension

_ARRAY = struct.Struct(">iiIii")
_EMPTY = struct.pack(">iiI", 0, 0, 700)


class TargetItem(NamedTuple):
    """One row of vector.items. The embedding is little-endian float32; None: no plain array."""

    embedding_id: str
    document: str | None
    metadata: str
    embedding: bytes | None
    origin: str
    created_at: datetime | str | None
    legacy_seq_id: int | None


_SELECT = (
    "SELECT embedding_id, document, metadata::text, {embedding}, origin, created_at, "
    'legacy_seq_id FROM "vector"."items" WHERE collection_id = %s AND embedding_id = ANY(%s)'
)
_COLLECTION = (
    'SELECT name, tenant, "database", metric, dimension, configuration, schema, created_at, '
    'metadata::text FROM "vector"."collections" WHERE id = %s'
)
_AS_ARRAY = _SELECT.format(embedding="pg_catalog.array_send(embedding)")


class _AnyText(Loader):
    """Hands over text; bytes that are not UTF-8 (of a damaged page) as lone surrogates."""

    format = psycopg.pq.Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "surrogateescape")


class _AnyMoment(TimestamptzBinaryLoader):
    """Hands over a time, or a word for one that Python's calendar has not."""

    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return "beyond the calendar"


class TargetReader:
    """Reads the items of one collection."""

    def __init__(self, alias: str, collection: int) -> None:
        self.alias, self.collection = alias, collection
        self._as_vector = _as_vector(alias)

    def items(self, keys: Sequence[str]) -> dict[str, TargetItem]:
        """The items with these ids."""
        decode = float32_of_vector if self._as_vector else float32_of_array
        try:
            with transaction.atomic(using=self.alias):
                return self._fetch(self._as_vector or _AS_ARRAY, keys, decode)
        except (psycopg.DataError, UnicodeDecodeError):
            # Only these may have an odd value: the next are tried the quick way again.
            return self._fetch(_AS_ARRAY, keys, float32_of_array, odd=True)

    def _fetch(
        self,
        sql: str,
        keys: Sequence[str],
        decode: Callable[[Any], bytes | None],
        *,
        odd: bool = False,
    ) -> dict[str, TargetItem]:
        rows = _rows(self.alias, sql, [self.collection, list(keys)], odd=odd)
        return {
            row[0]: TargetItem(row[0], row[1], row[2], decode(row[3]), *row[4:]) for row in rows
        }


def collection_cells(alias: str, pk: int) -> tuple[Any, ...]:
    """The cells of a collection that the judge compares, the metadata last, as text: Python refuses
    some numbers that jsonb takes."""
    return _rows(alias, _COLLECTION, [pk], odd=True)[0]


def _as_vector(alias: str) -> str:
    """The reading of items through pgvector, '' without it.

    Its sending takes a third of the server's time, but takes no NaN, infinity or NULL, and does not
    say at which number an array begins.
    """
    pgvector = extension.usable(alias)
    if pgvector is None:
        return ""
    sent = f"{pgvector.named('vector_send')}(embedding::{pgvector.vector(None)})"
    plain = "pg_catalog.array_lower(embedding, 1) = 1"
    return _SELECT.format(embedding=f"CASE WHEN {plain} THEN {sent} END")


@contextmanager
def full_scans(alias: str) -> Iterator[None]:
    """A transaction whose queries go through whole tables: an index may miss rows."""
    with transaction.atomic(using=alias):
        set_local(connections[alias], BY_SCAN)
        yield


def target_ids(alias: str, collection: int) -> Counter[str]:
    """How often each id is in a collection, by a full scan."""
    sql = 'SELECT embedding_id FROM "vector"."items" WHERE collection_id = %s'
    with full_scans(alias):
        try:
            rows = _rows(alias, sql, [collection])
        except UnicodeDecodeError:
            rows = _rows(alias, sql, [collection], odd=True)
    return Counter(row[0] for row in rows)


def float32_of_vector(sent: bytes | None) -> bytes | None:
    """The little-endian float32 of a `vector` as pgvector sends it: size, nothing, bits."""
    return None if sent is None else _turned(array("I", sent[4:]))


def float32_of_array(sent: bytes) -> bytes | None:
    """The little-endian float32 of a `real[]` as PostgreSQL sends it.

    None for anything but a plain array: more dimensions, other bounds, a NULL inside.
    """
    if sent == _EMPTY:
        return b""
    if len(sent) < _ARRAY.size:
        return None
    dimensions, _nulls, _type, size, lower = _ARRAY.unpack_from(sent)
    # Each element is its length and its bits; a NULL has no bits, so the sum would not be met.
    if (dimensions, lower) != (1, 1) or len(sent) != _ARRAY.size + 8 * size:
        return None
    return _turned(array("I", sent[_ARRAY.size :])[1::2])


def _turned(bits: array[int]) -> bytes:
    if sys.byteorder == "little":
        bits.byteswap()
    return bits.tobytes()


def _rows(
    alias: str, sql: str, values: Sequence[Any], *, odd: bool = False
) -> list[tuple[Any, ...]]:
    """In binary form: as text a float32 would be the shortest decimal that names it, and a text
    would end at a U+0000. `odd` takes every text and time, and is slower.

    Django's are client-side cursors, which cannot give binary results.
    """
    wrapper = connections[alias]
    wrapper.ensure_connection()
    with psycopg.Cursor(wrapper.connection) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        if odd:
            cursor.adapters.register_loader("text", _AnyText)
            cursor.adapters.register_loader("timestamptz", _AnyMoment)
        return cursor.execute(sql, values).fetchall()
