"""Ids, documents and metadata: the metadata segment's tables, and what the queue adds to them.

Chroma 1.x applies the queue to these tables when it feels like it, so the replay is needed here as
it is for vectors.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vector.chroma import queue
from vector.chroma.catalogue import LISTS, VALUES, Catalogue
from vector.chroma.queue import Operation, sequence, time_text
from vector.chroma.records import DOCUMENT_KEY, WHOLE, Part, Value, as_text

IDS = "embeddings"
_COLUMNS = ("string_value", "int_value", "float_value", "bool_value")
# More than one of the values is set, or a boolean is neither 0 nor 1. Chroma never writes that, and
# whoever takes one of the values drops the other.
_STRANGE = (
    "(CASE WHEN {0}.string_value IS NOT NULL"
    " THEN coalesce({0}.int_value, {0}.float_value, {0}.bool_value) IS NOT NULL"
    " WHEN {0}.int_value IS NOT NULL THEN coalesce({0}.float_value, {0}.bool_value) IS NOT NULL"
    " WHEN {0}.float_value IS NOT NULL THEN {0}.bool_value IS NOT NULL"
    " ELSE {0}.bool_value NOT IN (0, 1) END OR typeof({0}.key) = 'blob')"
)
# Walking the table in the order of its key needs no sort.
_ROWS = f"""
    SELECT e.id, e.embedding_id, e.seq_id, e.created_at,
           m.key, CASE WHEN {_STRANGE.format("m")} THEN x'00'
                  ELSE coalesce(m.string_value, m.int_value, m.float_value) END, m.bool_value
      FROM embeddings e NOT INDEXED LEFT JOIN embedding_metadata m ON m.id = e.id
     WHERE e.segment_id = ? AND e.id > ? AND e.id <= ?
     ORDER BY e.id, m.key
"""
_ELEMENTS = f"""
    SELECT m.id, m.key, CASE WHEN {_STRANGE.format("m")} THEN x'00'
           ELSE coalesce(m.string_value, m.int_value, m.float_value) END, m.bool_value
      FROM {LISTS} m WHERE m.id > ? AND m.id <= ? ORDER BY m.id, m.rowid
"""
_IDS = "SELECT embedding_id FROM embeddings WHERE segment_id = ?"
# Below and above every rowid but the least, which no store of Chroma reaches.
_LEAST, _GREATEST = -(2**63), 2**63 - 1


@dataclass(slots=True)
class Entry:
    """An id with its metadata (the document among it); `error` where that cannot be read."""

    embedding_id: str
    seq_id: int
    created_at: str | None
    metadata: dict[str, Value | None] = field(default_factory=dict)
    error: str = ""

    def split(self) -> tuple[str | None, dict[str, Value | None]]:
        """The document, and the metadata without it. The entry is spent then."""
        document = self.metadata.pop(DOCUMENT_KEY, None)
        return (document if isinstance(document, str) else None), self.metadata


@dataclass(frozen=True, slots=True)
class Source:
    """The tables of one metadata segment; `rows_read` counts what was read of each."""

    connection: sqlite3.Connection
    catalogue: Catalogue
    segment: str
    rows_read: Counter[str]

    def sql(self, query: str, table: str) -> str:
        """A query on a table of values, whose rows are called m, without a column it lacks."""
        if table not in self.catalogue.without_booleans:
            return query
        return query.replace("m.bool_value", "NULL")


def stored_entries(source: Source, part: Part = WHOLE) -> Iterator[Entry]:
    """What the tables hold for a segment, in the order of their ids, one at a time."""
    after = _LEAST if part.after is None else part.after
    upto = _GREATEST if part.upto is None else part.upto
    lists = _Lists(source, after, upto)
    current: Entry | None = None
    row_id: int | None = None
    metadata: dict[str, Value | None] = {}
    ids = values = 0
    for key, embedding_id, seq_id, created, name, value, flag in source.connection.execute(
        source.sql(_ROWS, VALUES), (source.segment, after, upto)
    ):
        if key != row_id:
            if current is not None:
                yield lists.complete(row_id, current)
            metadata = {}
            number = sequence(seq_id)
            when = time_text(created)
            current = Entry(as_text(embedding_id), number or 0, when, metadata)
            if type(embedding_id) is bytes:
                current.error = "its id is a blob"
            elif number is None:
                current.error = f"its seq_id {seq_id!r} is no number"
            row_id = key
            ids += 1
        if value is None:
            if name is not None:
                values += 1
                metadata[name] = None if flag is None else bool(flag)
            continue
        values += 1
        if type(value) is bytes and current is not None:
            what = _stored(source, VALUES, key, name)
            current.error = f"the metadata value {name} is not one that Chroma writes ({what})"
            metadata[str(name)] = what
        else:
            metadata[name] = value
    if current is not None:
        yield lists.complete(row_id, current)
    source.rows_read.update({IDS: ids, VALUES: values})


def _stored(source: Source, table: str, row_id: int, name: str) -> str:
    """The columns of the rows of one key, spelled out."""
    columns = ", ".join(f"m.{column}" for column in _COLUMNS)
    query = f"SELECT {columns} FROM {table} m WHERE id = ? AND key = ?"
    rows = source.connection.execute(source.sql(query, table), (row_id, name)).fetchall()
    return "; ".join(
        ", ".join(f"{c} {v!r}" for c, v in zip(_COLUMNS, row, strict=True) if v is not None)
        for row in rows
    )


class _Lists:
    """The list metadata of each entry, read next to the entries in the same order."""

    def __init__(self, source: Source, after: int, upto: int) -> None:
        self.source = source
        self.rows = iter(
            source.connection.execute(source.sql(_ELEMENTS, LISTS), (after, upto))
            if source.catalogue.has_lists
            else ()
        )
        self.next = next(self.rows, None)

    def complete(self, row_id: int | None, entry: Entry) -> Entry:
        """The entry with its lists; `error` where a key is a scalar too, or a row is strange."""
        while self.next is not None and row_id is not None and self.next[0] <= row_id:
            key, name, value, flag = self.next
            if key == row_id:
                self.source.rows_read[LISTS] += 1
                self._take(row_id, entry, name, value, flag)
            self.next = next(self.rows, None)
        return entry

    def _take(self, row_id: int, entry: Entry, name: str, value: Any, flag: int | None) -> None:
        found = entry.metadata.setdefault(str(name), [])
        if isinstance(value, bytes) or not isinstance(found, list):
            what = _stored(self.source, LISTS, row_id, name)
            how = "with an element that Chroma does not write"
            if not isinstance(found, list):
                how = "and a value at once"
            entry.error = f"the metadata {name} is a list {how} ({what})"
        else:
            found.append(bool(flag) if value is None and flag is not None else value)


def entries(source: Source, topics: list[str], mark: int, part: Part = WHOLE) -> Iterator[Entry]:
    """The entries of a collection after the queue from beyond `mark` is applied."""
    connection = source.connection
    pending: dict[str, list[queue.Queued]] = {}
    for row in queue.operations(connection, topics, mark):
        pending.setdefault(row.embedding_id, []).append(row)
    for entry in stored_entries(source, part):
        rows = pending.pop(entry.embedding_id, None)
        after = _apply(connection, entry, rows) if rows else entry
        if after is not None:
            yield after
    if part.upto is not None:
        return
    if part.after is not None:
        # Those of other parts are theirs.
        for (stored,) in connection.execute(_IDS, (source.segment,)):
            pending.pop(stored, None)
    for rows in sorted(pending.values(), key=lambda rows: rows[0].seq_id):
        after = _apply(connection, None, rows)
        if after is not None:
            yield after


def _apply(
    connection: sqlite3.Connection, entry: Entry | None, rows: list[queue.Queued]
) -> Entry | None:
    """One id's entry after the operations on it."""
    for row in rows:
        if row.operation is Operation.DELETE:
            entry = None
            continue
        creates = entry is None and row.operation is not Operation.UPDATE
        changes = entry is not None and row.operation is not Operation.ADD
        if creates or changes:
            entry = _merge(connection, entry, row)
    return entry


def _merge(connection: sqlite3.Connection, entry: Entry | None, row: queue.Queued) -> Entry:
    try:
        content, created = queue.metadata_of(connection, row.seq_id)
    except queue.UnreadableMetadata as error:
        known = entry or Entry(row.embedding_id, row.seq_id, None)
        known.metadata[f"(operation {row.seq_id})"] = error.text
        known.error = f"the queued operation {row.seq_id} has metadata that cannot be read: {error}"
        return known
    merged = entry or Entry(row.embedding_id, row.seq_id, created)
    merged.seq_id = row.seq_id
    for key, value in content.items():
        # A null in an update takes the key away.
        if value is None:
            merged.metadata.pop(key, None)
        else:
            merged.metadata[key] = _without_nan(value)
    return merged


def _without_nan(value: Value) -> Value | None:
    """Chroma's own tables keep a NaN as a row without a value."""
    if isinstance(value, list):
        return [None if each != each else each for each in value]
    return None if value != value else value
