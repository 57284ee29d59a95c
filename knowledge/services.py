"""`KnowledgeRetention` as the old application knows it, on PostgreSQL.

No method raises: an error is logged and the old fallback returned. Code that wants the error
calls `knowledge.api`.
"""

from __future__ import annotations

import logging
from typing import Any

from knowledge import api
from stillme.services.arguments import row_key, row_limit
from stillme.services.failures import answers

logger = logging.getLogger(__name__)


class KnowledgeRetention:
    """Knowledge items, how well they are retained, and learning sessions."""

    def __init__(self, db_path: str = "data/knowledge_retention.db") -> None:
        # Chooses nothing any more; callers pass and read it.
        self.db_path = db_path

    @answers(-1)
    def add_knowledge(
        self,
        content: str,
        source: str,
        knowledge_type: str = "general",
        confidence_score: float = 0.5,
        metadata: dict[str, Any] | None = None,
    ) -> int:
        """Store an item; its id, or -1."""
        return api.item_add(
            content=content,
            source=source,
            knowledge_type=knowledge_type,
            confidence_score=confidence_score,
            metadata=metadata,
        )

    @answers(False)
    def update_retention_score(self, knowledge_id: int, new_score: float) -> bool:
        """True also for an unknown item, False on error."""
        key = row_key(knowledge_id)
        if key is not None:
            api.item_rescore(item_id=key, retention_score=new_score)
        return True

    @answers([])
    def get_retained_knowledge(
        self,
        knowledge_type: str | None = None,
        min_retention_score: float = 0.7,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """The best retained items; [] on error."""
        return api.item_list_retained(
            knowledge_type=knowledge_type,
            min_retention_score=min_retention_score,
            limit=row_limit(limit),
        )

    @answers(-1)
    def record_learning_session(
        self,
        session_type: str,
        content_learned: str,
        accuracy_score: float,
        retention_improvement: float = 0.0,
        metadata: dict[str, Any] | None = None,
    ) -> int:
        """Store a session; its id, or -1."""
        return api.session_record(
            session_type=session_type,
            content_learned=content_learned,
            accuracy_score=accuracy_score,
            retention_improvement=retention_improvement,
            metadata=metadata,
        )

    @answers({})
    def calculate_retention_metrics(self) -> dict[str, Any]:
        """The figures of the dashboard; {} on error."""
        return api.retention_measure()

    @answers(0)
    def cleanup_old_knowledge(
        self, days_threshold: int = 30, min_retention_score: float = 0.3
    ) -> int:
        """Delete old items of low retention; how many, 0 on error."""
        return api.item_clean_up(days=days_threshold, min_retention_score=min_retention_score)
