"""What the target says of a block of rows: their count, their lines, doubles and documents.

A server without OpenSSL takes longer to hash lines than to hand them over. So a server on this
machine hands them over, and they are hashed here. Over a network only their checksum travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connections
from psycopg.adapt import Buffer, Loader

from stillme.transfer.verify.sides.canonical_lines import Lines
from stillme.transfer.verify.sides.legacy_blocks import BlockContent
from stillme.transfer.verify.sides.row_query import read

_NEAR = ("", "localhost", "127.0.0.1", "::1")
# A legacy block is 4 MB and its last row. Lines beyond this are not equal to those, and stay
# where they are.
_MOST_BYTES = 16_000_000


class _TextAsBytes(Loader):
    """Hands over text as bytes in UTF-8: it is hashed or parsed, and never needed as a str."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def read_block(
    alias: str, lines: Lines, source: str, values: Sequence[Any]
) -> tuple[BlockContent, tuple[bytes, ...]]:
    """Return the content of the rows that ``FROM ... ORDER BY`` (`source`) gives, and each JSON
    column as one array."""
    near = is_near(alias)
    query = _block_select(lines, source, near=near)
    [(rows, text, *others)] = read(alias, query, values, _TextAsBytes)
    reals = len(lines.reals)
    found = tuple(real.decode() for real in others[:reals])
    return BlockContent(rows, _digest(text, near=near), found), tuple(others[reals:])


def _digest(text: bytes | None, *, near: bool) -> str:
    """SHA-256 of the lines, as hex; '' if they are too many bytes to be handed over."""
    if text is None:
        return ""
    return hashlib.sha256(text).hexdigest() if near else text.decode()


def is_near(alias: str) -> bool:
    """Whether the server is on this machine."""
    connection = connections[alias]
    connection.ensure_connection()
    assert isinstance(connection.connection, psycopg.Connection)
    host = connection.connection.info.host
    return host.startswith("/") or host in _NEAR


def _block_select(lines: Lines, source: str, *, near: bool) -> str:
    """The SELECT of a block: count, lines, doubles and documents of its rows, in key order."""
    parts, sums, told = [f"{lines.target} AS line"], ["count(*) AS rows"], ["rows"]
    sums.append("coalesce(string_agg(line, ''), '') AS lines")
    if near:
        told.append(f"CASE WHEN octet_length(lines) <= {_MOST_BYTES} THEN lines END")
    else:
        told.append(_sha256("convert_to(lines, 'UTF8')"))
    for number, (_, real) in enumerate(lines.reals):
        parts.append(f"{real} AS real{number}")
        sums.append(f"coalesce(string_agg(real{number}, ''), '') AS bits{number}")
        told.append(_sha256(f"bits{number}"))
    for number, (_, document) in enumerate(lines.documents):
        parts.append(f"{document} AS document{number}")
        sums.append(f"coalesce(string_agg(document{number}, ','), '') AS documents{number}")
        told.append(f"'[' || documents{number} || ']'")
    return (
        f"SELECT {', '.join(told)} FROM (SELECT {', '.join(sums)} "
        f"FROM (SELECT {', '.join(parts)} {source}) AS block) AS sums"
    )


def _sha256(value: str) -> str:
    return f"encode(sha256({value}), 'hex')"
