"""The admin of the schema `continuum`."""

from __future__ import annotations

from django.contrib import admin

from continuum.models import ForgettingMetric, TierAudit, TierMetric
from stillme.pages.lists.frequent import FrequentValuesFilter
from stillme.pages.related import Related
from stillme.pages.target_admin import TargetAdmin, excerpt


@admin.register(TierMetric)
class TierMetricAdmin(TargetAdmin):
    """Memory items and their tiers."""

    list_display = [
        "item_id",
        "tier",
        "surprise_score",
        "retrieval_count_7d",
        "retrieval_count_30d",
        "validator_overlap",
        "last_update_cycle",
        "updated_at",
    ]
    related = (
        Related(
            "continuum.TierAudit",
            "item_id",
            ("from_tier", "to_tier", "reason", "created_at"),
            "audit trail",
        ),
    )
    list_filter = [("tier", FrequentValuesFilter)]
    search_fields = ["item_id"]
    date_hierarchy = "created_at"


@admin.register(TierAudit)
class TierAuditAdmin(TargetAdmin):
    """Promotions and demotions, newest first."""

    reason_start = excerpt("reason")
    list_display = [
        "id",
        "item_id",
        "from_tier",
        "to_tier",
        "reason_start",
        "surprise_score",
        "performed_by",
        "created_at",
    ]
    list_filter = [("from_tier", FrequentValuesFilter), ("to_tier", FrequentValuesFilter)]
    search_fields = ["item_id", "reason"]
    date_hierarchy = "created_at"


@admin.register(ForgettingMetric)
class ForgettingMetricAdmin(TargetAdmin):
    """Measurements of recall before and after an update."""

    query_start = excerpt("regression_query")
    list_display = [
        "id",
        "regression_item_id",
        "query_start",
        "recall_at_k_before",
        "recall_at_k_after",
        "forgetting_delta",
        "measured_at",
    ]
    list_filter = [("tier", FrequentValuesFilter)]
    search_fields = ["regression_item_id", "regression_query"]
    date_hierarchy = "measured_at"
