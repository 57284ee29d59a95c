"""An item or a collection as ChromaDB's own tables hold it, next to its target row.

Read live and read-only from `chroma.sqlite3`, by key: one item's rows, not the store. A vector is
compared where the queue still has it; in a segment's binary files `verify_migration` reads it.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.safestring import SafeString

from stillme.pages.cells import LONG, Clipped
from stillme.transfer.console.row.side_by_side import kept_cells
from stillme.transfer.console.row.side_table import SideCell, side_caption, side_table
from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import open_legacy
from vector.chroma.marks import NOTHING, mark_of, metadata_mark
from vector.judge import expectation
from vector.legacy_metadata import metadata_cells, verdict
from vector.models import Collection, Item
from vector.names import FILE

# Operations that wait in the queue, which Chroma applies every 1,000.
QUEUED = 10_000
_ENTRY = """
SELECT e.id, typeof(e.seq_id), e.seq_id, CAST(e.created_at AS BLOB), s.id
FROM embeddings e JOIN segments s ON s.id = e.segment_id
WHERE s.collection = ? AND s.scope = 'METADATA' AND e.embedding_id = ? LIMIT 1
"""
_WAITING = f"""
SELECT seq_id, operation, CAST(substr(metadata, 1, {LONG}) AS BLOB),
  length(CAST(metadata AS BLOB))
FROM (SELECT * FROM embeddings_queue WHERE seq_id > ? ORDER BY seq_id LIMIT {QUEUED})
WHERE topic LIKE ? AND id = ? LIMIT 10
"""
_OPERATIONS = {0: "add", 1: "update", 2: "upsert", 3: "delete"}


def item_table(item: Item) -> str:
    """HTML: every stored cell of an item, what the target holds, and whether that is right."""
    try:
        with closing(_open()) as connection:
            cells = list(_item_cells(connection, item))
    except (TransferError, sqlite3.Error) as error:
        return f"The legacy store cannot be read: {error}"
    if not cells:
        return "The legacy store holds no item with this id."
    return _table(cells)


def collection_table(collection: Collection) -> str:
    """The same of a collection."""
    try:
        with closing(_open()) as connection:
            cells = list(_collection_cells(connection, collection))
    except (TransferError, sqlite3.Error) as error:
        return f"The legacy store cannot be read: {error}"
    return _table(cells) if cells else "The legacy store holds no collection with this id."


def _open() -> sqlite3.Connection:
    return open_legacy(Path(settings.LEGACY_VECTOR_DIR) / "chroma.sqlite3", timeout=1.0)


def _table(cells: list[SideCell]) -> SafeString:
    return side_table(side_caption(cells), cells)


def _item_cells(connection: sqlite3.Connection, item: Item) -> Iterator[SideCell]:
    uuid = str(item.collection.uuid)
    entry = connection.execute(_ENTRY, (uuid, item.embedding_id)).fetchone()
    mark = _mark(connection, uuid)
    given = (mark, f"%/{uuid}", item.embedding_id)
    waiting = connection.execute(_WAITING, given).fetchall()
    if entry is not None:
        yield from _entry_cells(connection, item, entry, unsure=bool(waiting))
    for seq_id, operation, metadata, size in waiting:
        name = f"queue {seq_id}: {_OPERATIONS.get(operation, str(operation))}"
        yield SideCell("unsure", name, _storage(metadata), metadata, "metadata", None, size)
    if entry is not None or waiting:
        yield _vector_cell(connection, item)


def _entry_cells(
    connection: sqlite3.Connection, item: Item, entry: tuple[Any, ...], *, unsure: bool
) -> Iterator[SideCell]:
    key, seq_storage, sequence, created, _ = entry
    kept = kept_cells(TableId(FILE, _ledger_name(item.collection)), item.embedding_id)
    stored_id = item.embedding_id.encode()
    yield SideCell("same", "embedding_id", "text", stored_id, "embedding_id", item.embedding_id)
    number = int.from_bytes(sequence, "big") if isinstance(sequence, bytes) else sequence
    target = item.legacy_seq_id
    state = verdict(number == target, unsure)
    yield SideCell(state, "seq_id", seq_storage, sequence, "legacy_seq_id", target)
    moment = expectation.expected_time(
        None if created is None else created.decode("utf-8", "replace")
    )
    state = verdict(moment == item.created_at, unsure, kept.get("created_at"))
    yield SideCell(
        state, "created_at", _storage(created), created, "created_at", item.created_at,
        kept=kept.get("created_at"),
    )  # fmt: skip
    yield from metadata_cells(connection, item, key, kept, unsure=unsure)


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


def _collection_cells(connection: sqlite3.Connection, collection: Collection) -> Iterator[SideCell]:
    has = {row[1] for row in connection.execute("PRAGMA table_info(collections)")}
    names = {
        "name": "name",
        "dimension": "dimension",
        "config_json_str": "configuration",
        "schema_str": "schema",
    }
    wanted = [name for name in names if name in has]
    cells = ", ".join(f"typeof({n}), {n}" for n in wanted)
    given = (str(collection.uuid),)
    found = connection.execute(f"SELECT {cells} FROM collections WHERE id = ?", given).fetchone()
    for at, name in enumerate(wanted) if found else ():
        storage, value = found[2 * at], found[2 * at + 1]
        held = getattr(collection, names[name])
        # Very early stores do not note the dimension: the import tells it by the first vector.
        unsure = value is None or isinstance(held, Clipped)
        raw = value.encode() if isinstance(value, str) else value
        yield SideCell(verdict(value == held, unsure), name, storage, raw, names[name], held)


def _mark(connection: sqlite3.Connection, collection: str) -> int:
    """The last operation that the tables contain."""
    found = connection.execute(
        "SELECT s.id, m.segment_id, m.seq_id "
        "FROM segments s LEFT JOIN max_seq_id m ON m.segment_id = s.id "
        "WHERE s.collection = ? AND s.scope = 'METADATA' ORDER BY s.id DESC LIMIT 1",
        (collection,),
    ).fetchone()
    if found is None:
        return NOTHING
    named = connection.execute(
        "SELECT DISTINCT topic FROM embeddings_queue WHERE topic LIKE ?", (f"%/{collection}",)
    )
    topics = [topic for (topic,) in named]
    noted = None if found[1] is None else mark_of(found[2])
    return metadata_mark(connection, found[0], topics, noted)


def _storage(raw: Raw) -> str:
    return "null" if raw is None else "text"


def _ledger_name(collection: Collection) -> str:
    """Under which a collection's cells are kept."""
    default = (collection.tenant, collection.database) == ("default_tenant", "default_database")
    prefix = "" if default else f"{collection.tenant}/{collection.database}/"
    return f"vector_db.{prefix}{collection.name}"
