"""The judge's own reading of a legacy table, block by block.

A block is up to 2,000 rows in key order. SQLite gives each plain row as one canonical line
(`lines`); of those the block keeps a SHA-256, to be compared with PostgreSQL's. The rowids of all
other rows are noted, and those rows are read as they are stored (`stored_row`) and judged by cell.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, NamedTuple

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.snapshot_reader import few_of, rows_of
from stillme.transfer.verify.sides.aside_lines import AsideQuery, AsideRows
from stillme.transfer.verify.sides.canonical_lines import Lines
from stillme.transfer.verify.sides.json_blocks import DocumentBlock
from stillme.transfer.verify.sides.legacy_rows import Readers, StoredRows
from stillme.transfer.verify.sides.mended_lines import MendedLines

# Rowid, key, documents, doubles, line: each a sequence of one value a row.
Columns = Sequence[Sequence[Any]]
# A block of large rows ends early: memory is bounded by bytes.
_BLOCK_BYTES = 4_000_000
# SQLite reads so much SQL in the time of a row by cell: that of named zones has 32,000 bytes.
_SQL_BYTES = 16_000


class BlockContent(NamedTuple):
    """What both sides are asked about the same rows: how many they are, the SHA-256 of their lines,
    and that of the 64 bits of each real column."""

    rows: int
    lines: str
    reals: tuple[str, ...]


@dataclass(slots=True)
class Block:
    """Consecutive rows in key order.

    `last` is the last key, `rows` the number of rows, and `more` tells that others may follow.
    `plain` are the plain rows, column by column, with their `content` and `documents`; `unusual`
    and `unusual_keys` name the others, without those of which SQL knows what must have become: the
    `mended` ones, in blocks of their own, and those `aside`. Of the unusual ones the `lined` have a
    line, and differ in a document or in what is noted. `originals` is what must be kept of mended
    rows. All rows of a `broken` block are judged one by one.
    """

    last: Key | None = None
    rows: int = 0
    more: bool = False
    plain: Columns = ()
    content: BlockContent = field(default_factory=lambda: BlockContent(0, "", ()))
    documents: tuple[DocumentBlock, ...] = ()
    unusual: list[int] = field(default_factory=list)
    unusual_keys: list[tuple[Any, ...]] = field(default_factory=list)
    lined: set[int] = field(default_factory=set)
    broken: bool = False
    mended: list[Block] = field(default_factory=list)
    originals: list[bytes] = field(default_factory=list)
    aside: AsideRows = field(default_factory=AsideRows)

    @property
    def keys(self) -> list[Key]:
        """The keys of the plain rows, which are of one column each."""
        return [Key.of(value) for value in self.plain[1]]

    @property
    def digest(self) -> str:
        """Identifies the plain rows as they are stored."""
        parts = [self.content.lines, *self.content.reals, *(d.stored for d in self.documents)]
        if self.originals:
            parts.append(hashlib.sha256(b"".join(self.originals)).hexdigest())
        parts += [mended.digest for mended in self.mended]
        if self.aside.lines:
            parts.append(hashlib.sha256(b"\n".join(sorted(self.aside.lines))).hexdigest())
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


class LegacySide(StoredRows):
    """Reads blocks of one table of a snapshot, and its rows as they are stored.

    Without `readers` it reads no blocks: those of a live file.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        readers: Readers | None,
        mapping: TableMapping,
        lines: Lines,
        parents: dict[tuple[str, str], str],
        mended: Sequence[MendedLines] = (),
        aside: AsideQuery | None = None,
    ) -> None:
        super().__init__(connection, readers, mapping, parents)
        self._lines, self._mended, self._aside = lines, mended, aside
        # Of a row of `_query`: its rowid, its key, its documents, its doubles and its line.
        self._key_places = slice(1, 1 + len(mapping.key_columns.columns))
        first_real = self._key_places.stop + len(lines.documents)
        self._document_places = range(self._key_places.stop, first_real)
        self._real_places = range(first_real, first_real + len(lines.reals))

    def block(
        self, where: str, values: Sequence[Any], limit: int, noted: Collection[Any] = ()
    ) -> Block:
        """Read the next rows that meet the condition: up to `limit`, or a few megabytes of them.

        A row with a `noted` key does not count as plain: a record or an original of it exists.
        """
        assert self._readers is not None
        try:
            try:
                few = few_of(self._readers.bounded, self._query(where, limit), values)
                block = self._read(few, noted)
            except sqlite3.DataError:
                # There is something large among them: once more, each asked for its size.
                rows = rows_of(self._readers.any, self._query(where, limit, sized=True), values)
                block = self._read(([row] for row in rows), noted)
        except UnicodeDecodeError:
            # A key that is no UTF-8.
            return Block(broken=True)
        block.more = block.more or block.rows == limit
        self._sum_up(block)
        return block

    def tell_mended(self, block: Block, aside: Collection[Any]) -> None:
        """Take the mended rows out of the unusual ones; keys `aside` are of rows in quarantine.

        The documents of most need not be looked at one by one, which costs as much as all else.
        """
        keys = dict(zip(block.unusual, block.unusual_keys, strict=True))
        wanted = [rowid for rowid, key in keys.items() if key not in aside]
        lined = [rowid for rowid in wanted if rowid in block.lined]
        rowids = [rowid for rowid in wanted if rowid not in block.lined]
        for mended in self._mended:
            found = self._find_mended(mended, rowids)
            if found.content.rows and not found.more:
                block.mended.append(found)
                for rowid in found.plain[0]:
                    del keys[rowid]
            rowids = lined = [*lined, *found.lined]
        block.unusual, block.unusual_keys = [*keys], [*keys.values()]

    def _find_mended(self, mended: MendedLines, rowids: Collection[int]) -> Block:
        """The rows that are mended, all but those that are told one by one."""
        if len(rowids) <= len(mended.inner) // _SQL_BYTES:
            return Block()
        assert self._readers is not None
        key, lines = self._mapping.key_columns.legacy(), mended.lines
        line = f"CASE WHEN {lines.plain} THEN CAST({lines.legacy} AS BLOB) END"
        reals, documents = (
            [legacy for legacy, _ in both] for both in (lines.reals, lines.documents)
        )
        originals = f"CAST({mended.originals} AS BLOB)"
        parts = ", ".join(("rowid", key, *documents, *reals, originals, line))
        table = quoted(self._mapping.table)
        # With an offset, though of none, SQLite does not compute the inner values again and again.
        among = f"{table}.rowid IN (SELECT value FROM json_each(?))"
        inner = f"SELECT {mended.inner} FROM {table} NOT INDEXED WHERE {among}"
        # Rowids come in order, but SQLite does not know it, and would sort whole rows.
        order = "" if self._mapping.key_is_rowid else f" ORDER BY {key}"
        query = f"SELECT {parts} FROM ({inner} LIMIT -1 OFFSET 0){order}"
        listed = f"[{', '.join(map(str, rowids))}]"
        try:
            found = self._read(few_of(self._readers.bounded, query, [listed]), ())
        except sqlite3.DataError:
            # Something large is among them.
            return Block()
        self._sum_up(found)
        found.originals = [*found.plain[-2]]
        return found

    def tell_aside(self, block: Block) -> None:
        """Take the rows that must be set aside for a well-known reason out of the unusual ones."""
        if self._aside is None or not block.unusual:
            return
        assert self._readers is not None
        found = AsideRows()
        listed = f"[{', '.join(map(str, block.unusual))}]"
        try:
            for few in few_of(self._readers.bounded, self._aside.sql, [listed]):
                self._aside.read(few, found)
                if found.size > _BLOCK_BYTES:
                    # The rest is judged cell by cell.
                    break
        except sqlite3.DataError:
            # Something large is among them.
            return
        known = set(found.rowids)
        left = [rowid not in known for rowid in block.unusual]
        block.unusual_keys = list(compress(block.unusual_keys, left))
        block.unusual = list(compress(block.unusual, left))
        block.aside = found

    def _query(self, where: str, limit: int, *, sized: bool = False) -> str:
        key = self._mapping.key_columns.legacy()
        lines = self._lines
        documents, reals = (
            [legacy for legacy, _ in both] for both in (lines.documents, lines.reals)
        )
        test = lines.plain
        if sized:
            test = f"{lines.small} AND {test}"
            documents = [f"CASE WHEN {lines.small} THEN {document} END" for document in documents]
        line = f"CASE WHEN {test} THEN CAST({lines.legacy} AS BLOB) END"
        parts = ", ".join(("rowid", key, *documents, *reals, line))
        table = quoted(self._mapping.table)
        return f"SELECT {parts} FROM {table} WHERE {where} ORDER BY {key} LIMIT {limit}"

    def _read(self, rows: Iterator[list[tuple[Any, ...]]], noted: Collection[Any]) -> Block:
        """Read the rows that have a line; note the others in the block."""
        block = Block()
        plain: list[list[Any]] = [[] for _ in range(self._real_places.stop + 1)]
        size = 0
        for few in rows:
            columns: Columns = list(zip(*few, strict=False))
            plain += [[] for _ in range(len(columns) - len(plain))]
            block.rows += len(few)
            block.last = Key.of(*few[-1][self._key_places])
            if noted or None in columns[-1]:
                fine = [row[-1] is not None and row[self._key_places] not in noted for row in few]
                block.lined.update(
                    row[0]
                    for row, is_fine in zip(few, fine, strict=True)
                    if not is_fine and row[-1] is not None
                )
                columns = self._kept(block, columns, fine)
            for kept, column in zip(plain, columns, strict=False):
                kept.extend(column)
            size += sum(map(len, columns[-1]))
            for place in self._document_places:
                size += sum(map(len, filter(None, columns[place])))
            if size > _BLOCK_BYTES:
                block.more = True
                break
        block.plain = plain
        return block

    def _sum_up(self, block: Block) -> None:
        documents = []
        for place in self._document_places:
            documents.append(DocumentBlock(block.plain[place]))
            known = len(block.unusual)
            block.plain = self._kept(block, block.plain, documents[-1].plain)
            block.lined.update(block.unusual[known:])
        rows = len(block.plain[-1])
        if any(column.rows != rows for column in documents):
            documents = [DocumentBlock(block.plain[place]) for place in self._document_places]
        block.documents = tuple(documents)
        lines = hashlib.sha256(b"".join(block.plain[-1])).hexdigest()
        reals = tuple(_bits_digest(block.plain[place]) for place in self._real_places)
        block.content = BlockContent(rows, lines, reals)

    def _kept(self, block: Block, columns: Columns, fine: Sequence[bool]) -> Columns:
        """Return the rows that are `fine`; note the others in the block."""
        if all(fine):
            return columns
        others = [not is_fine for is_fine in fine]
        block.unusual += compress(columns[0], others)
        block.unusual_keys += compress(zip(*columns[self._key_places], strict=True), others)
        return [list(compress(column, fine)) for column in columns]


def _bits_digest(doubles: Sequence[float]) -> str:
    """SHA-256 of the doubles' 64 bits, most significant byte first, as PostgreSQL sends them."""
    numbers = array("d", doubles)
    if sys.byteorder == "little":
        numbers.byteswap()
    return hashlib.sha256(numbers.tobytes()).hexdigest()
