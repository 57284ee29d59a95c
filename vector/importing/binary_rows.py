"""Rows of `vector.items` in PostgreSQL's binary COPY format: no float passes through text."""

from __future__ import annotations

import re
import struct
from array import array
from datetime import UTC, datetime
from functools import lru_cache

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
COLUMNS = (
    "collection_id",
    "embedding_id",
    "document",
    "metadata",
    "embedding",
    "origin",
    "created_at",
    "legacy_seq_id",
)
_COUNT = struct.pack(">h", len(COLUMNS))
_NULL = struct.pack(">i", -1)
_length = struct.Struct(">i").pack
_bigint = struct.Struct(">iq").pack
_ARRAY = struct.Struct(">iiIii")
_FLOAT4 = 700
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def row_bytes(
    collection: int,
    embedding_id: bytes,
    document: str | None,
    metadata: str,
    vector: bytes,
    origin: str,
    created_at: int | None,
    seq_id: int,
) -> bytes:
    """One row. `vector` is little-endian float32, `created_at` microseconds since 2000 in UTC."""
    text = b"" if document is None else document.encode()
    json = metadata.encode()
    embedding = real_array(vector)
    return b"".join(
        (
            _COUNT,
            _bigint(8, collection),
            _length(len(embedding_id)),
            embedding_id,
            _NULL if document is None else _length(len(text)),
            text,
            # jsonb on the wire: its version, then the text.
            _length(len(json) + 1),
            b"\x01",
            json,
            _length(len(embedding)),
            embedding,
            _length(len(origin)),
            origin.encode(),
            _NULL if created_at is None else _bigint(8, created_at),
            _bigint(8, seq_id),
        )
    )


def real_array(vector: bytes) -> bytes:
    """`real[]` on the wire: each element is its length and its big-endian bits."""
    size = len(vector) // 4
    if not size:
        return struct.pack(">iiI", 0, 0, _FLOAT4)
    elements = array("I", _lengths(size))
    bits = array("I", vector)
    bits.byteswap()
    elements[1::2] = bits
    return _ARRAY.pack(1, 0, _FLOAT4, size, 1) + elements.tobytes()


@lru_cache(maxsize=8)
def _lengths(size: int) -> bytes:
    return b"\0\0\0\4\0\0\0\0" * size


@lru_cache(maxsize=1024)
def stamp(text: str | None) -> int | None:
    """SQLite's CURRENT_TIMESTAMP (UTC) as microseconds since 2000; ValueError for other text."""
    if text is None:
        return None
    if not _STAMP.fullmatch(text):
        raise ValueError(f"{text!r} is no time as CURRENT_TIMESTAMP writes it")
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int((moment - _EPOCH).total_seconds()) * 1_000_000
