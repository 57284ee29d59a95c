"""Target models of the schema `rss`.

NOT NULL stands where the draft schema or the legacy declaration has it; a column that merely has
a default stays nullable, because a legacy NULL stays NULL.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from stillme.services.model_parts import NamedIndex


class FetchCycle(models.Model):
    """One round of fetching all feeds, with its counters."""

    class Status(models.TextChoices):
        UNFINISHED = "unfinished"
        COMPLETED = "completed"

    id = models.BigAutoField(primary_key=True)
    # Not unique, against the draft: the old application's counter restarts with its process and
    # two of its endpoints always write 0, so real files repeat the number.
    cycle_number = models.IntegerField()
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    status = models.TextField(default=Status.UNFINISHED)
    items_fetched = models.IntegerField(null=True, db_default=0)
    items_added = models.IntegerField(null=True, db_default=0)
    error_message = models.TextField(null=True)
    items_filtered = models.IntegerField(null=True, db_default=0)
    items_duplicate = models.IntegerField(null=True, db_default=0)
    items_low_score = models.IntegerField(null=True, db_default=0)
    items_ethical_filtered = models.IntegerField(null=True, db_default=0)
    created_at = models.DateTimeField(null=True, db_default=Now())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"rss"."fetch_cycles"'
        indexes = [
            NamedIndex(fields=["status"], name="idx_rss_fetch_cycles_status"),
            NamedIndex(fields=["cycle_number"], name="idx_rss_fetch_cycles_cycle_number"),
            # "The latest cycle" is the greatest completed_at, else the greatest started_at.
            NamedIndex(fields=["completed_at"], name="idx_rss_fetch_cycles_completed_at"),
            NamedIndex(fields=["started_at"], name="idx_rss_fetch_cycles_started_at"),
        ]

    def __str__(self) -> str:
        return f"cycle {self.cycle_number} (#{self.pk}), {self.status}"


class FetchItem(models.Model):
    """One entry of a feed, and what became of it."""

    id = models.BigAutoField(primary_key=True)
    cycle = models.ForeignKey(
        FetchCycle,
        models.PROTECT,
        related_name="items",
        db_column="cycle_id",
        # The composite index below begins with this column.
        db_index=False,
    )
    feed_url = models.TextField()
    item_title = models.TextField()
    item_link = models.TextField(null=True)
    item_published = models.DateTimeField(null=True)
    status = models.TextField()
    error_message = models.TextField(null=True)
    created_at = models.DateTimeField(null=True, db_default=Now())
    summary = models.TextField(null=True)
    fetch_timestamp = models.DateTimeField()
    status_reason = models.TextField(null=True)
    vector_id = models.TextField(null=True)
    added_to_rag_at = models.DateTimeField(null=True)
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"rss"."fetch_items"'
        indexes = [
            NamedIndex(
                fields=["cycle", "-fetch_timestamp", "id"], name="idx_rss_fetch_items_cycle_id"
            ),
            # The order of get_added_to_rag_items. Partial, because a status is free text, and a
            # btree refuses values beyond 2,704 bytes: one such row would stop an import.
            NamedIndex(
                F("added_to_rag_at").desc(nulls_last=True),
                F("fetch_timestamp").desc(),
                F("id").asc(),
                condition=Q(status="Added to RAG"),
                name="idx_rss_fetch_items_added",
            ),
            NamedIndex(fields=["-fetch_timestamp", "-id"], name="idx_rss_fetch_items_fetched"),
        ]

    def __str__(self) -> str:
        return f"{self.item_title[:60]} (#{self.pk}), {self.status}"
