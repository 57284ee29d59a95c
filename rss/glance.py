"""What the overview shows of the schema `rss`."""

from __future__ import annotations

from rss.models import FetchItem
from stillme.pages.glance.charts import Chart, add_charts

# The words of the old application's statuses; a status that is not here stands for itself.
OUTCOMES = {
    "added": ("Added to RAG",),
    "filtered": ("Filtered", "Filtered: Low Score", "Filtered: Ethical/Bias Flag"),
    "duplicate": ("Filtered: Duplicate",),
    "failed": ("Failed", "Error", "Error: Failed to add"),
}

add_charts(
    Chart(
        name="outcome",
        title="Outcome over time",
        says="What became of the entries of all feeds.",
        model=FetchItem,
        time="fetch_timestamp",
        split="status",
        words=OUTCOMES,
    ),
    Chart(
        name="feeds",
        title="Outcome by feed",
        says="What became of the entries of each feed, the largest feeds first.",
        model=FetchItem,
        time="fetch_timestamp",
        by="feed_url",
        split="status",
        words=OUTCOMES,
    ),
)
