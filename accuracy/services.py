"""`AccuracyScorer` as the old application knows it, on PostgreSQL.

No method raises: an error is logged and the old fallback returned. Code that wants the error
calls `accuracy.api`.
"""

from __future__ import annotations

import logging
from typing import Any

from accuracy import api
from stillme.services.arguments import row_key
from stillme.services.failures import answers

logger = logging.getLogger(__name__)


class AccuracyScorer:
    """Scores of answers, their trend, and learning objectives."""

    def __init__(self, db_path: str = "data/accuracy_scores.db") -> None:
        # Chooses nothing any more; callers pass and read it.
        self.db_path = db_path

    @answers(0.0)
    def score_response(
        self,
        question: str,
        actual_answer: str,
        expected_answer: str | None = None,
        scoring_method: str = "semantic_similarity",
        context_used: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> float:
        """Score an answer and store the score; 0.0 on error, and nothing stored."""
        return api.response_score(
            question=question,
            actual_answer=actual_answer,
            expected_answer=expected_answer,
            scoring_method=scoring_method,
            context_used=context_used,
            metadata=metadata,
        )

    @answers(lambda error: {"error": str(error)})
    def get_accuracy_metrics(self, days: int = 7) -> dict[str, Any]:
        """The scores of the last days; {"error": ...} for an empty window or on failure."""
        try:
            return api.accuracy_measure(days=days)
        except api.NoScoresError as empty:
            return {"error": str(empty)}

    @answers(-1)
    def set_learning_objective(
        self,
        objective_name: str,
        target_accuracy: float,
        metadata: dict[str, Any] | None = None,
    ) -> int:
        """Store an objective; its id, or -1."""
        return api.objective_set(
            objective_text=objective_name, target_score=target_accuracy, metadata=metadata
        )

    @answers(False)
    def update_objective_progress(self, objective_id: int, current_accuracy: float) -> bool:
        """True also for an unknown objective, False on error."""
        key = row_key(objective_id)
        if key is not None:
            api.objective_progress(objective_id=key, current_score=current_accuracy)
        return True
