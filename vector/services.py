"""What the application calls instead of ChromaDB: collections, add, update, get, query, delete.

The shapes follow Chroma's client, so that code moves over call by call; vectors.md lists where
the behaviour differs. Embeddings are given by the caller: nothing here computes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from stillme.services.connections import borrows_connection
from vector.models import Collection, Item
from vector.serving import indexes
from vector.serving.collections import (
    create_collection,
    delete_collection,
    get_collection,
    get_collection_by_uuid,
    get_or_create_collection,
    list_collections,
    modify_collection,
    on_primary,
)
from vector.serving.deadlocks import again_after_deadlock, insert_missing
from vector.serving.filters import FilterError, check_depth, document_condition, where_condition
from vector.serving.given_values import (
    CollectionExists,
    CollectionMissing,
    Embedding,
    Metadata,
    Value,
    VectorError,
    build_items,
    check_columns,
    clean_document,
    float32,
    is_no_text,
    merged_metadata,
    settle_dimension,
)
from vector.serving.search import distance_of, nearest
from vector.serving.upserting import add_or_merge

__all__ = [
    "CollectionExists",
    "CollectionMissing",
    "FilterError",
    "Record",
    "VectorError",
    "add",
    "build_index",
    "count",
    "create_collection",
    "delete",
    "delete_collection",
    "distance_of",
    "get",
    "get_collection",
    "get_collection_by_uuid",
    "get_or_create_collection",
    "list_collections",
    "modify_collection",
    "query",
    "search_state",
    "update",
    "upsert",
]

Where = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One item as the application sees it. A metadata value that Chroma lost is not in it.

    `embedding` is None unless it was asked for; `distance` is there after a query.
    """

    id: str
    document: str | None
    metadata: dict[str, Value]
    embedding: list[float] | None = field(default=None, repr=False)
    distance: float | None = None


@borrows_connection
@again_after_deadlock
def add(
    collection: Collection,
    ids: Sequence[str],
    embeddings: Sequence[Embedding],
    documents: Sequence[str | None] | None = None,
    metadatas: Sequence[Metadata | None] | None = None,
) -> int:
    """Add items; an id that exists is left as it is. How many were added."""
    with transaction.atomic():
        items = build_items(collection, ids, embeddings, documents, metadatas)
        there = set(
            Item.objects.filter(collection=collection, embedding_id__in=ids).values_list(
                "embedding_id", flat=True
            )
        )
        fresh = [item for item in items if item.embedding_id not in there]
        insert_missing(fresh)
    return len(fresh)


@borrows_connection
@again_after_deadlock
def upsert(
    collection: Collection,
    ids: Sequence[str],
    embeddings: Sequence[Embedding],
    documents: Sequence[str | None] | None = None,
    metadatas: Sequence[Metadata | None] | None = None,
) -> int:
    """Add items or change them: as in Chroma, metadata is merged and a missing document stays."""
    with transaction.atomic():
        items = build_items(collection, ids, embeddings, documents, metadatas)
        add_or_merge(collection, items, metadatas)
    return len(items)


@borrows_connection
@again_after_deadlock
def update(
    collection: Collection,
    ids: Sequence[str],
    embeddings: Sequence[Embedding | None] | None = None,
    documents: Sequence[str | None] | None = None,
    metadatas: Sequence[Metadata | None] | None = None,
) -> int:
    """Change items: what is given, and no more. An id not there is passed over, as in Chroma.

    Metadata is merged, a value of None takes its key away. How many were changed.
    """
    check_columns(ids, embeddings, documents, metadatas)
    vectors = [] if embeddings is None else ["embedding", "origin"]
    if embeddings is not None:
        settle_dimension(collection)
    fields = [*vectors, *(["document"] if documents else []), *(["metadata"] if metadatas else [])]
    with transaction.atomic():
        known = _chosen(collection, ids, None, None, bool(vectors)).select_for_update()
        place = {key: n for n, key in enumerate(ids)}
        items = list(known.order_by("id"))
        for item in items:
            key, n = item.embedding_id, place[item.embedding_id]
            if documents and documents[n] is not None:
                item.document = clean_document(documents[n], key)
            if metadatas:
                item.metadata = merged_metadata(item.metadata, metadatas[n], key)
            if embeddings is not None and (given := embeddings[n]) is not None:
                item.embedding = float32(collection, given, key)
                item.origin = Item.Origin.TARGET
        if fields:
            Item.objects.bulk_update(items, fields, batch_size=500)
    return len(items)


@borrows_connection
def get(
    collection: Collection,
    ids: Sequence[str] | None = None,
    *,
    where: Where | None = None,
    where_document: Where | None = None,
    limit: int | None = None,
    offset: int = 0,
    embeddings: bool = False,
) -> list[Record]:
    """Items by id and filters, in the order in which they were added."""
    if offset < 0 or (limit is not None and limit < 0):
        raise VectorError("limit and offset count from zero: give no negative ones.")
    chosen = _chosen(collection, ids, where, where_document, embeddings).order_by("id")
    end = None if limit is None else offset + limit
    return [_record(item, embeddings) for item in chosen[offset:end]]


@borrows_connection
def query(
    collection: Collection,
    embedding: Embedding,
    n_results: int = 10,
    *,
    ids: Sequence[str] | None = None,
    where: Where | None = None,
    where_document: Where | None = None,
    exact: bool = False,
    embeddings: bool = False,
) -> list[Record]:
    """The nearest items with Chroma's distances, nearest first; `ids` are those to search among.

    Uses the HNSW index where there is one; `exact` never does.
    """
    if n_results < 1:
        raise VectorError("n_results must be at least 1.")
    settle_dimension(collection)
    if collection.dimension is None:
        return []
    vector = float32(collection, embedding, "the query")
    chosen = _chosen(collection, ids, where, where_document, embeddings)
    filtered = any(given is not None for given in (ids, where, where_document))
    found = nearest(chosen, collection, vector, n_results, exact=exact, filtered=filtered)
    return [_record(item, embeddings, distance) for item, distance in found]


@borrows_connection
@again_after_deadlock
def delete(
    collection: Collection,
    ids: Sequence[str] | None = None,
    *,
    where: Where | None = None,
    where_document: Where | None = None,
) -> int:
    """Delete items by id and filters; how many. VectorError without any of them."""
    if ids is None and where is None and where_document is None:
        raise VectorError("Say what to delete: ids, where or where_document.")
    deleted, _ = _chosen(collection, ids, where, where_document).delete()
    return deleted


@borrows_connection
def count(collection: Collection) -> int:
    """How many items a collection has."""
    return Item.objects.filter(collection=collection).count()


@borrows_connection
def search_state(collection: Collection) -> str:
    """A sentence on how this collection is searched: by index, or exactly and why."""
    if indexes.has_index(collection):
        return f"{collection.name} is searched through {indexes.index_name(collection)}."
    state = indexes.extension_state()
    if state == "installed":
        return f"{collection.name} has no index: search is exact until build_index builds it."
    return f"{collection.name} is searched exactly: pgvector is {state}."


@borrows_connection
def build_index(collection: Collection) -> str:
    """Build the index if it is not there; a sentence on what came of it. Writers wait meanwhile."""
    on_primary(collection)
    return indexes.ensure_index(collection)


def _chosen(
    collection: Collection,
    ids: Sequence[str] | None,
    where: Where | None,
    where_document: Where | None,
    embeddings: bool = True,
) -> QuerySet[Item]:
    chosen = Item.objects.filter(collection_id=collection.pk)
    if not embeddings:
        chosen = chosen.defer("embedding")
    if ids is not None:
        chosen = chosen.filter(embedding_id__in=[key for key in ids if not is_no_text(key)])
    if where is not None:
        check_depth(where, "where")
        chosen = chosen.filter(where_condition(where))
    if where_document is not None:
        check_depth(where_document, "where_document")
        chosen = chosen.filter(document_condition(where_document))
    return chosen


def _record(item: Item, embeddings: bool, distance: float | None = None) -> Record:
    metadata = {
        key: [each for each in value if each is not None] if isinstance(value, list) else value
        for key, value in (item.metadata or {}).items()
        if value is not None
    }
    vector = item.embedding if embeddings else None
    return Record(item.embedding_id, item.document, metadata, vector, distance)
