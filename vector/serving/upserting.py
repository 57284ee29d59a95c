"""Adds items, or merges them with what is there. Part of `vector.services`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vector.models import Collection, Item
from vector.serving.deadlocks import insert_missing
from vector.serving.given_values import Metadata, merged_metadata

_BATCH = 1_000


def add_or_merge(
    collection: Collection, items: Sequence[Item], metadatas: Sequence[Metadata | None] | None
) -> None:
    """Write unsaved items with ids of their own; in a transaction.

    Where an item is there, its metadata is merged with the given (`metadatas`, in which None takes
    a key away), and its document stays unless there is one to take its place. Also where another
    adds the item while this call is under way.
    """
    known = _locked(collection, items)
    fresh = [item for item in items if item.embedding_id not in known]
    insert_missing(fresh)
    # Again: what another has added since the first look is merged with, not written over.
    known |= _locked(collection, fresh)
    changed = []
    for n, item in enumerate(items):
        old = known.get(item.embedding_id)
        if old is None:
            continue  # added, and deleted by another since
        given = metadatas[n] if metadatas else None
        item.metadata = merged_metadata(old.metadata, given, item.embedding_id)
        item.document = old.document if item.document is None else item.document
        if _content(item) != _content(old):
            changed.append(item)
    Item.objects.bulk_create(
        sorted(changed, key=lambda item: item.embedding_id),
        update_conflicts=True,
        unique_fields=["collection", "embedding_id"],
        update_fields=["document", "metadata", "embedding", "origin"],
        batch_size=_BATCH,
    )


def _locked(collection: Collection, items: Sequence[Item]) -> dict[str, Item]:
    """Those that are there, by id; nobody else changes them until the transaction's end."""
    if not items:
        return {}
    ids = [item.embedding_id for item in items]
    found = Item.objects.select_for_update().filter(collection=collection, embedding_id__in=ids)
    return {item.embedding_id: item for item in found.order_by("id")}


def _content(item: Item) -> tuple[str | None, str, list[float]]:
    # As JSON 1, 1.0 and true are three values.
    return item.document, json.dumps(item.metadata, sort_keys=True), item.embedding
