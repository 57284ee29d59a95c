"""Records of `vector.services` in the shapes of Chroma's answers.

`get` answers with a list per part, `query` with a list of lists, one for each vector that was
searched for. A part that was not asked for is None; `included` names those that were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vector.services import Record

_PARTS: dict[str, Callable[[Record], Any]] = {
    "documents": lambda record: record.document,
    # Chroma knows no empty metadata.
    "metadatas": lambda record: record.metadata or None,
    "embeddings": lambda record: record.embedding,
    "distances": lambda record: record.distance,
    # There is no place for URIs, and so no item has one.
    "uris": lambda record: None,
}


def of_get(found: list[Record], include: list[str]) -> dict[str, Any]:
    """The answer of `get` and `peek`; embeddings are one array, a row an item."""
    columns = {
        part: _column(part, found) if part in include else None
        for part in _PARTS
        if part != "distances"
    }
    return {"ids": [record.id for record in found], **columns, "data": None, "included": include}


def of_query(found: list[list[Record]], include: list[str]) -> dict[str, Any]:
    """The answer of `query`; embeddings are a list of arrays."""
    columns = {
        part: [_column(part, each) for each in found] if part in include else None
        for part in _PARTS
    }
    ids = [[record.id for record in each] for each in found]
    return {"ids": ids, **columns, "data": None, "included": include}


def _column(part: str, found: list[Record]) -> Any:
    column = [_PARTS[part](record) for record in found]
    if part != "embeddings":
        return column
    # Loaded only where it is used: a process that reads no embeddings starts earlier.
    import numpy

    return numpy.array(column)
