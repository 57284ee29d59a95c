"""What the overview shows of the schema `continuum`."""

from __future__ import annotations

from continuum.models import ForgettingMetric, TierAudit, TierMetric
from stillme.pages.glance.charts import Chart, add_charts

add_charts(
    Chart(
        name="tiers",
        title="Items in each tier",
        says="Memory items created in the period, by the tier they are in now.",
        model=TierMetric,
        time="created_at",
        by="tier",
        by_name=True,
    ),
    Chart(
        name="flow",
        title="Flow between tiers",
        says="Promotions and demotions: a bar for the tier left, a colour for the tier entered.",
        model=TierAudit,
        time="created_at",
        by="from_tier",
        by_name=True,
        split="to_tier",
    ),
    Chart(
        name="moves",
        title="Moves over time",
        says="Promotions and demotions by the tier entered.",
        model=TierAudit,
        time="created_at",
        split="to_tier",
    ),
    Chart(
        name="forgetting",
        title="Forgetting",
        says="Mean recall before and after updates of knowledge, and how much was lost by them.",
        model=ForgettingMetric,
        time="measured_at",
        averages={
            "recall before": "recall_at_k_before",
            "recall after": "recall_at_k_after",
            "forgotten": "forgetting_delta",
        },
    ),
)
