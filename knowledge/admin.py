"""The admin of the schema `knowledge`."""

from __future__ import annotations

from django.contrib import admin

from knowledge.models import KnowledgeItem, KnowledgeRelationship, LearningSession
from stillme.pages.lists.frequent import FrequentValuesFilter
from stillme.pages.related import Related
from stillme.pages.target_admin import TargetAdmin, excerpt


@admin.register(KnowledgeItem)
class KnowledgeItemAdmin(TargetAdmin):
    """Knowledge items, newest first."""

    content_start = excerpt("content")
    list_display = [
        "id",
        "knowledge_type",
        "source",
        "content_start",
        "retention_score",
        "confidence_score",
        "access_count",
        "created_at",
    ]
    related = (
        Related(
            "knowledge.KnowledgeRelationship",
            "source",
            ("relationship_type", "target_id", "strength"),
            "relationships from here",
        ),
        Related(
            "knowledge.KnowledgeRelationship",
            "target",
            ("relationship_type", "source_id", "strength"),
            "relationships to here",
        ),
    )
    list_filter = [("knowledge_type", FrequentValuesFilter)]
    search_fields = ["content", "source", "=id"]
    date_hierarchy = "created_at"


@admin.register(LearningSession)
class LearningSessionAdmin(TargetAdmin):
    """Learning sessions, newest first."""

    content_start = excerpt("content_learned")
    list_display = [
        "id",
        "session_type",
        "content_start",
        "accuracy_score",
        "retention_improvement",
        "created_at",
    ]
    list_filter = [("session_type", FrequentValuesFilter)]
    search_fields = ["content_learned", "session_type", "=id"]
    date_hierarchy = "created_at"


@admin.register(KnowledgeRelationship)
class KnowledgeRelationshipAdmin(TargetAdmin):
    """Links between knowledge items."""

    list_display = ["id", "source_id", "relationship_type", "target_id", "strength", "created_at"]
    list_filter = [("relationship_type", FrequentValuesFilter)]
    search_fields = ["relationship_type", "=id", "=source__id", "=target__id"]
    autocomplete_fields = ["source", "target"]
    date_hierarchy = "created_at"
