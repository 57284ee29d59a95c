"""An item or a collection as ChromaDB's own tables hold it, next to its target row.

Read live and read-only from `chroma.sqlite3`, by key: one item's rows, not the store. A vector is
compared where the queue still has it; in a segment's binary files `verify_migration` reads it.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings

from stillme.pages.cells import LONG, Clipped
from stillme.transfer.console.row.side_by_side import kept_cells
from stillme.transfer.console.row.side_table import SideCell, side_caption, side_table
from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.models import KeptCell
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import open_legacy
from vector.chroma import queue
from vector.chroma.catalogue import read_catalogue
from vector.chroma.metadata import Entry, Source, stored_entries
from vector.chroma.records import DOCUMENT_KEY, Part, as_text
from vector.judge import expectation
from vector.models import Collection, Item
from vector.names import DATABASE, FILE, ledger_name

# Keys of one item's metadata that a page shows.
KEYS = 200
# Operations that wait in the queue, which Chroma applies every 1,000.
QUEUED = 10_000
_ENTRY = """
SELECT id, typeof(seq_id), seq_id FROM embeddings WHERE segment_id = ? AND embedding_id = ? LIMIT 1
"""
_WAITING = f"""
SELECT seq_id, operation, CAST(substr(metadata, 1, {LONG}) AS BLOB),
  length(CAST(metadata AS BLOB))
FROM (SELECT * FROM embeddings_queue WHERE seq_id > ? ORDER BY seq_id LIMIT {QUEUED})
WHERE topic LIKE ? AND id = ? LIMIT 10
"""
# Where Chroma stores a metadata value, by its type, and the storage class that it has there.
_PLACES = {
    bool: ("bool_value", "integer"), int: ("int_value", "integer"), str: ("string_value", "text"),
    float: ("float_value", "real"), type(None): ("float_value", "null"), list: ("list", "text"),
}  # fmt: skip
# Column of Chroma's `collections` -> the target's.
_COLLECTION = {
    "name": "name",
    "dimension": "dimension",
    "config_json_str": "configuration",
    "schema_str": "schema",
}
Cells = Iterator[SideCell]


def stored_table(row: Item | Collection) -> str:
    """HTML: every stored cell of a row, what the target holds, and whether that is right."""
    if isinstance(row, Item) and row.origin == Item.Origin.TARGET:
        return "It was written in PostgreSQL: the legacy store never had it."
    database = Path(settings.LEGACY_VECTOR_DIR) / DATABASE
    try:
        with closing(open_legacy(database, timeout=1.0)) as connection:
            connection.text_factory = as_text
            cells = list(
                _item_cells(connection, row)
                if isinstance(row, Item)
                else _collection_cells(connection, row)
            )
    except (TransferError, sqlite3.Error) as error:
        return f"The legacy store cannot be read: {error}"
    if not cells:
        return f"The legacy store holds no {row._meta.verbose_name} with this id."
    return side_table(side_caption(cells), cells)


def _item_cells(connection: sqlite3.Connection, item: Item) -> Cells:
    uuid = str(item.collection.uuid)
    catalogue = read_catalogue(connection)
    segments = {c.id: c.metadata_segment for c in catalogue.collections}
    segment = segments.get(uuid) or ""
    topics = queue.topics(connection).get(uuid, [])
    mark = queue.metadata_mark(connection, segment, topics, catalogue.marks.get(segment))
    given = (mark, f"%/{uuid}", item.embedding_id)
    waiting = connection.execute(_WAITING, given).fetchall()
    found = connection.execute(_ENTRY, (segment, item.embedding_id)).fetchone()
    if found is not None:
        key, storage, sequence = found
        source = Source(connection, catalogue, segment, Counter())
        entry = next(stored_entries(source, Part(key - 1, key)))
        number = SideCell(
            verdict(entry.seq_id == item.legacy_seq_id, bool(waiting)),
            "seq_id", storage, sequence, "legacy_seq_id", item.legacy_seq_id,
        )  # fmt: skip
        yield from _entry_cells(item, entry, number, unsure=bool(waiting or entry.error))
    for seq_id, operation, metadata, size in waiting:
        known = operation in set(queue.Operation)
        named = queue.Operation(operation).name.lower() if known else str(operation)
        name, kind = f"queue {seq_id}: {named}", "null" if metadata is None else "text"
        yield SideCell("unsure", name, kind, metadata, "metadata", None, size)
    if found is not None or waiting:
        yield _vector_cell(connection, item)


def _entry_cells(item: Item, entry: Entry, number: SideCell, *, unsure: bool) -> Cells:
    place = item.collection
    table = ledger_name(place.tenant, place.database, place.name)
    kept = kept_cells(TableId(FILE, table), item.embedding_id)
    stored_id = item.embedding_id.encode()
    yield SideCell("same", "embedding_id", "text", stored_id, "embedding_id", item.embedding_id)
    yield number
    storage, created, _ = _stored(entry.created_at)
    original = kept.get("created_at")
    right = expectation.expected_time(entry.created_at) == item.created_at
    state = verdict(right, unsure, original)
    yield SideCell(
        state, "created_at", storage, created, "created_at", item.created_at, kept=original
    )
    for name in islice(sorted(entry.metadata), KEYS):
        yield _value_cell(item, name, entry.metadata[name], kept.get("metadata"), unsure)
    if not unsure:
        yield from _invented(item, {name.replace("\x00", "\ufffd") for name in entry.metadata})


def _value_cell(
    item: Item, name: str, stored: Any, kept: KeptCell | None, unsure: bool
) -> SideCell:
    """A metadata value, a list or the document."""
    storage, raw, size = _stored(stored)
    shown = f"{name} ({_PLACES[type(stored)][0]})"
    if name == DOCUMENT_KEY:
        state = verdict(stored == item.document, unsure or isinstance(item.document, Clipped))
        return SideCell(state, shown, storage, raw, "document", item.document, size)
    if isinstance(item.metadata, Clipped):
        return SideCell("unsure", shown, storage, raw, "metadata", None, size)
    expected, differs = expectation.expected_metadata({name: stored})
    held = {key: item.metadata[key] for key in expected if key in item.metadata}
    difference = expectation.metadata_difference(expected, held)
    original = kept if differs else None
    state = verdict(not difference, unsure, original)
    target, value = f"metadata: {name}", held.get(next(iter(expected)))
    said = difference if state == "differs" else ""
    return SideCell(state, shown, storage, raw, target, value, size, said, original)


def _invented(item: Item, stored: set[str]) -> Cells:
    """Metadata and a document that only the target has."""
    metadata = item.metadata if isinstance(item.metadata, dict) else {}
    held = {f"metadata: {key}": metadata[key] for key in sorted(metadata.keys() - stored)[:KEYS]}
    if item.document is not None and DOCUMENT_KEY not in stored:
        held["document"] = item.document
    for target, value in held.items():
        yield SideCell("differs", "", "absent", None, target, value, said="not in the legacy")


def _stored(value: Any) -> tuple[str, Raw, int | None]:
    """Storage class, the value or its beginning, and the number of bytes of a text."""
    storage = _PLACES[type(value)][1]
    if isinstance(value, bool):
        return storage, int(value), None
    if not isinstance(value, str | list):
        return storage, value, None
    text = value if isinstance(value, str) else repr(value)
    raw = text.encode("utf-8", "surrogateescape")
    return storage, raw[:LONG], len(raw)


def verdict(right: bool, unsure: bool, kept: KeptCell | None = None) -> str:
    """The state of a cell: `same`, `differs`, `repaired`, or `unsure` where nothing can be said."""
    if unsure:
        return "unsure"
    if kept is not None:
        return "repaired"
    return "same" if right else "differs"


def _vector_cell(connection: sqlite3.Connection, item: Item) -> SideCell:
    """The queue's row by its number; an index on the id it does not have."""
    found = connection.execute(
        "SELECT vector, encoding FROM embeddings_queue WHERE seq_id = ? AND id = ?",
        (item.legacy_seq_id, item.embedding_id),
    ).fetchone()
    vector, encoding = found or (None, None)
    start = f"{len(item.embedding)} float32, the first: {item.embedding[:4]}"
    if not isinstance(vector, bytes) or encoding != "FLOAT32":
        said = "not in the queue; manage.py verify_migration reads the segment's files"
        return SideCell("unsure", "vector", "file", None, "embedding", start, said=said)
    held = _float32(item.embedding)
    right = held is not None and not expectation.vector_difference(vector, held, True)
    state = verdict(right, unsure=False)
    name = f"vector (queue {item.legacy_seq_id})"
    return SideCell(state, name, "blob", vector, "embedding", start)


def _float32(values: list[float | None]) -> bytes | None:
    """As the queue has them; None where a hand has put a NULL among them."""
    if any(value is None for value in values):
        return None
    return struct.pack(f"<{len(values)}f", *values)


def _collection_cells(connection: sqlite3.Connection, collection: Collection) -> Cells:
    known = read_catalogue(connection).collections
    stored = next((each for each in known if each.id == str(collection.uuid)), None)
    for column, name in _COLLECTION.items() if stored else ():
        value, held = getattr(stored, name), getattr(collection, name)
        # Very early stores do not note the dimension: the import tells it by the first vector.
        unsure = value is None or isinstance(held, Clipped)
        storage, raw, size = _stored(value)
        yield SideCell(verdict(value == held, unsure), column, storage, raw, name, held, size)
