"""The admin of the schema `rss`."""

from __future__ import annotations

from django.contrib import admin

from rss.models import FetchCycle, FetchItem
from stillme.pages.lists.frequent import FrequentValuesFilter
from stillme.pages.related import Related
from stillme.pages.target_admin import TargetAdmin, excerpt


@admin.register(FetchCycle)
class FetchCycleAdmin(TargetAdmin):
    """Fetch cycles, newest first."""

    list_display = [
        "id",
        "cycle_number",
        "status",
        "started_at",
        "completed_at",
        "items_fetched",
        "items_added",
        "items_filtered",
        "items_duplicate",
        "items_low_score",
    ]
    related = (
        Related(
            "rss.FetchItem",
            "cycle",
            ("item_title", "status", "status_reason", "fetch_timestamp"),
            "items of this cycle",
        ),
    )
    list_filter = [("status", FrequentValuesFilter)]
    search_fields = ["=id", "=cycle_number"]
    date_hierarchy = "started_at"


@admin.register(FetchItem)
class FetchItemAdmin(TargetAdmin):
    """Entries of feeds, newest first."""

    title_start = excerpt("item_title")
    list_display = [
        "id",
        "cycle_id",
        "title_start",
        "feed_url",
        "status",
        "fetch_timestamp",
        "added_to_rag_at",
    ]
    list_filter = [("status", FrequentValuesFilter), ("feed_url", FrequentValuesFilter)]
    search_fields = ["item_title", "item_link", "feed_url", "=id", "=cycle__id"]
    autocomplete_fields = ["cycle"]
    date_hierarchy = "fetch_timestamp"
