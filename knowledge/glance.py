"""What the overview shows of the schema `knowledge`."""

from __future__ import annotations

from knowledge.models import KnowledgeItem, LearningSession
from stillme.pages.glance.charts import Chart, add_charts

add_charts(
    Chart(
        name="growth-by-type",
        title="Growth by type",
        says="Knowledge items by the time they were learned, and their types.",
        model=KnowledgeItem,
        time="created_at",
        split="knowledge_type",
    ),
    Chart(
        name="growth-by-source",
        title="Growth by source",
        says="Knowledge items by the time they were learned, and where from.",
        model=KnowledgeItem,
        time="created_at",
        split="source",
    ),
    Chart(
        name="retention",
        title="Retention",
        says="Mean retention and confidence of the items learned at a time, as they are now.",
        model=KnowledgeItem,
        time="created_at",
        averages={"retention": "retention_score", "confidence": "confidence_score"},
    ),
    Chart(
        name="sessions",
        title="Learning sessions",
        says="Learning sessions by their type.",
        model=LearningSession,
        time="created_at",
        split="session_type",
    ),
    Chart(
        name="session-accuracy",
        title="Accuracy in learning sessions",
        says="Mean accuracy, and how much retention improved.",
        model=LearningSession,
        time="created_at",
        averages={"accuracy": "accuracy_score", "improvement": "retention_improvement"},
    ),
)
