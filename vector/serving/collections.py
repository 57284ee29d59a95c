"""Collections: made, found, listed and deleted, with their index. Part of `vector.services`."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, router, transaction

from stillme.services.connections import borrows_connection
from vector.models import Collection
from vector.serving import indexes
from vector.serving.given_values import (
    PATIENCE,
    CollectionExists,
    CollectionMissing,
    Metadata,
    VectorError,
    clean_metadata,
)

TENANT, DATABASE = "default_tenant", "default_database"


@borrows_connection
def create_collection(
    name: str,
    *,
    metric: str = "l2",
    metadata: Metadata | None = None,
    dimension: int | None = None,
    tenant: str = TENANT,
    database: str = DATABASE,
) -> Collection:
    """A new collection; CollectionExists, a VectorError, where the name is taken.

    Its index is made when its dimension is known: now, or with the first item.
    """
    collection, created = _made(name, metric, metadata, dimension, tenant, database)
    if not created:
        raise CollectionExists(f"There is a collection {name} already.")
    return collection


def _made(
    name: str,
    metric: str,
    metadata: Metadata | None,
    dimension: int | None,
    tenant: str,
    database: str,
) -> tuple[Collection, bool]:
    """The collection of that name, and whether it was made just now."""
    if metric not in Collection.Metric.values:
        raise VectorError(f"{metric!r} is no metric: use l2, cosine or ip.")
    with transaction.atomic():
        collection, created = Collection.objects.get_or_create(
            name=name,
            tenant=tenant,
            database=database,
            defaults={
                "metric": metric,
                "metadata": clean_metadata(metadata, "the collection"),
                "dimension": dimension,
            },
        )
    if created:
        # One left there by an emptied collection of the same number.
        indexes.drop_index(collection)
        if dimension is not None:
            transaction.on_commit(partial(indexes.ensure_index, collection, patience=PATIENCE))
    return collection, created


@borrows_connection
def get_collection(name: str, *, tenant: str = TENANT, database: str = DATABASE) -> Collection:
    """The collection of that name; CollectionMissing, a VectorError, where there is none."""
    found = Collection.objects.filter(name=name, tenant=tenant, database=database).first()
    if found is None:
        raise CollectionMissing(f"There is no collection {name}.")
    return found


@borrows_connection
def get_collection_by_uuid(uuid: UUID) -> Collection:
    """The collection as it is now, whatever its name is; CollectionMissing if it was deleted."""
    found = Collection.objects.filter(uuid=uuid).first()
    if found is None:
        raise CollectionMissing(f"There is no collection {uuid} (any more).")
    return found


@borrows_connection
def get_or_create_collection(
    name: str,
    *,
    metric: str = "l2",
    metadata: Metadata | None = None,
    tenant: str = TENANT,
    database: str = DATABASE,
) -> Collection:
    """The collection of that name, made if need be; an existing one keeps its metric."""
    try:
        return get_collection(name, tenant=tenant, database=database)
    except CollectionMissing:
        return _made(name, metric, metadata, None, tenant, database)[0]


@borrows_connection
def modify_collection(
    collection: Collection, *, name: str | None = None, metadata: Metadata | None = None
) -> Collection:
    """Give a collection another name, or other metadata in place of what it has.

    The collection as it is then. CollectionExists where the name is taken, CollectionMissing where
    the collection was deleted.
    """
    changes: dict[str, Any] = {} if name is None else {"name": name}
    if metadata is not None:
        changes["metadata"] = clean_metadata(metadata, "the collection")
    there = Collection.objects.using(router.db_for_write(Collection)).filter(pk=collection.pk)
    if changes:
        try:
            with transaction.atomic(using=there.db):
                there.update(**changes)
        except IntegrityError as error:
            raise CollectionExists(f"There is a collection {name} already.") from error
    found = there.first()
    if found is None:
        raise CollectionMissing(f"There is no collection {collection.name} (any more).")
    return found


@borrows_connection
def list_collections(*, tenant: str = TENANT, database: str = DATABASE) -> list[Collection]:
    """The collections of a database, by name."""
    return list(Collection.objects.filter(tenant=tenant, database=database).order_by("name"))


@borrows_connection
def delete_collection(name: str, *, tenant: str = TENANT, database: str = DATABASE) -> None:
    """Delete a collection with its items and its index."""
    collection = get_collection(name, tenant=tenant, database=database)
    on_primary(collection)
    indexes.drop_index(collection)
    collection.delete()


def on_primary(collection: Collection) -> None:
    """Let the index be made or dropped where rows are written, also if a replica gave the row."""
    collection._state.db = router.db_for_write(Collection)
