"""A collection with the methods of ChromaDB's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from vector import models, services
from vector.client import answers, arguments
from vector.client.arguments import EmbeddingFunction
from vector.client.errors import InvalidArgumentError, translated

Where = Mapping[str, Any]
_GET = ("metadatas", "documents")
_QUERY = ("metadatas", "documents", "distances")


class Collection:
    """A collection as chromadb's client gives it, over `vector.services`.

    Each method reads the collection's row first: an object may be kept while others add the first
    item, or delete the collection, which is a NotFoundError. Arguments that cannot be used are an
    InvalidArgumentError, which is a ValueError. An `embedding_function` takes a list of texts and
    gives a vector for each; it is called where texts come without embeddings.
    """

    def __init__(
        self, row: models.Collection, embedding_function: EmbeddingFunction | None = None
    ) -> None:
        self._row = row
        self._embedding_function = embedding_function

    @property
    def id(self) -> UUID:
        """Chroma's own key, which the import keeps."""
        return self._row.uuid

    @property
    def name(self) -> str:
        """The name."""
        return self._row.name

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The collection's own metadata, None where it has none."""
        return dict(self._row.metadata) or None

    @property
    def tenant(self) -> str:
        """The tenant whose collection this is."""
        return self._row.tenant

    @property
    def database(self) -> str:
        """The tenant's database that it is in."""
        return self._row.database

    def __eq__(self, other: object) -> bool:
        """Whether both are the same collection."""
        return isinstance(other, Collection) and other.id == self.id

    def __hash__(self) -> int:
        """By the key."""
        return hash(self.id)

    def __repr__(self) -> str:
        """As chromadb prints it."""
        return f"Collection(name={self.name})"

    @translated()
    def count(self) -> int:
        """How many items there are."""
        return services.count(self._fresh())

    @translated()
    def add(
        self,
        ids: Any,
        embeddings: Any = None,
        metadatas: Any = None,
        documents: Any = None,
        images: Any = None,
        uris: Any = None,
    ) -> None:
        """Add items; one whose id is there already stays as it is."""
        given = arguments.records(ids, embeddings, metadatas, documents, images, uris)
        given = self._embedded(given)
        services.add(self._fresh(), **given)

    @translated()
    def upsert(
        self,
        ids: Any,
        embeddings: Any = None,
        metadatas: Any = None,
        documents: Any = None,
        images: Any = None,
        uris: Any = None,
    ) -> None:
        """Add items, or change those that are there: metadata is merged."""
        given = arguments.records(ids, embeddings, metadatas, documents, images, uris)
        given = self._embedded(given)
        services.upsert(self._fresh(), **given)

    @translated()
    def update(
        self,
        ids: Any,
        embeddings: Any = None,
        metadatas: Any = None,
        documents: Any = None,
        images: Any = None,
        uris: Any = None,
    ) -> None:
        """Change items; an id that is not there is passed over. Documents are embedded again."""
        given = arguments.records(ids, embeddings, metadatas, documents, images, uris)
        if given["documents"] is not None:
            given = self._embedded(given)
        services.update(self._fresh(), **given)

    @translated()
    def get(
        self,
        ids: Any = None,
        where: Where | None = None,
        limit: int | None = None,
        offset: int | None = None,
        where_document: Where | None = None,
        include: list[str] | tuple[str, ...] = _GET,
    ) -> dict[str, Any]:
        """Items by id and filters, in the order in which they were added."""
        parts = arguments.check_include(include, "distances")
        found = services.get(
            self._fresh(),
            arguments.ids_once(ids),
            where=where,
            where_document=where_document,
            limit=None if limit is None else arguments.check_whole(limit, "limit"),
            offset=arguments.check_whole(offset or 0, "offset"),
            embeddings="embeddings" in parts,
        )
        return answers.of_get(found, parts)

    def peek(self, limit: int = 10) -> dict[str, Any]:
        """The first items, with their embeddings."""
        return self.get(limit=limit, include=["metadatas", "documents", "embeddings"])

    @translated()
    def query(
        self,
        query_embeddings: Any = None,
        query_texts: Any = None,
        query_images: Any = None,
        query_uris: Any = None,
        ids: Any = None,
        n_results: int = 10,
        where: Where | None = None,
        where_document: Where | None = None,
        include: list[str] | tuple[str, ...] = _QUERY,
    ) -> dict[str, Any]:
        """The nearest items of each vector or text, nearest first."""
        arguments.refuse_media(query_images, query_uris)
        parts = arguments.check_include(include)
        wanted = arguments.check_n_results(n_results)
        vectors = arguments.vectors(query_embeddings)
        if vectors is None:
            function = arguments.as_query(self._embedding_function)
            vectors = arguments.embedded(function, arguments.several(query_texts))
        chosen = arguments.ids_among(ids)
        row = self._fresh()
        found = [
            services.query(
                row,
                vector,
                wanted,
                ids=chosen,
                where=where,
                where_document=where_document,
                embeddings="embeddings" in parts,
            )
            for vector in vectors
        ]
        return answers.of_query(found, parts)

    @translated()
    def delete(
        self,
        ids: Any = None,
        where: Where | None = None,
        where_document: Where | None = None,
    ) -> None:
        """Delete items by id and filters; an id that is not there is passed over."""
        services.delete(
            self._fresh(),
            arguments.ids_once(ids),
            where=where,
            where_document=where_document,
        )

    @translated()
    def modify(
        self,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
        configuration: Any = None,
    ) -> None:
        """Give the collection another name, or other metadata in place of what it has."""
        arguments.check_metadata(metadata)
        if name is not None:
            arguments.check_name(name)
        if configuration is not None or "hnsw:space" in (metadata or {}):
            raise InvalidArgumentError(
                "The metric and the index of a collection are not changed once it is there: make "
                "another collection."
            )
        self._row = services.modify_collection(self._fresh(), name=name, metadata=metadata)

    def _fresh(self) -> models.Collection:
        return services.get_collection_by_uuid(self.id)

    def _embedded(self, given: dict[str, Any]) -> dict[str, Any]:
        """With embeddings, which the function makes of the documents where none were given."""
        if given["embeddings"] is None:
            function = self._embedding_function
            given["embeddings"] = arguments.embedded(function, given["documents"])
        return given
