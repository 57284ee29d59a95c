"""The judge's own reading of the legacy side: plain lines by block, raw rows by key."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, starmap
from typing import Any, NamedTuple

import apsw

from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.connect import EXACT_DOUBLE, quoted
from stillme.transfer.sqlite.huge_cell import HugeCell, is_huge, may_be_huge_text
from stillme.transfer.sqlite.snapshot_reader import few_of, rows_of
from stillme.transfer.verify.document_blocks import DocumentBlock
from stillme.transfer.verify.huge_text import HugeText, of_cell
from stillme.transfer.verify.lines import Lines
from stillme.transfer.verify.local_clock import row_minutes_sql

Raw = None | int | float | bytes | HugeText
# Rowid, key, documents, doubles, line: each a sequence of one value a row.
Columns = Sequence[Sequence[Any]]
# A block of large rows ends early: memory is bounded by bytes.
_BLOCK_BYTES = 4_000_000


class BlockContent(NamedTuple):
    """What both sides say of the same rows: how many, SHA-256 of their lines, and of the 64 bits
    of each real column."""

    rows: int
    lines: str
    reals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One legacy row: rowid, (storage class, value) per column, its own offset, flags."""

    rowid: int | None
    cells: Mapping[str, tuple[str, Raw]]
    minutes: int | None
    lost_parents: frozenset[str]
    is_repeat: bool

    @property
    def stored(self) -> bytes:
        """Everything that is known of it, spelled."""
        parts = (self.rowid, self.cells, self.minutes, sorted(self.lost_parents), self.is_repeat)
        return repr(parts).encode()

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        return sum(len(value) for _, value in self.cells.values() if isinstance(value, bytes))


@dataclass(slots=True)
class Block:
    """Consecutive rows in key order: their number, the last key, whether more rows follow, the
    plain ones by column and their content, and the rows that are not plain. `broken`: its rows are
    to be judged one by one."""

    last: Key | None = None
    rows: int = 0
    more: bool = False
    plain: Columns = ()
    content: BlockContent = field(default_factory=lambda: BlockContent(0, "", ()))
    documents: tuple[DocumentBlock, ...] = ()
    unusual: list[int] = field(default_factory=list)
    unusual_keys: list[Key] = field(default_factory=list)
    broken: bool = False

    @property
    def digest(self) -> str:
        """Of the plain rows as they are stored."""
        parts = (self.content.lines, *self.content.reals, *(d.stored for d in self.documents))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


class Readers(NamedTuple):
    """Two connections to a snapshot: any row, and rows without anything large (else an error)."""

    any: apsw.Connection
    bounded: apsw.Connection


class LegacySide:
    """Reads one table of a snapshot: blocks of lines, and single rows as they are stored.

    Without `readers` single rows only, through `connection`: those of a live file.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        readers: Readers | None,
        mapping: TableMapping,
        lines: Lines,
        parents: dict[str, str],
    ) -> None:
        self._db, self._readers = connection, readers
        self._mapping = mapping
        self._lines = lines
        self._parents = parents
        self._names = [c.legacy for c in mapping.columns] + list(mapping.extra)
        self._huge = may_be_huge_text(mapping) if readers else ()
        # Of a row of `_query`: its rowid, its key, its documents, its doubles and its line.
        self._key_places = slice(1, 1 + len(mapping.key_columns.columns))
        first_real = self._key_places.stop + len(lines.documents)
        self._document_places = range(self._key_places.stop, first_real)
        self._real_places = range(first_real, first_real + len(lines.reals))

    def block(
        self, where: str, values: Sequence[Any], limit: int, noted: Collection[Any] = ()
    ) -> Block:
        """The next rows that meet the condition: up to `limit`, or a few megabytes of them.

        Rows with a `noted` key are not plain: somebody kept something of them.
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
        """A block of the rows that have a line, told of the others."""
        block = Block()
        plain: list[list[Any]] = [[] for _ in range(self._real_places.stop + 1)]
        size = 0
        for few in rows:
            columns: Columns = list(zip(*few, strict=False))
            block.rows += len(few)
            block.last = Key.of(*few[-1][self._key_places])
            if noted or None in columns[-1]:
                fine = [row[-1] is not None and row[self._key_places] not in noted for row in few]
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
            block.plain = self._kept(block, block.plain, documents[-1].plain)
        rows = len(block.plain[-1])
        if any(column.rows != rows for column in documents):
            documents = [DocumentBlock(block.plain[place]) for place in self._document_places]
        block.documents = tuple(documents)
        lines = hashlib.sha256(b"".join(block.plain[-1])).hexdigest()
        reals = tuple(_bits_digest(block.plain[place]) for place in self._real_places)
        block.content = BlockContent(rows, lines, reals)

    def _kept(self, block: Block, columns: Columns, fine: Sequence[bool]) -> Columns:
        """The rows that are `fine`; the block is told of the others."""
        if all(fine):
            return columns
        others = [not is_fine for is_fine in fine]
        block.unusual += compress(columns[0], others)
        keys = zip(*columns[self._key_places], strict=True)
        block.unusual_keys += starmap(Key.of, compress(keys, others))
        return [list(compress(column, fine)) for column in columns]

    def only_text(self, block: Block) -> Block:
        """The block, its lines that PostgreSQL's text cannot hold among the unusual rows.

        For a block that differs: lines that are equal to the target's need not be looked at.
        """
        lines = block.plain[-1] if block.plain else ()
        if _is_text(b"".join(lines)):
            return block
        others = replace(block, unusual=[*block.unusual], unusual_keys=[*block.unusual_keys])
        others.plain = self._kept(others, block.plain, [_is_text(line) for line in lines])
        self._sum_up(others)
        return others

    def rows(self, where: str, values: Sequence[Any] = ()) -> Iterator[StoredRow]:
        """Raw rows that meet an SQL condition."""
        mapping = self._mapping
        table = quoted(mapping.table)
        parts = [f"{table}.rowid" if mapping.has_rowid else "NULL"]
        parts.append(row_minutes_sql(mapping.clock) if mapping.clock else "NULL")
        parts.append(self._repeat())
        references = [c.legacy for c, _ in mapping.references()]
        for column, parent in mapping.references():
            test = self._parents[parent].format(f"{table}.{quoted(column.legacy)}")
            parts.append(f"NOT ({test})")
        for name in self._names:
            column_name = f"{table}.{quoted(name)}"
            as_bytes = f"iif(typeof({column_name}) = 'text', CAST({column_name} AS BLOB)"
            value = f"{as_bytes}, {column_name})"
            if name in self._huge:
                left = f"typeof({column_name}) = 'text' AND {is_huge(column_name)}"
                value = f"iif({left}, NULL, {value})"
            parts += [f"typeof({column_name})", value]
        query = f"SELECT {', '.join(parts)} FROM {table} WHERE {where}"
        for rowid, minutes, repeat, *rest in self._run(query, values):
            flags, found = rest[: len(references)], rest[len(references) :]
            cells = {name: (found[2 * i], found[2 * i + 1]) for i, name in enumerate(self._names)}
            for name in self._huge:
                if cells[name] == ("text", None):
                    cells[name] = ("text", self._huge_value(name, rowid))
            yield StoredRow(
                rowid,
                cells,
                minutes,
                frozenset(n for n, lost in zip(references, flags, strict=True) if lost),
                bool(repeat),
            )

    def _run(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        if self._readers is None:
            return self._db.execute(query, tuple(values))
        return rows_of(self._readers.any, query, values)

    def _huge_value(self, name: str, rowid: int) -> HugeText:
        assert self._readers is not None
        return of_cell(HugeCell(self._readers.any, self._mapping.table, name, rowid))

    def _repeat(self) -> str:
        mapping = self._mapping
        if not mapping.key_columns or mapping.key_is_unique:
            return "0"
        table = quoted(mapping.table)
        tests = [_reads_alike(column, "o", table) for column in mapping.key_columns]
        others = f"SELECT %s FROM {table} AS o WHERE {' AND '.join(tests)}"
        if not mapping.has_rowid:
            return f"1 < ({others % 'count(*)'})"
        return f"{table}.rowid > ({others % 'min(o.rowid)'})"

    def by_rowid(self, rowids: Sequence[int]) -> Iterator[StoredRow]:
        """Raw rows by rowid."""
        table = quoted(self._mapping.table)
        for start in range(0, len(rowids), 400):
            listed = ", ".join(str(rowid) for rowid in rowids[start : start + 400])
            yield from self.rows(f"{table}.rowid IN ({listed})")


def _reads_alike(column: MappedColumn, one: str, other: str) -> str:
    """Whether the target would hold the same value of two rows in a column of the key."""
    name = quoted(column.legacy)
    one, other = f"{one}.{name}", f"{other}.{name}"
    if not column.holds_text:
        return f"{one} = {other}"
    # A number is loaded as its text, and may be the text of another row.
    return (
        f"({one} = {other} OR typeof({one}) <> typeof({other})"
        f" AND typeof({one}) <> 'blob' AND typeof({other}) <> 'blob'"
        f" AND {_as_text(one)} = {_as_text(other)})"
    )


def _as_text(name: str) -> str:
    return f"iif(typeof({name}) = 'real', {EXACT_DOUBLE}({name}), CAST({name} AS TEXT))"


def _is_text(data: bytes) -> bool:
    """Whether the bytes are UTF-8 without U+0000."""
    if b"\0" in data:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _bits_digest(doubles: Sequence[float]) -> str:
    """Of the doubles' 64 bits, most significant byte first, as PostgreSQL sends them."""
    numbers = array("d", doubles)
    if sys.byteorder == "little":
        numbers.byteswap()
    return hashlib.sha256(numbers.tobytes()).hexdigest()
