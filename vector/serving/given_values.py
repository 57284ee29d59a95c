"""Checks what callers give: ids, embeddings, documents, metadata, before it reaches a table."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import router, transaction

from stillme.visible import counted
from vector.fields import LONGEST_ID
from vector.models import Collection, Item
from vector.serving import indexes

Scalar = str | int | float | bool
Value = Scalar | list[Scalar]
Metadata = Mapping[str, Value | None]
Embedding = Sequence[float]
_NOT_HELD = re.compile("[\0\ud800-\udfff]")
_SCALARS = (str, int, float, bool)
# How long an application waits for other writers before it does without the index.
PATIENCE = "3s"


class VectorError(Exception):
    """A call that cannot be done; the message says why."""


class CollectionMissing(VectorError):
    """There is no such collection, or it was deleted."""


class CollectionExists(VectorError):
    """Another collection has the name."""


def build_items(
    collection: Collection,
    ids: Sequence[str],
    embeddings: Sequence[Embedding],
    documents: Sequence[str | None] | None,
    metadatas: Sequence[Metadata | None] | None,
) -> list[Item]:
    """Unsaved items from parallel lists, checked."""
    check_columns(ids, embeddings, documents, metadatas)
    settle_dimension(collection, embeddings)
    items = []
    for n, key in enumerate(ids):
        document = clean_document(documents[n] if documents else None, key)
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


def check_columns(ids: Sequence[str], *columns: Sequence[Any] | None) -> None:
    """VectorError for ids that are none, or for columns of another length."""
    check_ids(ids)
    if any(column is not None and len(column) != len(ids) for column in columns):
        raise VectorError("ids, embeddings, documents and metadatas must be of one length.")


def clean_document(document: str | None, what: str) -> str | None:
    """The document; VectorError for one that cannot be stored."""
    if is_no_text(document):
        raise VectorError(f"The document of {what} has {_NO_TEXT}.")
    return document


_NO_TEXT = "a NUL or half of a surrogate pair, which PostgreSQL cannot hold"
# More than the 131,072 digits of PostgreSQL's numeric.
_TOO_LONG = 435_411


def is_no_text(value: object) -> bool:
    """Whether it is a text that PostgreSQL cannot hold."""
    return isinstance(value, str) and _NOT_HELD.search(value) is not None


def check_ids(ids: Iterable[str]) -> None:
    """VectorError for an id that is not usable, or that is given twice."""
    seen: set[str] = set()
    for key in ids:
        if not isinstance(key, str) or not key or is_no_text(key):
            raise VectorError(
                f"{key!r} is no id: use a text that is not empty, without NUL or half of a "
                "surrogate pair."
            )
        if key in seen:
            raise VectorError(f"The id {key} is given twice.")
        if len(key.encode()) > LONGEST_ID:
            raise VectorError(f"The id {key[:60]}... is longer than {LONGEST_ID} bytes.")
        seen.add(key)


def settle_dimension(collection: Collection, embeddings: Sequence[Embedding] = ()) -> None:
    """The first vector decides a collection's dimension, once for all writers.

    The object's dimension is read again until the transaction that decided it is through: one that
    is rolled back decides nothing. The index is made then: within the transaction the lock that
    makes an index would wait for others that wait for this one.
    """
    if collection.dimension is not None and not collection.undecided:
        return
    if len(embeddings) > 0:
        unset = Collection.objects.filter(pk=collection.pk, dimension=None)
        unset.update(dimension=len(embeddings[0]))
    collection.refresh_from_db(fields=["dimension"], using=router.db_for_write(Collection))
    if len(embeddings) > 0:
        collection.undecided = True
        transaction.on_commit(partial(_decided, collection))


def _decided(collection: Collection) -> None:
    collection.undecided = False
    indexes.ensure_index(collection, patience=PATIENCE)


def float32(collection: Collection, embedding: Embedding, what: str) -> list[float]:
    """The embedding as float32; VectorError for a wrong size or something that is no number."""
    if len(embedding) != collection.dimension:
        raise VectorError(
            f"The embedding of {what} has {counted(len(embedding), 'dimension')}; "
            f"{collection.name} has {collection.dimension}."
        )
    try:
        values = array("f", embedding).tolist()
    except (OverflowError, TypeError) as error:
        raise VectorError(f"The embedding of {what} is not made of float32 numbers.") from error
    if not all(map(math.isfinite, values)):
        raise VectorError(f"The embedding of {what} has a number that is not finite.")
    return values


def merged_metadata(
    old: Mapping[str, Value | None], given: Metadata | None, what: str
) -> dict[str, Value | None]:
    """Old metadata with the given over it; a given None takes the key away, as in Chroma."""
    gone = {key for key, value in (given or {}).items() if value is None}
    kept = {key: value for key, value in old.items() if key not in gone}
    return {**kept, **clean_metadata(given, what)}


def clean_metadata(metadata: Metadata | None, what: str) -> dict[str, Value]:
    """Metadata without its None values; VectorError for what cannot be stored.

    A list has values of one type, and at least one, as in Chroma.
    """
    clean: dict[str, Value] = {}
    for key, value in (metadata or {}).items():
        if value is None:
            continue
        named = f"The metadata {key!r} of {what}"
        values = value if isinstance(value, list) else [value]
        if not isinstance(key, str) or not all(isinstance(v, _SCALARS) for v in values):
            raise VectorError(f"{named} is no text, number or boolean, nor a list of such.")
        if not values or len(set(map(type, values))) > 1:
            raise VectorError(f"{named} is a list that is empty or mixes types.")
        if any(map(is_no_text, [key, *values])):
            raise VectorError(f"{named} has {_NO_TEXT}.")
        if any(isinstance(v, int) and v.bit_length() > _TOO_LONG for v in values):
            raise VectorError(f"{named} is a number of more than 131,072 digits.")
        if any(isinstance(v, float) and not math.isfinite(v) for v in values):
            raise VectorError(f"{named} is not finite.")
        clean[key] = value
    return clean
