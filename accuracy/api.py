"""Accuracy scores and learning objectives, as functions that raise what goes wrong.

The old class in `accuracy.services` wraps these; new code calls them directly. Each is its own
transaction unless the caller has one.
"""

from __future__ import annotations

from typing import Any

from django.db.models import (
    Avg,
    Case,
    Count,
    DateTimeField,
    F,
    Max,
    Min,
    Sum,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Now
from django.utils import timezone

from accuracy.models import AccuracyScore, LearningObjective
from accuracy.scoring import score_answer
from stillme.services.arguments import document, plain, real, whole
from stillme.services.connections import borrows_connection
from stillme.services.prepared_insert import insert
from stillme.services.times import days_ago
from stillme.services.updates import update


class NoScoresError(LookupError):
    """The window holds no score."""


@borrows_connection
def response_score(
    *,
    question: str,
    actual_answer: str,
    expected_answer: str | None = None,
    scoring_method: str = "semantic_similarity",
    context_used: str | None = None,
    metadata: Any = None,
) -> float:
    """Score an answer and store the score."""
    score = score_answer(
        method=scoring_method, question=question, answer=actual_answer, expected=expected_answer
    )
    insert(
        AccuracyScore,
        question=plain(question),
        expected_answer=plain(expected_answer),
        actual_answer=plain(actual_answer),
        accuracy_score=score,
        scoring_method=plain(scoring_method),
        context_used=plain(context_used),
        metadata=document(metadata),
    )
    return score


@borrows_connection
def accuracy_measure(*, days: float = 7) -> dict[str, Any]:
    """The scores of the last `days`: averages, methods, and the newer half against the older.

    Three statements that aggregate in the database, whatever the number of rows. The methods come
    in the order of their names. Raises NoScoresError for an empty window.
    """
    since = days_ago(days)
    if since is None:
        raise NoScoresError("No recent scores found")
    window = AccuracyScore.objects.filter(created_at__gte=since)
    methods = _methods(window)
    total = sum(method["count"] for method in methods)
    if not total:
        raise NoScoresError("No recent scores found")
    average = sum(method["sum"] for method in methods) / total
    recent, older = _halves(window, total, average)
    return {
        "period_days": days,
        "total_responses": total,
        "average_accuracy": round(average, 3),
        "max_accuracy": round(max(method["max"] for method in methods), 3),
        "min_accuracy": round(min(method["min"] for method in methods), 3),
        "method_breakdown": {
            method["scoring_method"]: {
                "count": method["count"],
                "average": round(method["sum"] / method["count"], 3),
            }
            for method in methods
        },
        "trend": _trend(recent, older),
        "recent_vs_older": {"recent_avg": round(recent, 3), "older_avg": round(older, 3)},
    }


def _methods(window: Any) -> list[dict[str, Any]]:
    score = "accuracy_score"
    grouped = window.order_by().values("scoring_method")
    found = grouped.annotate(count=Count("*"), sum=Sum(score), max=Max(score), min=Min(score))
    # Here and not by the database, whose order depends on its language.
    return sorted(found, key=lambda method: method["scoring_method"])


def _halves(window: Any, total: int, average: float) -> tuple[float, float]:
    """The averages of the newer floor(n/2) rows and of the others; of one row, both its score."""
    half = total // 2
    if not half:
        return average, average
    newest_first = window.order_by("-created_at", "id").values("accuracy_score")
    recent = newest_first[:half].aggregate(average=Avg("accuracy_score"))["average"]
    older = newest_first[half:total].aggregate(average=Avg("accuracy_score"))["average"]
    return recent or 0.0, older or 0.0


def _trend(recent: float, older: float) -> str:
    if recent > older:
        return "improving"
    return "declining" if recent < older else "stable"


@borrows_connection
def objective_set(*, objective_text: str, target_score: float | None, metadata: Any = None) -> int:
    """Store a learning objective; answers its id."""
    return insert(
        LearningObjective,
        objective_text=plain(objective_text),
        # NaN becomes NULL, which the column refuses, as SQLite's did.
        target_score=real(target_score),
        metadata=document(metadata),
    )


@borrows_connection
def objective_progress(*, objective_id: int, current_score: float) -> bool:
    """Set the score reached, and whether that achieves the objective, in one statement.

    False where there is no such objective. An achieved objective stays achieved; each score that
    meets the target stamps it again. Raises ValueError for None, which meets no target.
    """
    found = LearningObjective.objects.filter(pk=whole(objective_id))
    return update(found, lambda: _progress(current_score))


def _progress(current_score: float) -> dict[str, Any]:
    if current_score is None:
        raise ValueError("Nothing cannot be compared with the target of an objective.")
    score = real(current_score)
    # A moment, not Now(): Citus takes no function of time within a CASE.
    now = Value(timezone.now(), output_field=DateTimeField())
    met = When(target_score__lte=score, then=now) if score is not None else None
    changes: dict[str, Any] = {"current_score": score, "updated_at": Now()}
    if met is not None:
        achieved = When(target_score__lte=score, then=Value(LearningObjective.Status.ACHIEVED))
        changes["status"] = Case(achieved, default=F("status"), output_field=TextField())
        changes["achieved_at"] = Case(met, default=F("achieved_at"))
    return changes
