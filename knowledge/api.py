"""Knowledge items and learning sessions, as functions that raise what goes wrong.

The old class in `knowledge.services` wraps these; new code calls them directly. Each is its own
transaction unless the caller has one.
"""

from __future__ import annotations

from typing import Any

from django.db import router, transaction
from django.db.models import Avg, Count, Q
from django.db.models.functions import Now

from knowledge.models import KnowledgeItem, KnowledgeRelationship, LearningSession
from stillme.services.arguments import document, plain, real, whole
from stillme.services.connections import borrows_connection
from stillme.services.prepared_insert import insert
from stillme.services.prepared_select import fetch, limit_clause, select
from stillme.services.times import days_ago, sql_text
from stillme.services.updates import update

HIGH_RETENTION = 0.7
RECENT_DAYS = 7


@borrows_connection
def item_add(
    *,
    content: str,
    source: str,
    knowledge_type: str = "general",
    confidence_score: float | None = 0.5,
    metadata: Any = None,
) -> int:
    """Store a piece of knowledge; answers its id."""
    return insert(
        KnowledgeItem,
        content=plain(content),
        source=plain(source),
        knowledge_type=plain(knowledge_type),
        confidence_score=real(confidence_score),
        metadata=document(metadata),
    )


@borrows_connection
def item_rescore(*, item_id: int, retention_score: float | None) -> bool:
    """Set the retention score and the time of last access; False where there is no such item."""
    found = KnowledgeItem.objects.filter(pk=whole(item_id))
    return update(found, lambda: {"retention_score": real(retention_score), "last_accessed": Now()})


@borrows_connection
def item_list_retained(
    *,
    knowledge_type: str | None = None,
    min_retention_score: float = HIGH_RETENTION,
    limit: int | None = 100,
) -> list[dict[str, Any]]:
    """The best retained items first; ties by access count, then in the order of their ids."""
    sql = _RETAINED
    parameters: list[Any] = [real(min_retention_score)]
    if knowledge_type:
        sql, parameters = _RETAINED_OF_TYPE, [*parameters, plain(knowledge_type)]
    found = fetch(KnowledgeItem, sql + _BEST_FIRST + limit_clause(limit), parameters)
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in found]
    for row in rows:
        row["last_accessed"] = sql_text(row["last_accessed"])
        row["metadata"] = {} if row["metadata"] is None else row["metadata"]
    return rows


_COLUMNS = (
    "id",
    "content",
    "source",
    "knowledge_type",
    "confidence_score",
    "retention_score",
    "access_count",
    "last_accessed",
    "metadata",
)
_RETAINED = f"{select(KnowledgeItem, _COLUMNS)} WHERE retention_score >= %s"
_RETAINED_OF_TYPE = f"{_RETAINED} AND knowledge_type = %s"
_BEST_FIRST = " ORDER BY retention_score DESC, access_count DESC NULLS LAST, id"


@borrows_connection
def item_clean_up(*, days: float = 30, min_retention_score: float = 0.3) -> int:
    """Delete items older than `days` and below the score, with their relationships.

    The old code left relationships to deleted items behind; the target's foreign keys allow none.
    """
    before, below = days_ago(days), real(min_retention_score)
    # PostgreSQL sorts NaN above every number: "below NaN" would be every old item.
    if before is None or below is None:
        return 0
    doomed = KnowledgeItem.objects.filter(created_at__lt=before, retention_score__lt=below)
    using = router.db_for_write(KnowledgeItem)
    with transaction.atomic(using=using):
        ids = doomed.values("pk")
        # One statement per column, because each can then use its own index.
        KnowledgeRelationship.objects.filter(source__in=ids).delete()
        KnowledgeRelationship.objects.filter(target__in=ids).delete()
        # Django would read every item to look for what refers to it; nothing does any more.
        return int(doomed._raw_delete(using))


@borrows_connection
def session_record(
    *,
    session_type: str,
    content_learned: str,
    accuracy_score: float | None,
    retention_improvement: float | None = 0.0,
    metadata: Any = None,
) -> int:
    """Store a learning session; answers its id."""
    return insert(
        LearningSession,
        session_type=plain(session_type),
        content_learned=plain(content_learned),
        accuracy_score=real(accuracy_score),
        retention_improvement=real(retention_improvement),
        metadata=document(metadata),
    )


@borrows_connection
def retention_measure() -> dict[str, Any]:
    """The figures of the dashboard: two statements, one per table."""
    items = KnowledgeItem.objects.aggregate(
        total=Count("*"),
        average=Avg("retention_score"),
        high=Count("pk", filter=Q(retention_score__gte=HIGH_RETENTION)),
    )
    sessions = LearningSession.objects.aggregate(
        total=Count("*"),
        average=Avg("accuracy_score"),
        recent=Avg("accuracy_score", filter=Q(created_at__gte=days_ago(RECENT_DAYS))),
    )
    overall, recent = sessions["average"] or 0.0, sessions["recent"] or 0.0
    return {
        "total_knowledge_items": items["total"],
        "average_retention_score": round(items["average"] or 0.0, 3),
        "high_retention_items": items["high"],
        "retention_rate": round(items["high"] / max(items["total"], 1), 3),
        "total_learning_sessions": sessions["total"],
        "average_accuracy": round(overall, 3),
        "recent_accuracy": round(recent, 3),
        "learning_trend": "improving" if recent > overall else "stable",
    }
