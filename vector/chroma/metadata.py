"""Ids, documents and metadata: the metadata segment's tables, and what the queue adds to them.

Chroma 1.x applies the queue to these tables when it feels like it, so the replay is needed here as
it is for vectors.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from vector.chroma import queue
from vector.chroma.catalogue import sequence
from vector.chroma.queue import Operation
from vector.chroma.records import DOCUMENT_KEY, WHOLE, Part, Scalar

# Walking the table in the order of its key needs no sort.
_ROWS = """
    SELECT e.id, e.embedding_id, e.seq_id, e.created_at,
           m.key, coalesce(m.string_value, m.int_value, m.float_value), m.bool_value
      FROM embeddings e NOT INDEXED LEFT JOIN embedding_metadata m ON m.id = e.id
     WHERE e.segment_id = ? AND e.id > ? AND e.id <= ?
     ORDER BY e.id, m.key
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
    metadata: dict[str, Scalar | None] = field(default_factory=dict)
    error: str = ""

    def split(self) -> tuple[str | None, dict[str, Scalar | None]]:
        """The document, and the metadata without it. The entry is spent then."""
        document = self.metadata.pop(DOCUMENT_KEY, None)
        return (document if isinstance(document, str) else None), self.metadata


def stored_entries(
    connection: sqlite3.Connection, segment: str, part: Part = WHOLE
) -> Iterator[Entry]:
    """What the tables hold for a segment, in the order of their ids, one at a time."""
    after = _LEAST if part.after is None else part.after
    upto = _GREATEST if part.upto is None else part.upto
    current: Entry | None = None
    row_id: int | None = None
    metadata: dict[str, Scalar | None] = {}
    for key, embedding_id, seq_id, created, name, value, flag in connection.execute(
        _ROWS, (segment, after, upto)
    ):
        if key != row_id:
            if current is not None:
                yield current
            metadata = {}
            current = Entry(embedding_id, sequence(seq_id), created, metadata)
            row_id = key
        if value is None:
            if name is not None:
                metadata[name] = None if flag is None else bool(flag)
        elif type(value) is bytes and current is not None:
            current.error = f"the metadata value {name} is a blob"
        else:
            metadata[name] = value
    if current is not None:
        yield current


def entries(
    connection: sqlite3.Connection,
    segment: str,
    topics: list[str],
    mark: int,
    part: Part = WHOLE,
) -> Iterator[Entry]:
    """The entries of a collection after the queue from beyond `mark` is applied."""
    pending: dict[str, list[queue.Queued]] = {}
    for row in queue.operations(connection, topics, mark):
        pending.setdefault(row.embedding_id, []).append(row)
    for entry in stored_entries(connection, segment, part):
        rows = pending.pop(entry.embedding_id, None)
        after = _apply(connection, entry, rows) if rows else entry
        if after is not None:
            yield after
    if part.upto is not None:
        return
    if part.after is not None:
        # Those of other parts are theirs.
        for (stored,) in connection.execute(_IDS, (segment,)):
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
    except ValueError as error:
        known = entry or Entry(row.embedding_id, row.seq_id, None)
        known.error = f"the queued operation {row.seq_id} has metadata that cannot be read: {error}"
        return known
    merged = entry or Entry(row.embedding_id, row.seq_id, created)
    merged.seq_id = row.seq_id
    for key, value in content.items():
        # A null in an update takes the key away.
        if value is None:
            merged.metadata.pop(key, None)
        else:
            # Chroma's own tables keep a NaN as a row without a value.
            merged.metadata[key] = None if value != value else value
    return merged
