"""The client: collections by name, as chromadb.PersistentClient gives them."""

from __future__ import annotations

import time
from typing import Any

from vector import services
from vector.client.arguments import (
    EmbeddingFunction,
    check_metadata,
    check_name,
    check_whole,
    refuse_extras,
)
from vector.client.collection import Collection
from vector.client.errors import AuthorizationError, translated
from vector.serving.collections import DATABASE, TENANT


def PersistentClient(  # noqa: N802 - as chromadb spells it
    path: object = None, settings: object = None, tenant: str = TENANT, database: str = DATABASE
) -> ClientAPI:
    """The client. `path` and `settings` are taken as callers give them, and choose nothing."""
    return ClientAPI(str(tenant), str(database))


class ClientAPI:
    """The collections of one tenant's database. Making one neither connects nor writes."""

    def __init__(self, tenant: str = TENANT, database: str = DATABASE) -> None:
        self.tenant = tenant
        self.database = database

    def heartbeat(self) -> int:
        """Nanoseconds since 1970, after the database has answered; raises if it does not."""
        self.count_collections()
        return time.time_ns()

    def list_collections(
        self, limit: int | None = None, offset: int | None = None
    ) -> list[Collection]:
        """The collections by name; Chroma's order is by chance."""
        rows = services.list_collections(tenant=self.tenant, database=self.database)
        first = check_whole(offset or 0, "offset")
        end = None if limit is None else first + check_whole(limit, "limit")
        return [Collection(row) for row in rows[first:end]]

    def count_collections(self) -> int:
        """How many collections there are."""
        return len(services.list_collections(tenant=self.tenant, database=self.database))

    @translated()
    def create_collection(
        self,
        name: str,
        schema: object = None,
        configuration: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        embedding_function: EmbeddingFunction | None = None,
        data_loader: object = None,
        get_or_create: bool = False,
    ) -> Collection:
        """A new collection; UniqueConstraintError where the name is taken.

        The metric is what `configuration` or the metadata `hnsw:space` says, else what the
        embedding function calls its default, else l2.
        """
        check_name(name)
        check_metadata(metadata)
        refuse_extras(schema, data_loader)
        function = embedding_function or (configuration or {}).get("embedding_function")
        make = services.get_or_create_collection if get_or_create else services.create_collection
        row = make(
            name,
            metric=_metric(configuration, metadata, function),
            metadata=metadata,
            tenant=self.tenant,
            database=self.database,
        )
        return Collection(row, function)

    @translated()
    def get_collection(
        self,
        name: str,
        embedding_function: EmbeddingFunction | None = None,
        data_loader: object = None,
    ) -> Collection:
        """The collection of that name; NotFoundError where there is none."""
        refuse_extras(None, data_loader)
        row = services.get_collection(name, tenant=self.tenant, database=self.database)
        return Collection(row, embedding_function)

    def get_or_create_collection(
        self,
        name: str,
        schema: object = None,
        configuration: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        embedding_function: EmbeddingFunction | None = None,
        data_loader: object = None,
    ) -> Collection:
        """The collection of that name, made if need be; one that is there stays as it is."""
        return self.create_collection(
            name, schema, configuration, metadata, embedding_function, data_loader, True
        )

    @translated()
    def delete_collection(self, name: str) -> None:
        """Delete a collection with its items; NotFoundError where there is none."""
        services.delete_collection(name, tenant=self.tenant, database=self.database)

    def reset(self) -> bool:
        """Refused whatever the settings allow: it would delete every collection."""
        raise AuthorizationError(
            "reset is refused here: it would delete every collection. Delete those that you mean "
            "with delete_collection."
        )


def _metric(
    configuration: dict[str, Any] | None, metadata: dict[str, Any] | None, function: Any
) -> str:
    index = (configuration or {}).get("hnsw") or {}
    named = index.get("space") or (metadata or {}).get("hnsw:space")
    if named is None and hasattr(function, "default_space"):
        named = function.default_space()
    return named or "l2"
