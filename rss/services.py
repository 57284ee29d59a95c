"""`RSSFetchHistory` as the old application knows it, on PostgreSQL.

Only `create_fetch_cycle` and `add_fetch_item` raise; the others log an error and return the old
fallback. Code that wants the error calls `rss.api`.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from rss import api
from stillme.services.arguments import row_key, row_limit
from stillme.services.failures import answers

logger = logging.getLogger(__name__)

DEFAULT_PATH = "/app/data/rss_fetch_history.db"
NO_STATISTICS = dict.fromkeys([*api.STATISTICS.values(), "total"], 0)


class RSSFetchHistory:
    """Fetch cycles, their items, and what became of them."""

    def __init__(self, db_path: str | None = None) -> None:
        # Chooses nothing any more; callers pass and read it.
        self.db_path = db_path or os.getenv("RSS_FETCH_HISTORY_DB_PATH") or DEFAULT_PATH

    def create_fetch_cycle(self, cycle_number: int) -> int:
        """Begin a cycle; its id. Raises."""
        return api.cycle_open(cycle_number=cycle_number)

    def add_fetch_item(
        self,
        cycle_id: int,
        title: str,
        source_url: str,
        link: str,
        summary: str,
        status: str,
        status_reason: str | None = None,
        vector_id: str | None = None,
        added_to_rag_at: str | None = None,
    ) -> int:
        """Store an item and count it in its cycle; its id. Raises."""
        return api.item_add(
            cycle_id=cycle_id,
            title=title,
            feed_url=source_url,
            link=link,
            summary=summary,
            status=status,
            status_reason=status_reason,
            vector_id=vector_id,
            added_to_rag_at=added_to_rag_at,
        )

    @answers(None)
    def complete_fetch_cycle(self, cycle_id: int) -> None:
        """Mark a cycle as completed."""
        key = row_key(cycle_id)
        if key is not None:
            api.cycle_complete(cycle_id=key)

    @answers([])
    def get_latest_fetch_items(self, limit: int = 100) -> list[dict[str, Any]]:
        """The items of the latest cycle, newest first."""
        return api.item_list_latest(limit=row_limit(limit))

    @answers([])
    def get_all_fetch_items(self, limit: int = 1000) -> list[dict[str, Any]]:
        """All items, newest first."""
        return api.item_list(limit=row_limit(limit))

    @answers([])
    def get_added_to_rag_items(self, limit: int = 1000) -> list[dict[str, Any]]:
        """The items with the status "Added to RAG", the latest addition first."""
        return api.item_list_added(limit=row_limit(limit))

    @answers(NO_STATISTICS)
    def get_fetch_stats(self, cycle_id: int | None = None) -> dict[str, int]:
        """Items by status, of a cycle or the latest; all zero where there is none."""
        if not cycle_id:
            return api.item_count()
        key = row_key(cycle_id)
        return dict(NO_STATISTICS) if key is None else api.item_count(cycle_id=key)
