"""Reading one key range: the common rows as a stream, the others as raw rows, one digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.rows.common_rows import CommonRows
from stillme.transfer.steps.rows.load_huge import digest
from stillme.transfer.steps.rows.mended_rows import Rowids
from stillme.transfer.steps.rows.packed import PackedRow
from stillme.transfer.steps.rows.stream import CommonStream
from stillme.transfer.steps.rows.table_source import TableSource

_ROWIDS_AT_ONCE, _MENDED_AT_ONCE, _FAULTY_AT_ONCE = 500, 5_000, 2_000
# A range of 50,000 usual rows is 22 MB. The others are larger in memory than in the file.
_KEPT_BYTES, _KEPT_OTHERS = 32_000_000, 12_000_000
# What Python needs for a raw row and for each of its cells in addition to the values.
_ROW_BYTES, _CELL_BYTES = 200, 110


class RangeReader:
    """One pass over a key range.

    First iterate `blocks()`, then `mended()`, then `others()`. After `mended()`, `faulty` are the
    rows that are set aside for a reason that SQL knows; unless the reader is to `keep_faulty`,
    they come among the others. Who leaves `mended()` out gets all of them there, and another
    digest. `by_hand` tells that the table has no rowids by which to leave single rows to
    `others()`: then that is every row. `digest()` identifies the legacy content of the range
    however it was read. A `trusting` reader leaves it to PostgreSQL to refuse bytes that are no
    UTF-8; its digest counts only where PostgreSQL took everything.
    """

    def __init__(
        self,
        source: TableSource,
        key_range: KeyRange,
        *,
        trusting: bool = False,
        keep_faulty: bool = False,
    ) -> None:
        self._source, self._keep_faulty = source, keep_faulty
        self._range = key_range
        self._stream = CommonStream(
            source.stream, source.job.mapping, source.common, key_range, trusting=trusting
        )
        self._hasher = hashlib.sha256()
        self.by_hand = not source.job.mapping.has_rowid
        self.rows = self.repaired = 0
        self.originals: list[bytes] = []
        self.faulty: list[PackedRow] = []
        # Of rows that come among the others, those that the digest has seen.
        self._told: set[int] = set()

    def blocks(self) -> Iterator[bytes]:
        """CSV of the common rows."""
        if not self.by_hand:
            yield from self._stream
        self.rows = self._stream.rows

    def mended(self) -> Iterator[bytes]:
        """CSV of the rows that SQL repairs; `originals` are the lines to be kept of them."""
        if not self.by_hand:
            yield from self._mended()
            self._tell_faulty()

    def _mended(self) -> Iterator[bytes]:
        source, first = self._source, self._stream
        if source.mended is None:
            return
        # To look at a document costs as much as all else of a row: those that the stream has found
        # to be clean, as it does a batch at a time, are not looked at again.
        left, unclean = [*first.unsound], {*first.unclean}
        rowids = {*first.attention} - first.unsound - unclean
        yield from self._mend(source.mended, rowids, left, unclean)
        if source.mended_documents is not None:
            yield from self._mend(source.mended_documents, unclean, left, set())
        first.attention = left
        self.rows += self.repaired

    def _mend(
        self, mended: CommonRows, rowids: set[int], left: list[int], unclean: set[int]
    ) -> Iterator[bytes]:
        """CSV of the rows that it repairs; the others go to `unclean`, or are `left`."""
        listed = sorted(rowids)
        for start in range(0, len(listed), _MENDED_AT_ONCE):
            some = Rowids(0, rowids=tuple(listed[start : start + _MENDED_AT_ONCE]))
            stream = CommonStream(self._source.stream, self._source.job.mapping, mended, some)
            yield from stream
            self.repaired += stream.rows
            self.originals += stream.originals
            unclean |= stream.unclean
            left += (rowid for rowid in stream.attention if rowid not in unclean)
            self._hasher.update(stream.hasher.digest())

    def _tell_faulty(self) -> None:
        """Take the rows that are set aside for a reason that SQL knows out of the others."""
        faulty = self._source.faulty
        if faulty is None:
            return
        left: list[int] = []
        rowids = sorted(self._stream.attention)
        for start in range(0, len(rowids), _FAULTY_AT_ONCE):
            found, unknown = faulty.read(
                self._source.stream, rowids[start : start + _FAULTY_AT_ONCE]
            )
            left += unknown
            told = [f"{row.reason} {row.column} {row.sentence}" for row in found]
            self._hasher.update("\n".join([*told, ""]).encode())
            self._hasher.update(b"\n".join([row.cells() for row in found]))
            if self._keep_faulty:
                self.faulty += found
            else:
                self._told.update(row.rowid for row in found if row.rowid is not None)
        self._stream.attention = [*left, *self._told]
        self.rows += len(self.faulty)

    def others(self) -> Iterator[RawRow]:
        """The raw rows that need attention."""
        for row in self._others():
            self.rows += 1
            if row.rowid in self._told:
                yield row
                continue
            self._hasher.update(repr((row.cells, row.row_offset, sorted(row.orphaned))).encode())
            if row.huge:
                self._hasher.update(digest(row.huge.values()).encode())
            yield row

    def _others(self) -> Iterator[RawRow]:
        if self.by_hand:
            yield from self.everything()
            return
        rowids = sorted(self._stream.attention)
        table = quoted(self._source.job.mapping.table)
        for start in range(0, len(rowids), _ROWIDS_AT_ONCE):
            listed = ", ".join(map(str, rowids[start : start + _ROWIDS_AT_ONCE]))
            yield from self._source.lean.where(f"{table}.rowid IN ({listed})")

    def everything(self) -> Iterator[RawRow]:
        """Every row of the range, raw."""
        mapping = self._source.job.mapping
        if not mapping.key_columns:
            yield from self._source.lean.where("1")
            return
        where, values = self._range.where(mapping, quoted(mapping.table))
        yield from self._source.lean.where(where, values)

    def digest(self) -> str:
        """Of what was read; call it after both iterations."""
        common = "" if self.by_hand else self._stream.hasher.hexdigest()
        return f"{common}:{self._hasher.hexdigest()[:32]}:{self.rows}"


class ReadRange:
    """A range as one pass found it: its digest, and its content where that is small enough.

    What is staged because its digest differs need not be read a second time then. `blocks` and
    `others` are None where they were too large to keep.
    """

    def __init__(self, source: TableSource, key_range: KeyRange) -> None:
        reader = RangeReader(source, key_range)
        self.blocks: list[bytes] | None = []
        self.others: list[RawRow] | None = []
        self._left = _KEPT_BYTES
        for block in reader.blocks():
            if self.blocks is not None and self._has_room(len(block)):
                self.blocks.append(block)
        self.common_rows = reader.rows
        for _ in reader.mended():
            # Where they have to be staged, that is done cell by cell.
            self.blocks = self.others = None
        self._left = min(self._left, _KEPT_OTHERS)
        for row in reader.others():
            if self.others is not None and self._has_room(_size(row)):
                self.others.append(row)
        self.digest = reader.digest()

    def _has_room(self, size: int) -> bool:
        self._left -= size
        if self._left < 0:
            self.blocks = self.others = None
        return self._left >= 0


def _size(row: RawRow) -> int:
    values = sum(len(value) for _, value in row.cells.values() if isinstance(value, bytes | str))
    return values + _ROW_BYTES + _CELL_BYTES * len(row.cells)
