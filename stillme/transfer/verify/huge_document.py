"""Huge JSON documents in the judge: its server parses and compares, no process of ours holds one.

The legacy text goes to the server in pieces, into a temporary table. There it is a plain document
where no key stands twice in an object, nothing nests too deep and jsonb takes it; jsonb's own
equality then says whether the target holds it. The server must be PostgreSQL 16 or newer and let
its user make a temporary table. What it cannot say is found with the whole document, as ever.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from django.db import DatabaseError, connections, transaction

from stillme.postgresql.json_depth import DEEPEST
from stillme.transfer.mapping import TableMapping
from stillme.transfer.quoting import quoted as _q
from stillme.transfer.sqlite.huge_cell import HugeCell
from stillme.transfer.verify.huge_text import HugeText, of_cell

# The first with IS JSON.
OLDEST_SERVER = 160_000
_NOT_COMPARED = "not compared"
# About the server and not about the document: lost, shut down, cancelled, its disk.
_NOT_ABOUT_A_VALUE = ("08", "57", "58")

_LEGACY, _TARGET = "pg_temp.judged_legacy", "pg_temp.judged_target"
# Without a try to compress it.
CREATE = f"""
CREATE TEMPORARY TABLE {_LEGACY} (written text) ON COMMIT DROP;
ALTER TABLE {_LEGACY} ALTER written SET STORAGE EXTERNAL
"""
# An image of the one value: Citus joins no temporary table with one of other nodes.
_IMAGE = "CREATE TEMPORARY TABLE {image} ON COMMIT DROP AS SELECT {column} AS held FROM {relation}"
_HAS_UNIQUE_KEYS = f"SELECT written IS JSON WITH UNIQUE KEYS FROM {_LEGACY}"
_COMPARE = f"""
SELECT jsonb_path_exists(document, 'strict $.**{{{DEEPEST}}}'), document = held,
       octet_length(held::text)
FROM (SELECT written::jsonb AS document FROM {_LEGACY} OFFSET 0) AS legacy
LEFT JOIN {_TARGET} ON true
"""


@dataclass(frozen=True, slots=True, repr=False)
class HugeDocument(HugeText):
    """A huge text in a JSON column. `found` is what the target holds instead: nothing is said
    there where it holds the same document."""

    cell: HugeCell | None = None
    found: str = _NOT_COMPARED

    def read(self) -> bytes:
        """The whole of it."""
        assert self.cell is not None
        return self.cell.read()


def of_document(cell: HugeCell) -> HugeDocument:
    """Of a stored one, read once."""
    text = of_cell(cell)
    return HugeDocument(text.size, text.sha256, text.fault, cell)


Cells = Mapping[str, tuple[str, Any]]


class DocumentJudge:
    """Compares huge documents of one table on the target's server."""

    def __init__(self, alias: str, mapping: TableMapping) -> None:
        self._alias, self._mapping = alias, mapping

    def compared(self, cells: Cells, key: Any) -> Cells:
        """The cells of a row, each huge document compared with that of the target's row `key`
        (None: there is none), or whole where it may not be what jsonb takes unchanged."""
        settled = {
            name: (storage, self._settled(name, value, key))
            for name, (storage, value) in cells.items()
            if isinstance(value, HugeDocument)
        }
        return {**cells, **settled} if settled else cells

    def _settled(self, name: str, document: HugeDocument, key: Any) -> HugeDocument | bytes:
        if document.fault == "invalid_utf8":
            return document
        found = None if document.fault else self._found(name, document, key)
        return document.read() if found is None else replace(document, found=found)

    def _found(self, name: str, document: HugeDocument, key: Any) -> str | None:
        """What the target holds instead; None where the server has no answer."""
        try:
            with transaction.atomic(using=self._alias):
                found = self._ask(name, document, key)
                # Nothing of it stays, be it a part of a longer transaction.
                transaction.set_rollback(True, using=self._alias)
        except (psycopg.Error, DatabaseError) as error:
            cause = error if isinstance(error, psycopg.Error) else error.__cause__
            state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
            if state is None or state[:2] in _NOT_ABOUT_A_VALUE:
                raise
            return None
        return found

    def _ask(self, name: str, document: HugeDocument, key: Any) -> str | None:
        with connections[self._alias].cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version_num')::int")
            if cursor.fetchone()[0] < OLDEST_SERVER:
                return None
            cursor.execute(CREATE)
            with cursor.copy(f"COPY {_LEGACY} FROM STDIN (FORMAT binary)") as copy:
                for piece in _binary(document):
                    copy.write(piece)
            cursor.execute(_HAS_UNIQUE_KEYS)
            if cursor.fetchone() != (True,):
                return None
            self._make_image(cursor, name, key)
            cursor.execute(_COMPARE)
            is_deep, is_same, size = cursor.fetchone()
        if is_deep:
            return None
        if is_same:
            return ""
        return "NULL" if size is None else f"another document, of {size} bytes as jsonb prints it"

    def _make_image(self, cursor: Any, name: str, key: Any) -> None:
        column = self._mapping.column(name)
        assert column is not None
        query = _IMAGE.format(
            image=_TARGET, column=_q(column.target), relation=self._mapping.relation
        )
        if key is None or self._mapping.key is None:
            cursor.execute(f"{query} WHERE false")
        else:
            cursor.execute(f"{query} WHERE {_q(self._mapping.key.target)} = %s", [key])


def _binary(document: HugeDocument) -> Iterator[bytes]:
    """One row of one text, in the binary format of COPY: nothing in it needs an escape."""
    assert document.cell is not None
    yield b"PGCOPY\n\xff\r\n\x00" + struct.pack(">iihi", 0, 0, 1, document.size)
    yield from document.cell.pieces()
    yield struct.pack(">h", -1)
