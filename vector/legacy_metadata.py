"""The metadata and the document of one item as ChromaDB's tables hold them, next to the target's.

Chroma stores a value a row, `('topic', 'light')`, in one of four columns; the document is the value
of a key of its own. Since 2026 lists have a table of their own, a row an element.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from stillme.pages.cells import LONG, Clipped
from stillme.transfer.console.row.side_table import SideCell
from stillme.transfer.models import KeptCell
from stillme.transfer.plumbing.stored_cells import Raw
from vector.chroma.records import DOCUMENT_KEY
from vector.judge import expectation
from vector.models import Item

# Keys of one item's metadata that a page shows.
KEYS = 200
# Chroma fills one of the four values.
_METADATA = f"""
SELECT key,
  CASE WHEN bool_value IS NOT NULL THEN 'bool_value' WHEN string_value IS NOT NULL
    THEN 'string_value' WHEN int_value IS NOT NULL THEN 'int_value' ELSE 'float_value' END,
  typeof(coalesce(bool_value, string_value, int_value, float_value)),
  CASE WHEN string_value IS NULL THEN coalesce(bool_value, int_value, float_value)
    ELSE substr(CAST(string_value AS BLOB), 1, {LONG + 4}) END,
  coalesce(length(CAST(string_value AS BLOB)), 0)
FROM (SELECT key, string_value, int_value, float_value, {{flag}} FROM embedding_metadata
      WHERE id = ? ORDER BY key LIMIT {KEYS})
"""
_ELEMENTS = f"""
SELECT key, bool_value, coalesce(string_value, int_value, float_value)
FROM embedding_metadata_array WHERE id = ? ORDER BY rowid LIMIT {KEYS}
"""


def metadata_cells(
    connection: sqlite3.Connection, item: Item, key: int, kept: dict[str, KeptCell], *, unsure: bool
) -> Iterator[SideCell]:
    """A cell for each metadata value, list and document of the item whose row id is `key`.

    `unsure` says that the queue holds later operations on the item, which decide.
    """
    has_flag = any(row[1] == "bool_value" for row in _columns(connection))
    sql = _METADATA.format(flag="bool_value" if has_flag else "NULL AS bool_value")
    rows = connection.execute(sql, (key,)).fetchall()
    for name, place, *stored in rows:
        yield _metadata_cell(item, name, place, (stored[0], stored[1], stored[2]), kept, unsure)
    lists = _stored_lists(connection, key)
    for name, values in lists.items():
        yield _list_cell(item, name, values, kept.get("metadata"), unsure=unsure)
    if not unsure and len(rows) < KEYS:
        names = [name for name, *_ in rows] + [*lists]
        yield from _invented(item, {name.replace("\x00", "\ufffd") for name in names})


def _invented(item: Item, stored: set[str]) -> Iterator[SideCell]:
    """Metadata and a document that only the target has."""
    metadata = item.metadata if isinstance(item.metadata, dict) else {}
    held = {f"metadata: {key}": metadata[key] for key in sorted(metadata.keys() - stored)[:KEYS]}
    if item.document is not None and DOCUMENT_KEY not in stored:
        held["document"] = item.document
    for target, value in held.items():
        yield SideCell("differs", "", "absent", None, target, value, said="not in the legacy")


def _metadata_cell(
    item: Item,
    name: str,
    place: str,
    stored: tuple[str, Raw, int],
    kept: dict[str, KeptCell],
    unsure: bool,
) -> SideCell:
    storage, raw, size = stored
    is_document = name == DOCUMENT_KEY
    whole = size <= LONG
    shown = f"{name} ({place})"
    if is_document:
        right = whole and not isinstance(item.document, Clipped) and raw == _bytes(item.document)
        state = verdict(right, unsure or not whole)
        return SideCell(state, shown, storage, raw, "document", item.document, size)
    if isinstance(item.metadata, Clipped):
        return SideCell("unsure", shown, storage, raw, "metadata", None, size)
    expected, differs = expectation.expected_metadata({name: _value(place, raw)})
    held = {key: item.metadata[key] for key in expected if key in item.metadata}
    difference = expectation.metadata_difference(expected, held) if whole else ""
    original = kept.get("metadata") if differs else None
    state = verdict(not difference, unsure or not whole, original)
    target, value = f"metadata: {name}", held.get(next(iter(expected)))
    said = difference if state == "differs" else ""
    return SideCell(state, shown, storage, raw, target, value, size, said, original)


def _stored_lists(connection: sqlite3.Connection, row_id: int) -> dict[str, list[Any]]:
    """The list metadata of an item; Chroma of 2026 has a table of it, one row an element."""
    there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'embedding_metadata_array'"
    found: dict[str, list[Any]] = {}
    if connection.execute(there).fetchone() is None:
        return found
    for name, flag, value in connection.execute(_ELEMENTS, (row_id,)):
        element = bool(flag) if value is None and flag is not None else value
        found.setdefault(name, []).append(element)
    return found


def _list_cell(
    item: Item, name: str, values: list[Any], original: KeptCell | None, *, unsure: bool
) -> SideCell:
    shown, target = f"{name} (list)", f"metadata: {name}"
    raw = repr(values).encode("utf-8", "backslashreplace")
    if isinstance(item.metadata, Clipped) or len(values) >= KEYS:
        return SideCell("unsure", shown, "text", raw[:LONG], "metadata", None, len(raw))
    expected, differs = expectation.expected_metadata({name: values})
    held = {key: item.metadata[key] for key in expected if key in item.metadata}
    difference = expectation.metadata_difference(expected, held)
    kept = original if differs else None
    state = verdict(not difference, unsure, kept)
    said = difference if state == "differs" else ""
    value = held.get(next(iter(expected)))
    return SideCell(state, shown, "text", raw, target, value, len(raw), said, kept)


def verdict(right: bool, unsure: bool, kept: KeptCell | None = None) -> str:
    """The state of a cell: `same`, `differs`, `repaired`, or `unsure` where nothing can be said."""
    if unsure:
        return "unsure"
    if kept is not None:
        return "repaired"
    return "same" if right else "differs"


def _value(place: str, raw: Raw) -> Any:
    """As Chroma's reader has it."""
    if place == "bool_value":
        return bool(raw)
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _columns(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("PRAGMA table_info(embedding_metadata)").fetchall()
