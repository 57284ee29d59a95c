"""Checks what callers give: ids, embeddings, documents, metadata, before it reaches a table."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stillme.transfer.errors import TransferError
from vector.models import Collection, Item

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar | None]
Embedding = Sequence[float]


class VectorError(TransferError):
    """A call that cannot be done; the message says why."""


def build_items(
    collection: Collection,
    ids: Sequence[str],
    embeddings: Sequence[Embedding],
    documents: Sequence[str | None] | None,
    metadatas: Sequence[Metadata | None] | None,
) -> list[Item]:
    """Unsaved items from parallel lists, checked."""
    check_ids(ids)
    columns: tuple[Sequence[Any] | None, ...] = (embeddings, documents, metadatas)
    if any(column is not None and len(column) != len(ids) for column in columns):
        raise VectorError("ids, embeddings, documents and metadatas must be of one length.")
    settle_dimension(collection, embeddings)
    items = []
    for n, key in enumerate(ids):
        document = documents[n] if documents else None
        if document is not None and "\0" in document:
            raise VectorError(f"The document of {key} has a NUL, which PostgreSQL cannot hold.")
        items.append(
            Item(
                collection=collection,
                embedding_id=key,
                document=document,
                metadata=clean_metadata(metadatas[n] if metadatas else None, key),
                embedding=float32(collection, embeddings[n], key),
                origin=Item.Origin.TARGET,
            )
        )
    return items


def check_ids(ids: Iterable[str]) -> None:
    """VectorError for an id that is none, or that is given twice."""
    seen: set[str] = set()
    for key in ids:
        if not isinstance(key, str) or not key or "\0" in key:
            raise VectorError(f"{key!r} is no id: use a text that is not empty and has no NUL.")
        if key in seen:
            raise VectorError(f"The id {key} is given twice.")
        seen.add(key)


def settle_dimension(collection: Collection, embeddings: Sequence[Embedding]) -> None:
    """The first vector decides a collection's dimension, once for all writers."""
    if collection.dimension is not None or not embeddings:
        return
    unset = Collection.objects.filter(pk=collection.pk, dimension=None)
    unset.update(dimension=len(embeddings[0]))
    collection.refresh_from_db(fields=["dimension"])


def float32(collection: Collection, embedding: Embedding, what: str) -> list[float]:
    """The embedding as float32; VectorError for a wrong size or a number that is none."""
    if len(embedding) != collection.dimension:
        raise VectorError(
            f"The embedding of {what} has {len(embedding)} dimensions; {collection.name} has "
            f"{collection.dimension}."
        )
    try:
        values = array("f", embedding).tolist()
    except (OverflowError, TypeError) as error:
        raise VectorError(f"The embedding of {what} is not made of float32 numbers.") from error
    if not all(map(math.isfinite, values)):
        raise VectorError(f"The embedding of {what} has a number that is not finite.")
    return values


def clean_metadata(metadata: Metadata | None, what: str) -> dict[str, Scalar]:
    """Metadata without its None values; VectorError for what cannot be stored."""
    clean: dict[str, Scalar] = {}
    for key, value in (metadata or {}).items():
        if value is None:
            continue
        if not isinstance(key, str) or not isinstance(value, str | int | float | bool):
            raise VectorError(f"The metadata {key!r} of {what} is no text, number or boolean.")
        if "\0" in key or (isinstance(value, str) and "\0" in value):
            raise VectorError(f"The metadata {key!r} of {what} has a NUL.")
        if isinstance(value, float) and not math.isfinite(value):
            raise VectorError(f"The metadata {key!r} of {what} is not finite.")
        clean[key] = value
    return clean
