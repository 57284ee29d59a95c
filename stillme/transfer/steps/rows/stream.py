"""The stream of common rows of one key range, as blocks of CSV, and its digest."""

from __future__ import annotations

import codecs
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

from stillme.transfer.key_columns import Condition
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.csv_format import QUOTE
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.sqlite.reading.row_source import RowSource
from stillme.transfer.steps.kinds.json_policy import all_clean, is_clean_bytes
from stillme.transfer.steps.rows.common_rows import CommonRows

# What psycopg sends at a time is 128 KiB; larger blocks it cuts, and the processor's cache loses.
_BLOCK_BYTES = 120_000
_QUOTE = QUOTE.encode()
_SLICE_BYTES = 1 << 20
_Row = tuple[Any, ...]
# Rowid, documents, line: each a sequence of one value a row.
_Columns = Sequence[Sequence[Any]]


class CommonStream:
    """Iterating yields CSV blocks of the common rows; `attention` collects the others' rowids, and
    `originals` the lines of what is to be kept of the rows, if anything. Some of the others SQL
    called common: `unclean` are those with a document that jsonb does not take as it is, `unsound`
    those of which SQL repairs nothing.

    After the iteration `rows` is the number of common rows and `hasher` has seen every block.
    A block ends with the row that fills it: memory is bounded by bytes, not by rows. Bytes that
    are no UTF-8 are left to PostgreSQL to refuse where the reader is `trusting`.
    """

    def __init__(
        self,
        source: RowSource,
        mapping: TableMapping,
        common: CommonRows,
        key_range: KeyRange,
        *,
        trusting: bool = False,
    ) -> None:
        self._source = source
        self._trusting = trusting
        self._documents = range(1, 1 + len(common.documents))
        self._width = len(common.documents) + 2 + bool(common.originals)
        self._quoted_cells = common.quoted_cells
        self._mapping, self._common, self._range = mapping, common, key_range
        self.attention: list[int] = []
        self.unsound: set[int] = set()
        self.unclean: set[int] = set()
        self.rows = 0
        self.originals: list[bytes] = []
        self.hasher = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        # Columns, not rows: what is asked of all values of one costs half as much.
        batch: list[list[Any]] = [[] for _ in range(self._width)]
        size = 0
        for rows in self._selected():
            columns: _Columns = list(zip(*rows, strict=False))
            if None in columns[-1]:
                columns = self._without(columns, [line is not None for line in columns[-1]])
            for kept, column in zip(batch, columns, strict=False):
                kept.extend(column)
            size += sum(map(len, columns[-1]))
            if size >= _BLOCK_BYTES:
                yield self._block(batch)
                batch, size = [[] for _ in batch], 0
        if batch[-1]:
            yield self._block(batch)

    def _without(self, columns: _Columns, sound: list[bool]) -> _Columns:
        """The rows that are `sound`; the others need attention."""
        self.attention += [rowid for rowid, fine in zip(columns[0], sound, strict=True) if not fine]
        return [list(compress(column, sound)) for column in columns]

    def _selected(self) -> Iterator[list[_Row]]:
        """Yield all rows of the range, a few at a time.

        From the batch with the first huge row on, ask each row for its size and yield it alone.
        """
        seen = 0
        query, values = _select(self._mapping, self._common, self._range)
        try:
            for rows in self._source.bounded(query, values):
                seen += len(rows)
                yield rows
            return
        except sqlite3.DataError:
            # Nobody writes a snapshot: the same rows come in the same order again.
            query, values = _select(self._mapping, self._common, self._range, sized=True)
            self.attention += self._huge()
        for row in self._source.rows(f"{query} LIMIT -1 OFFSET {seen}", values):
            yield [row]

    def _huge(self) -> list[int]:
        """Rows that the query leaves out, because its inner values would be whole rows."""
        if not self._common.inner:
            return []
        where, values = self._range.where(self._mapping)
        found = f"SELECT rowid FROM {quoted(self._mapping.table)} WHERE {where}"
        rows = self._source.rows(f"{found} AND NOT ({self._common.small})", values)
        return [rowid for (rowid,) in rows]

    def _block(self, batch: _Columns) -> bytes:
        for position in self._documents:
            batch = self._with_clean_documents(batch, position)
        data = b"".join(batch[-1])
        if not (_is_text(data, self._trusting) and self._is_well_quoted(batch, data)):
            known = len(self.attention)
            batch = self._without(batch, self._sound(batch))
            self.unsound.update(self.attention[known:])
            data = b"".join(batch[-1])
        self.rows += len(batch[-1])
        self.hasher.update(data)
        if self._common.originals:
            self.originals.append(b"".join(batch[-2]))
            # Not by the run: a later one must find the same digest.
            self.hasher.update(self.originals[-1].replace(self._common.prefix, b""))
        return data

    def _sound(self, batch: _Columns) -> list[bool]:
        """Of each row, what `_block` asks of all of them at once."""
        lines = batch[-1]
        sound = [_is_text(line, self._trusting) for line in lines]
        if self._quoted_cells is None:
            return sound
        cells = [self._quoted_cells] * len(lines)
        for position in self._documents:
            present = (document is not None for document in batch[position])
            cells = [count + more for count, more in zip(cells, present, strict=True)]
        found = zip(sound, lines, cells, strict=True)
        return [fine and line.count(_QUOTE) == 2 * count for fine, line, count in found]

    def _is_well_quoted(self, batch: _Columns, data: bytes) -> bool:
        """Whether the quotes are those around cells: no text holds one."""
        if self._quoted_cells is None:
            return True
        rows = len(batch[-1])
        cells = self._quoted_cells * rows
        for position in self._documents:
            cells += rows - batch[position].count(None)
        return data.count(_QUOTE) == 2 * cells

    def _with_clean_documents(self, batch: _Columns, position: int) -> _Columns:
        """The rows whose document jsonb takes as it is; the others need attention."""
        documents = batch[position]
        if all_clean([document for document in documents if document is not None]):
            return batch
        known = len(self.attention)
        batch = self._without(batch, [d is None or is_clean_bytes(d) for d in documents])
        self.unclean.update(self.attention[known:])
        return batch


def _is_text(data: bytes, is_utf8: bool) -> bool:
    """Whether PostgreSQL's text can hold the bytes: UTF-8 without U+0000."""
    if is_utf8 or b"\0" in data:
        return b"\0" not in data
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _SLICE_BYTES):
            decoder.decode(data[start : start + _SLICE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _select(
    mapping: TableMapping, common: CommonRows, key_range: KeyRange, *, sized: bool = False
) -> Condition:
    """Rowid, documents, line. Text as its bytes: it is on its way from UTF-8 to UTF-8."""
    table = quoted(mapping.table)
    where, values = key_range.where(mapping)
    order = mapping.key_columns.legacy() or "rowid"
    documents = [f"CAST({document} AS BLOB)" for document in common.documents]
    predicate = common.predicate
    if sized:
        predicate = f"{common.small} AND {predicate}"
        documents = [f"CASE WHEN {common.small} THEN {document} END" for document in documents]
    line = f"CASE WHEN {predicate} THEN CAST({common.line} AS BLOB) END"
    originals = [f"CAST({common.originals} AS BLOB)"] if common.originals else []
    parts = ", ".join(("rowid", *documents, *originals, line))
    source = f"{table} WHERE {where}"
    if common.inner:
        # With an offset, though of none, SQLite does not compute the inner values again and again.
        source += f" AND {common.small}" if sized else ""
        source = f"(SELECT {common.inner} FROM {source} LIMIT -1 OFFSET 0)"
    return f"SELECT {parts} FROM {source} ORDER BY {order}", values
