"""The same calls on the services, and the scratch database they are measured on.

Django is set up by who imports this.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from django.core.management import call_command
from django.db import connections

from accuracy.services import AccuracyScorer
from knowledge.services import KnowledgeRetention
from rss.services import RSSFetchHistory

FILLING = [
    "INSERT INTO knowledge.knowledge_items (content, source, knowledge_type, retention_score) "
    "SELECT 'content ' || n, 'source', 'general', (n * 7919 % 1000) / 1000.0 "
    "FROM generate_series(1, {0}::bigint) n",
    "INSERT INTO knowledge.learning_sessions (session_type, content_learned, accuracy_score) "
    "SELECT 'chat', 'Q: question A: answer ' || n, 0.5 FROM generate_series(1, {0}) n",
    "INSERT INTO accuracy.accuracy_scores (question, actual_answer, accuracy_score, "
    "scoring_method, created_at) SELECT 'q' || n, 'a' || n, 0.5, 'semantic_similarity', "
    "now() - n * interval '1 minute' FROM generate_series(1, {0}) n",
    "INSERT INTO rss.fetch_cycles (cycle_number, started_at, status) "
    "SELECT n, now(), 'unfinished' FROM generate_series(1, 2000) n",
    "INSERT INTO rss.fetch_items (cycle_id, item_title, feed_url, item_link, summary, status, "
    "fetch_timestamp) SELECT 1 + n % 2000, 'title ' || n, 'https://feed', 'https://link/' || n, "
    "'summary', 'Added to RAG', now() - n * interval '1 minute' FROM generate_series(1, {0}) n",
    "VACUUM ANALYZE",
    # What filling left to write must not be written while something is measured.
    "CHECKPOINT",
]


class Services:
    """The same calls on the services."""

    def __init__(self) -> None:
        self.retention, self.scorer = KnowledgeRetention(), AccuracyScorer()
        self.history = RSSFetchHistory()

    def record_learning_session(self) -> None:
        """One INSERT."""
        key = self.retention.record_learning_session(
            "chat", "Q: question A: answer", 0.5, 0.0, {"user_id": None}
        )
        assert key > 0

    def score_response(self) -> None:
        """One INSERT."""
        assert self.scorer.score_response("question", "answer") == 0.5

    def add_knowledge(self) -> None:
        """One INSERT."""
        assert self.retention.add_knowledge("content", "source") > 0

    def add_fetch_item(self, cycle: int) -> None:
        """One transaction."""
        self.history.add_fetch_item(cycle, "t", "f", "l", "s", "Added to RAG")

    def get_retained_knowledge(self) -> None:
        """A page of ten."""
        assert len(self.retention.get_retained_knowledge(limit=10)) == 10

    def get_all_fetch_items(self) -> None:
        """The newest fifty."""
        assert len(self.history.get_all_fetch_items(limit=50)) == 50

    def get_fetch_stats(self, cycle: int) -> None:
        """Counts of one cycle."""
        assert self.history.get_fetch_stats(cycle)["total"] > 0

    def rows(self) -> dict[str, int]:
        """Rows per table, and the sum of what the cycles counted."""
        with connections["default"].cursor() as cursor:
            cursor.execute(COUNTS)
            found = cursor.fetchone()
        connections["default"].close()
        return dict(zip(("items", "sessions", "scores", "fetched", "counters"), found, strict=True))


COUNTS = """
    SELECT (SELECT count(*) FROM knowledge.knowledge_items),
           (SELECT count(*) FROM knowledge.learning_sessions),
           (SELECT count(*) FROM accuracy.accuracy_scores),
           (SELECT count(*) FROM rss.fetch_items),
           (SELECT sum(items_added) FROM rss.fetch_cycles)
"""


def in_scratch_database(rows: int, work: Callable[[], None]) -> None:
    """Run `work` on a filled database that is dropped afterwards."""
    connection = connections["default"]
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in {"host", "port", "user", "password"}
    }
    name, scratch = connection.settings_dict["NAME"], "stillme_services_load"
    with psycopg.connect(dbname="postgres", autocommit=True, **parameters) as server:
        server.execute(f"DROP DATABASE IF EXISTS {scratch} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {scratch}")
        connection.settings_dict["NAME"] = scratch
        try:
            call_command("migrate", verbosity=0)
            connection.close()
            with psycopg.connect(dbname=scratch, autocommit=True, **parameters) as target:
                for sql in FILLING:
                    target.execute(sql.format(rows))
            work()
        finally:
            connections.close_all()
            connection.close_pool()
            connection.settings_dict["NAME"] = name
            server.execute(f"DROP DATABASE IF EXISTS {scratch} WITH (FORCE)")
