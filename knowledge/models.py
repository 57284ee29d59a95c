"""Target models of the schema `knowledge`.

NOT NULL stands where the draft schema or the legacy declaration has it; a column that merely has
a default stays nullable, because a legacy NULL stays NULL.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F
from django.db.models.functions import Now

from stillme.services.model_parts import NamedIndex, empty_json


class KnowledgeItem(models.Model):
    """A piece of knowledge that was learned, and how well it is retained."""

    id = models.BigAutoField(primary_key=True)
    content = models.TextField()
    source = models.TextField()
    knowledge_type = models.TextField()
    confidence_score = models.FloatField(null=True, db_default=0.0)
    retention_score = models.FloatField(null=True, db_default=0.0)
    access_count = models.IntegerField(null=True, db_default=0)
    last_accessed = models.DateTimeField(null=True, db_default=Now())
    created_at = models.DateTimeField(null=True, db_default=Now())
    metadata = models.JSONField(null=True, db_default=empty_json())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"knowledge"."knowledge_items"'
        indexes = [
            NamedIndex(fields=["created_at"], name="idx_knowledge_items_created_at"),
            # The order of get_retained_knowledge, so that its page is read off the index.
            NamedIndex(
                F("retention_score").desc(),
                F("access_count").desc(nulls_last=True),
                F("id").asc(),
                name="idx_knowledge_items_retention_score",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.knowledge_type} #{self.pk}: {self.content[:60]}"


class LearningSession(models.Model):
    """One act of learning; the old application records one per chat answer."""

    id = models.BigAutoField(primary_key=True)
    session_type = models.TextField()
    content_learned = models.TextField()
    accuracy_score = models.FloatField(null=True, db_default=0.0)
    retention_improvement = models.FloatField(null=True, db_default=0.0)
    created_at = models.DateTimeField(null=True, db_default=Now())
    metadata = models.JSONField(null=True, db_default=empty_json())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"knowledge"."learning_sessions"'
        indexes = [
            # The score rides along so that the average of the last days needs no table page.
            NamedIndex(
                fields=["created_at"],
                include=["accuracy_score"],
                name="idx_learning_sessions_created_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.session_type} #{self.pk}"


class KnowledgeRelationship(models.Model):
    """A named link from one knowledge item to another."""

    id = models.BigAutoField(primary_key=True)
    source = models.ForeignKey(
        KnowledgeItem,
        models.PROTECT,
        related_name="outgoing",
        db_column="source_id",
        db_index=False,
    )
    target = models.ForeignKey(
        KnowledgeItem,
        models.PROTECT,
        related_name="incoming",
        db_column="target_id",
        db_index=False,
    )
    relationship_type = models.TextField()
    strength = models.FloatField(null=True, db_default=0.0)
    created_at = models.DateTimeField(null=True, db_default=Now())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"knowledge"."knowledge_relationships"'
        indexes = [
            # The admin's periods.
            NamedIndex(fields=["created_at"], name="idx_relationships_created_at"),
            # An item's newest relationships; without the id PostgreSQL walks the whole key
            # backward in search of them (1 s in a million rows).
            NamedIndex(fields=["source", "id"], name="idx_relationships_source_id"),
            NamedIndex(fields=["target", "id"], name="idx_relationships_target_id"),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} {self.relationship_type} {self.target_id}"
