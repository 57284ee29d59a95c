"""The judge's own reading of a target table: blocks by checksum, single rows by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connections

from stillme.transfer import kinds
from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import quoted as _q
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.huge_text import of_target, target_names, target_parts
from stillme.transfer.verify.sides.canonical_lines import Lines
from stillme.transfer.verify.sides.legacy_blocks import BlockContent
from stillme.transfer.verify.sides.mended_lines import SEPARATOR
from stillme.transfer.verify.sides.row_query import read
from stillme.transfer.verify.sides.target_blocks import read_block
from stillme.transfer.verify.sides.target_only_columns import told

# For target columns of a rule or a default, which are compared as text.
UNDECLARED = judge_of(kinds.Text())


def select(alias: str, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, list(values) or None)
        return list(cursor.fetchall())


def select_all(alias: str, queries: Sequence[str]) -> list[list[tuple[Any, ...]]]:
    """Rows of each of several statements without parameters, asked for in one round trip."""
    found = []
    with connections[alias].cursor() as cursor:
        cursor.execute(";\n".join(queries))
        while True:
            found.append(list(cursor.fetchall()) if cursor.description else [])
            if not cursor.nextset():
                return found


class MendedRows(NamedTuple):
    """The content of rows, each JSON column as one array, the originals that are kept of them, as
    the legacy side spells them (`mended_lines`), and the ids of these."""

    content: BlockContent
    documents: tuple[bytes, ...]
    originals: list[bytes]
    ids: list[int]


class TargetSide:
    """Reads one target table; its blocks by `lines`, and then huge texts by their digests."""

    def __init__(self, alias: str, mapping: TableMapping, lines: Lines | None = None) -> None:
        self._alias = alias
        self._mapping = mapping
        self._lines = lines
        self._huge = target_names(mapping) if lines else set()
        # Keys, as text, of which `rows` last found several rows, and how many.
        self.repeated: dict[str, int] = {}
        self._keys = mapping.key_columns

    def block(
        self, after: Key | None, upto: Key | None, without: Sequence[Key]
    ) -> tuple[BlockContent, tuple[bytes, ...]]:
        """The content of a key range, some keys left out, and each JSON column as one array."""
        where, values = self._keys.target_within(after, upto)
        if without:
            among, left_out = self._keys.target_among(without)
            where, values = f"{where} AND NOT {among}", [*values, *left_out]
        assert self._lines is not None
        source = f"FROM {self._mapping.relation} WHERE {where} ORDER BY {self._keys.target_order()}"
        return read_block(self._alias, self._lines, source, values)

    def mended(self, keys: Sequence[Key]) -> MendedRows:
        """The rows of chosen keys, and what is kept of them."""
        among, values = self._keys.target_among(keys)
        assert self._lines is not None
        source = f"FROM {self._mapping.relation} WHERE {among} ORDER BY {self._keys.target_order()}"
        content, documents = read_block(self._alias, self._lines, source, values)
        parts = ("key", '"column"', "storage", "reason", "upper(encode(value, 'hex'))")
        kept = read(
            self._alias,
            f"SELECT id, {f' || chr({SEPARATOR}) || '.join(parts)} FROM transfer.kept_cell "
            f"WHERE {OF_TABLE} AND key = ANY(%s::text[])",
            [*self._mapping.identity, self._keys.spelled_array(keys)],
        )
        originals = [_bytes(line) for _, line in kept]
        return MendedRows(content, documents, originals, [pk for pk, _ in kept])

    def aside(self, keys: Sequence[Key]) -> list[tuple[int, str, bytes]]:
        """Id, status and line (`aside_lines`) of the records of rows with these keys. A record that
        somebody edited has no line, and neither has one of what came back."""
        parts = ("key", "rowid::text", "reason", '"column"', "cells::text")
        line = f" || chr({SEPARATOR}) || ".join(parts)
        found = read(
            self._alias,
            "SELECT id, status, CASE WHEN status IN ('open', 'accepted') AND repairs = '{}' "
            f"THEN {line} END FROM transfer.quarantined_row "
            f"WHERE {OF_TABLE} AND key = ANY(%s::text[])",
            [*self._mapping.identity, self._keys.spelled_array(keys)],
        )
        return [(pk, status, _bytes(line)) for pk, status, line in found]

    def next_keys(self, after: Key | None, limit: int) -> list[Key]:
        """The next keys above `after`, in order."""
        if not self._keys:
            return []
        where, values = self._keys.target_within(after, None)
        found = read(
            self._alias,
            f"SELECT {self._keys.target()} FROM {self._mapping.relation} "
            f"WHERE {where} ORDER BY {self._keys.target_order()} LIMIT {limit}",
            values,
        )
        return [Key.of(*row) for row in found]

    def keys(self, after: Key | None, upto: Key | None) -> list[str]:
        """The keys of a range, as the ledger spells them."""
        where, values = self._keys.target_within(after, upto)
        query = f"SELECT {self._keys.target_text()} FROM {self._mapping.relation} WHERE {where}"
        return [row[0] for row in read(self._alias, query, values)]

    def rows(self, keys: Sequence[Key]) -> dict[str, dict[str, Any]]:
        """Key as text -> target column -> value as the judge compares it."""
        self.repeated = {}
        if not keys or not self._keys:
            return {}
        parts, digests = self._columns()
        among, values = self._keys.target_among(keys)
        found = read(
            self._alias,
            f"SELECT {self._keys.target_text()}, {_array(digests)}, {', '.join(parts.values())} "
            f"FROM {self._mapping.relation} WHERE {among}",
            values,
        )
        rows = {key: _row(parts, row, digests, huge) for key, huge, *row in found}
        if len(rows) < len(found):
            counted = Counter(row[0] for row in found)
            self.repeated = {key: n for key, n in counted.items() if n > 1}
        return rows

    def count(self, keys: Sequence[Key]) -> int:
        """How many of the keys there are."""
        if not keys or not self._keys:
            return 0
        among, values = self._keys.target_among(keys)
        query = f"SELECT count(*) FROM {self._mapping.relation} WHERE {among}"
        return int(read(self._alias, query, values)[0][0])

    def _columns(self) -> tuple[dict[str, str], dict[str, str]]:
        """Target column -> SQL of its value; and of its digest, where it may be a huge text."""
        parts: dict[str, str] = {}
        digests: dict[str, str] = {}
        for column in self._mapping.columns:
            name = column.target
            if name in self._huge:
                parts[name], digests[name] = target_parts(_q(name))
            else:
                parts[name] = judge_of(column.kind).compared(_q(name))
        for name in self._mapping.extra_columns:
            parts[name] = f"{_q(name)}::text"
        texts = [(name, f"{_q(name)}::text") for name, _ in self._mapping.derived]
        texts += [(unfilled.target, told(unfilled)) for unfilled in self._mapping.unfilled]
        for name, text in texts:
            parts[name] = UNDECLARED.compared(text)
        return parts, digests


def _array(digests: Mapping[str, str]) -> str:
    """One result for all: PostgreSQL allows 1,664, and a table may have 1,600 columns."""
    return f"ARRAY[{', '.join(digests.values())}]::text[]"


def _row(
    names: Iterable[str],
    values: Sequence[Any],
    huge: Iterable[str],
    digests: Sequence[str | None],
) -> dict[str, Any]:
    found = dict(zip(names, map(_plain, values), strict=True))
    for name, spelled in zip(huge, digests, strict=True):
        if spelled is not None:
            found[name] = of_target(spelled)
    return found


def _bytes(line: str | None) -> bytes:
    """What `read` gave, as the server has it."""
    return (line or "").encode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
