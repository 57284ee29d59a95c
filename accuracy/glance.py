"""What the overview shows of the schema `accuracy`."""

from __future__ import annotations

from accuracy.models import AccuracyScore, LearningObjective, PerformanceTrend
from stillme.pages.glance.charts import Chart, NewestRows, add_charts

add_charts(
    Chart(
        name="accuracy",
        title="Accuracy",
        says="Mean score of the answers.",
        model=AccuracyScore,
        time="created_at",
        averages={"accuracy": "accuracy_score"},
    ),
    Chart(
        name="methods",
        title="Answers scored",
        says="Scored answers by the method of scoring.",
        model=AccuracyScore,
        time="created_at",
        split="scoring_method",
    ),
    Chart(
        name="metrics",
        title="Measurements of performance",
        says="Mean value of each metric. A click on a name in the legend hides a metric.",
        model=PerformanceTrend,
        time="measured_at",
        split="metric_name",
        averages={"value": "metric_value"},
    ),
    NewestRows(
        name="objectives",
        title="Objectives against targets",
        says="The newest learning objectives: the score reached next to the target.",
        model=LearningObjective,
        time="created_at",
        label="objective_text",
        numbers={"reached": "current_score", "target": "target_score"},
    ),
)
