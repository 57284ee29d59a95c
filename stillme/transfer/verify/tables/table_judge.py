"""The table judge: one table, or a key range of it, compared block by block.

For each block of up to 2,000 rows:

1. SQLite and PostgreSQL each give the checksum of their plain rows (`lines`), of the doubles and of
   the documents. Unusual rows, and those of which something is kept or set aside, are left out.
2. If the checksums are equal, the plain rows are proven, and only the others are judged by cell.
3. If they differ, every row of the block is judged by cell (`rows`), so that a finding names the
   row, the column, and both values.
4. A key that only the target has is an extra row.

Keys are compared as multisets: a key twice on either side is a finding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.key_columns import Condition
from stillme.transfer.keys import Key, bound_to_json
from stillme.transfer.mapping import TableMapping
from stillme.transfer.records.edited_rows import edited_keys
from stillme.transfer.sqlite.clock.time_spans import time_spans
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.huge_cells import open_bounded
from stillme.transfer.sqlite.reading.snapshot_reader import open_reader
from stillme.transfer.verify.kinds.base import Table
from stillme.transfer.verify.kinds.local_clock import LocalClock
from stillme.transfer.verify.result import NewLife, TableProof
from stillme.transfer.verify.rows.row_judge import RowJudge
from stillme.transfer.verify.sides.aside_lines import aside_lines, know
from stillme.transfer.verify.sides.canonical_lines import lines_for
from stillme.transfer.verify.sides.legacy_blocks import Block, LegacySide
from stillme.transfer.verify.sides.legacy_rows import Readers, StoredRow
from stillme.transfer.verify.sides.mended_lines import mended_lines
from stillme.transfer.verify.sides.noted_keys import NotedKeys
from stillme.transfer.verify.sides.target_table import TargetSide
from stillme.transfer.verify.tables.mended_rows import are_aside, are_mended, are_same
from stillme.transfer.verify.tables.parent_tests import parent_tests
from stillme.transfer.verify.tables.written_since_cutover import new_life

BLOCK_ROWS = 2000
KEYS_AT_ONCE = 400


# The `update` of a digest.
Hashed = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class TableCase:
    """One table to be judged. `parents` maps a parent table to its mapping as found, `excluded`
    to the parent keys that are in quarantine. Of an `is_live` table rows of the new life are not
    compared: PostgreSQL is in charge of them."""

    snapshot: Snapshot
    mapping: TableMapping
    clock: LocalClock
    units: dict[str, str]
    parents: dict[str, TableMapping | None] = field(default_factory=dict)
    excluded: dict[str, tuple[int | str, ...]] = field(default_factory=dict)
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a table with ``after < key <= upto``; None is no bound."""

    after: Key | None = None
    upto: Key | None = None


class TableJudge:
    """Reads both sides of one table through connections of this process."""

    def __init__(self, alias: str, case: TableCase, *, live: bool = False) -> None:
        self.case = case
        self._alias = alias
        self._db = case.snapshot.open()
        path = case.snapshot.path
        # Of a live file no blocks: a second SQLite library here would drop the first one's locks.
        self._readers = None if live else Readers(open_reader(path), open_bounded(path))
        for reader in self._readers or ():
            know(reader, case.mapping)
        sides = (self._db, *(self._readers or ()))
        parents = parent_tests(case.mapping, case.parents, case.excluded, sides)
        spans = time_spans(self._db.execute, case.mapping)
        table = Table(case.mapping, case.clock, parents, spans, case.units)
        self._lines = lines_for(table)
        has_documents = any(column.kind.is_document for column in case.mapping.columns)
        looks = [replace(table, documents_are_plain=True), *([table] if has_documents else [])]
        self._legacy = LegacySide(
            self._db,
            self._readers,
            case.mapping,
            self._lines,
            parents,
            [m for m in map(mended_lines, looks) if m is not None],
            aside_lines(table),
        )
        self._target = TargetSide(alias, case.mapping, self._lines)
        self._noted_keys = NotedKeys(alias, case.mapping)
        # Keys of which something is kept, of which a row is set aside, and all of them.
        self._kept: set[tuple[Any, ...]] = set()
        self._aside: set[tuple[Any, ...]] = set()
        self._noted: set[tuple[Any, ...]] = set()
        self._rows = RowJudge(alias, case.mapping, case.clock, case.units, self._target)

    def close(self) -> None:
        """Close the snapshot."""
        for reader in self._readers or ():
            reader.close()
        self._db.close()

    def judge(self, part: Part) -> TableProof:
        """Judge a part."""
        mapping = self.case.mapping
        proof = TableProof(mapping.file, mapping.declared_table, mapping.target)
        proof.findings.new = self._new
        digest = hashlib.sha256()
        if not mapping.key_columns:
            rows = _hashed(self._legacy.rows("1"), digest.update)
            self._rows.judge(_counted(rows, proof), proof)
        else:
            for after, upto, block in self._digested(part, digest.update):
                self._judge_block(after, upto, block, proof)
        # It need not travel back from a worker.
        proof.findings.new = NewLife()
        bounds = {"after": bound_to_json(part.after), "upto": bound_to_json(part.upto)}
        proof.ranges.append({**bounds, "rows": proof.legacy_rows, "digest": digest.hexdigest()})
        return proof

    def _digested(
        self, part: Part, digest: Hashed
    ) -> Iterator[tuple[Key | None, Key | None, Block]]:
        """The blocks of a part, all that they say of the legacy rows being hashed."""
        self._kept, self._aside = self._noted_keys.within(part.after, part.upto)
        self._noted = self._kept | self._aside
        for after, upto, block in self._blocks(part):
            digest(block.digest.encode())
            if block.broken:
                where, values = self._within(after, upto)
                unusual = self._legacy.rows(where, values)
            else:
                unusual = self._legacy.by_rowid(block.unusual)
            for _ in _hashed(unusual, digest):
                pass
            yield after, upto, block

    def _blocks(self, part: Part) -> Iterator[tuple[Key | None, Key | None, Block]]:
        """Blocks that tile the part: the last one reaches to its upper bound."""
        after = part.after
        while True:
            where, values = self._within(after, part.upto)
            if self.case.mapping.has_rowid:
                block = self._legacy.block(where, values, BLOCK_ROWS, self._noted)
                if self._kept:
                    self._legacy.tell_mended(block, self._aside)
                if self._aside:
                    self._legacy.tell_aside(block)
            else:
                block = Block(broken=True)
            is_last = block.broken or not block.more
            if not is_last and not self._can_cut(block.last):
                block, is_last = Block(broken=True), True
            upto = part.upto if is_last else block.last
            yield after, upto, block
            if is_last:
                return
            after = block.last

    def _within(self, after: Key | None, upto: Key | None) -> Condition:
        mapping = self.case.mapping
        nulls = not mapping.key_is_rowid
        return mapping.key_columns.legacy_within(after, upto, quoted(mapping.table), nulls=nulls)

    def _can_cut(self, key: Key | None) -> bool:
        """Whether a block may end at this key: usual keys only, of which there is one row each."""
        mapping = self.case.mapping
        is_usual = key is not None and mapping.key_columns.in_target(key) == key
        return mapping.key_is_unique and mapping.key_is_in_order and is_usual

    def _judge_block(
        self, after: Key | None, upto: Key | None, block: Block, proof: TableProof
    ) -> None:
        mapping = self.case.mapping
        if not block.broken and self._is_same(after, upto, block, proof):
            return
        where, values = self._within(after, upto)
        present = self._target.keys(after, upto)
        proof.target_rows += len(present)
        seen = self._rows.judge(_counted(self._legacy.rows(where, values), proof), proof)
        for key in present:
            if key not in seen and key not in self._edited:
                proof.findings.add(
                    Finding(FindingKind.EXTRA_ROW, mapping.target, key, "no row", "a row")
                )

    def _is_same(
        self, after: Key | None, upto: Key | None, block: Block, proof: TableProof
    ) -> bool:
        """Whether the plain rows of a block are the target's; then all of it is judged."""
        mapping = self.case.mapping
        without = mapping.key_columns.held(Key.of(*values) for values in block.unusual_keys)
        keys = [rows.keys for rows in block.mended]
        content, documents = self._target.block(after, upto, [*without, *chain(*keys)])
        if content != block.content or not are_same(block.documents, documents):
            return False
        proof.legacy_rows += block.rows
        proof.target_rows += content.rows + self._target.count(without)
        proof.by_digest += content.rows
        columns = len(mapping.columns)
        proof.cells += content.rows * columns
        rowids = [*block.unusual]
        for rows, mended in zip(block.mended, keys, strict=True):
            if not are_mended(self._target, rows, mended, columns, proof):
                rowids += rows.plain[0]
                without = [*without, *mended]
                proof.target_rows += self._target.count(mended)
        # The target's block would differ if it had a row of those that are set aside.
        if not are_aside(self._target, block, columns + len(mapping.extra), proof):
            rowids += block.aside.rowids
        seen = self._rows.judge(self._legacy.by_rowid(rowids), proof)
        self._extra_among(without, seen, proof)
        return True

    def judge_keys(self, keys: Sequence[Key], proof: TableProof) -> None:
        """Judge the rows of chosen keys, on either side."""
        for few in _few(keys):
            seen = self._rows.judge(_counted(self.stored(few), proof), proof)
            proof.target_rows += self._target.count(few)
            self._extra_among(few, seen, proof)

    def stored(self, keys: Sequence[Key]) -> Iterator[StoredRow]:
        """The legacy rows of chosen keys."""
        for few in _few(keys):
            yield from self._legacy.rows(*self.case.mapping.key_columns.legacy_among(few))

    def _extra_among(self, keys: Sequence[Key], seen: set[str], proof: TableProof) -> None:
        target = self.case.mapping.target
        for key in keys:
            name = key.spelled() or ""
            if name not in seen and name not in self._edited and self._target.count([key]):
                proof.findings.add(Finding(FindingKind.EXTRA_ROW, target, name, "no row", "a row"))

    @cached_property
    def _new(self) -> NewLife:
        return new_life(self._alias, self.case.mapping) if self.case.is_live else NewLife()

    @cached_property
    def _edited(self) -> set[str]:
        return edited_keys(self._alias, self.case.mapping)


def _few(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    return (keys[start : start + KEYS_AT_ONCE] for start in range(0, len(keys), KEYS_AT_ONCE))


def _counted(rows: Iterator[StoredRow], proof: TableProof) -> Iterator[StoredRow]:
    for row in rows:
        proof.legacy_rows += 1
        yield row


def _hashed(rows: Iterator[StoredRow], digest: Hashed) -> Iterator[StoredRow]:
    for row in rows:
        digest(row.stored)
        yield row
