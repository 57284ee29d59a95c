"""Target models of the schema `vector`: ChromaDB's collections and what is in them.

Any PostgreSQL holds them: the embedding is `real[]`, float32 for float32. Where the pgvector
extension is there, `vector.serving.indexes` puts an HNSW index over it.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from stillme.services.model_parts import NamedIndex, empty_json
from vector.fields import EmbeddingField, MetadataEncoder


class Collection(models.Model):
    """A named set of items with one metric. `uuid` is ChromaDB's own key of it."""

    class Metric(models.TextChoices):
        L2 = "l2", "squared Euclidean"
        COSINE = "cosine", "cosine"
        IP = "ip", "inner product"

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True, default=uuid.uuid4)
    name = models.TextField()
    tenant = models.TextField(default="default_tenant", db_default="default_tenant")
    database = models.TextField(default="default_database", db_default="default_database")
    dimension = models.IntegerField(null=True, blank=True)
    metric = models.TextField(choices=Metric.choices, default=Metric.L2, db_default=Metric.L2)
    metadata = models.JSONField(default=dict, encoder=MetadataEncoder, db_default=empty_json())
    configuration = models.TextField(null=True, blank=True)
    schema = models.TextField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, db_default=Now())
    # No column: whether this object has its dimension of a transaction that is not through.
    undecided = False

    class Meta:
        db_table = '"vector"."collections"'
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "database", "name"], name="collections_name_once"
            ),
            models.CheckConstraint(
                condition=models.Q(metric__in=["l2", "cosine", "ip"]), name="collections_metric"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Item(models.Model):
    """One record: id, document, metadata, embedding, and where the embedding was read from."""

    class Origin(models.TextChoices):
        QUEUE = "queue", "queue (exact)"
        SEGMENT_L2 = "segment_l2", "l2 segment (exact)"
        SEGMENT_IP = "segment_ip", "inner product segment (exact)"
        SEGMENT_COSINE = "segment_cosine", "cosine segment (within 1e-6)"
        TARGET = "target", "written here"

    id = models.BigAutoField(primary_key=True)
    collection = models.ForeignKey(Collection, models.CASCADE, related_name="items", db_index=False)
    embedding_id = models.TextField()
    document = models.TextField(null=True, blank=True)
    metadata = models.JSONField(default=dict, encoder=MetadataEncoder, db_default=empty_json())
    embedding = EmbeddingField()
    origin = models.TextField(
        choices=Origin.choices, default=Origin.TARGET, db_default=Origin.TARGET
    )
    created_at = models.DateTimeField(null=True, db_default=Now())
    legacy_seq_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        db_table = '"vector"."items"'
        constraints = [
            models.UniqueConstraint(fields=["collection", "embedding_id"], name="items_id_once")
        ]
        # The newest items of a collection, however many other collections have since.
        indexes = [NamedIndex(fields=["collection", "id"], name="idx_vector_items_collection")]

    def __str__(self) -> str:
        return self.embedding_id


class CollectionMap(models.Model):
    """A collection's items in two dimensions, as they were when it was made.

    Without a foreign key: an import that replaces a collection has nothing to heed here.
    """

    collection = models.BigIntegerField(primary_key=True)
    made_at = models.DateTimeField()
    items = models.IntegerField()
    # [key, horizontal, vertical, label] of each item
    points = models.JSONField()

    class Meta:
        db_table = '"vector"."collection_maps"'

    def __str__(self) -> str:
        return f"map of collection {self.collection}"
