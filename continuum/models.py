"""Target models of the schema `continuum`.

NOT NULL stands where the draft schema or the legacy declaration has it. `tier_metrics` and
`forgetting_metrics` hold the union of two designs: the columns the draft asks for, and the
columns that the real files have; either part may be NULL or at its default in a given row.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from stillme.services.model_parts import NamedIndex, empty_json

TIERS = ("L0", "L1", "L2", "L3")


class TierMetric(models.Model):
    """The tier of a memory item and the numbers that decide where it goes next."""

    item_id = models.TextField(primary_key=True)
    tier = models.TextField(choices=[(tier, tier) for tier in TIERS])
    surprise_score = models.FloatField(null=True, db_default=0.0)
    access_count = models.IntegerField(null=True, db_default=0)
    last_accessed = models.DateTimeField(null=True, db_default=Now())
    created_at = models.DateTimeField(null=True, db_default=Now())
    metadata = models.JSONField(null=True, db_default=empty_json())
    retrieval_count_7d = models.IntegerField(null=True, db_default=0)
    retrieval_count_30d = models.IntegerField(null=True, db_default=0)
    validator_overlap = models.FloatField(null=True, db_default=0.0)
    last_promoted_at = models.DateTimeField(null=True)
    last_demoted_at = models.DateTimeField(null=True)
    last_update_cycle = models.IntegerField(null=True, db_default=0)
    updated_at = models.DateTimeField(null=True, db_default=Now())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"continuum"."tier_metrics"'
        constraints = [
            models.CheckConstraint(condition=Q(tier__in=TIERS), name="tier_metrics_tier_check")
        ]
        indexes = [
            NamedIndex(fields=["tier"], name="idx_continuum_tier_metrics_tier"),
            # The admin's periods.
            NamedIndex(fields=["created_at"], name="idx_tier_metrics_created_at"),
        ]

    def __str__(self) -> str:
        return f"{self.item_id} in {self.tier}"


class TierAudit(models.Model):
    """One promotion or demotion.

    `item_id` is no foreign key: the old application audits items that have no metrics row, and
    any text as tier.
    """

    id = models.BigAutoField(primary_key=True)
    item_id = models.TextField()
    from_tier = models.TextField(null=True)
    to_tier = models.TextField()
    reason = models.TextField()
    created_at = models.DateTimeField(null=True, db_default=Now())
    surprise_score = models.FloatField(null=True)
    retrieval_count_7d = models.IntegerField(null=True)
    validator_overlap = models.FloatField(null=True)
    performed_by = models.TextField(null=True, db_default="system")
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"continuum"."tier_audit"'
        indexes = [
            # A hash, because a legacy item_id is free text, and a btree refuses values beyond
            # 2,704 bytes: one such row would stop an import.
            HashIndex(fields=["item_id"], name="idx_tier_audit_item_id"),
            # The order of get_audit_log: newest first, NULL times last as in SQLite.
            NamedIndex(
                F("created_at").desc(nulls_last=True),
                F("id").desc(),
                name="idx_tier_audit_created_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item_id}: {self.from_tier} to {self.to_tier}"


class ForgettingMetric(models.Model):
    """How much recall of a regression item was lost by an update of knowledge."""

    id = models.BigAutoField(primary_key=True)
    tier = models.TextField(null=True)
    forgotten_count = models.IntegerField(null=True, db_default=0)
    total_count = models.IntegerField(null=True, db_default=0)
    forgetting_rate = models.FloatField(null=True, db_default=0.0)
    measured_at = models.DateTimeField(db_default=Now())
    regression_item_id = models.TextField()
    regression_query = models.TextField()
    recall_at_k_before = models.FloatField(null=True)
    recall_at_k_after = models.FloatField(null=True)
    forgetting_delta = models.FloatField(null=True)
    faithfulness_score = models.FloatField(null=True)
    overlap_score = models.FloatField(null=True)
    knowledge_update_timestamp = models.DateTimeField(null=True)
    created_at = models.DateTimeField(null=True, db_default=Now())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"continuum"."forgetting_metrics"'
        indexes = [NamedIndex(fields=["measured_at"], name="idx_forgetting_measured_at")]

    def __str__(self) -> str:
        return f"{self.regression_item_id} #{self.pk}"
