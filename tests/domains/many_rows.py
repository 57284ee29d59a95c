"""So many rows in the tables of all domains that the planner prefers their indexes."""

from __future__ import annotations

from django.db import connection

TABLES = (
    "vector.collections, vector.items, "
    "knowledge.knowledge_items, knowledge.knowledge_relationships, "
    "knowledge.learning_sessions, accuracy.accuracy_scores, accuracy.learning_objectives, "
    "continuum.tier_metrics, continuum.tier_audit, continuum.forgetting_metrics, "
    "rss.fetch_cycles, rss.fetch_items"
)
# Ids below 0, which no sequence gives. Rows so far apart that a week is a part of the table.
MANY = (
    # What earlier tests left of pages and index entries would be part of the planner's choice.
    f"TRUNCATE {TABLES}",
    "INSERT INTO knowledge.knowledge_items (id, content, source, knowledge_type, retention_score, "
    "created_at) SELECT -n, 'c', 's', 't' || n % 5, n / 10000.0, now() - n * interval '6 minutes' "
    "FROM generate_series(1, 10000) n",
    "INSERT INTO knowledge.knowledge_relationships (source_id, target_id, relationship_type) "
    "SELECT -n, n - 10001, 'r' FROM generate_series(1, 10000) n",
    "INSERT INTO knowledge.learning_sessions (session_type, content_learned, accuracy_score, "
    "created_at) SELECT 's', 'c', 0.5, now() - n * interval '1 hour' "
    "FROM generate_series(1, 10000) n",
    "INSERT INTO accuracy.accuracy_scores (question, actual_answer, accuracy_score, "
    "scoring_method, created_at) SELECT 'q', 'a', 0.5, 'm', now() - n * interval '1 hour' "
    "FROM generate_series(1, 10000) n",
    "INSERT INTO accuracy.learning_objectives (id, objective_text, target_score) "
    "SELECT -n, 'o', 0.5 FROM generate_series(1, 10000) n",
    "INSERT INTO continuum.tier_metrics (item_id, tier, surprise_score, retrieval_count_7d, "
    "validator_overlap) SELECT 'i' || n, 'L1', 0.9, n % 2, 0.9 FROM generate_series(1, 10000) n",
    "INSERT INTO continuum.tier_audit (item_id, from_tier, to_tier, reason, created_at) "
    "SELECT 'i' || n % 3000, 'L0', 'L1', 'r', now() - n * interval '20 minutes' "
    "FROM generate_series(1, 10000) n",
    "INSERT INTO continuum.forgetting_metrics (regression_item_id, regression_query, measured_at) "
    "SELECT 'i', 'q', now() - n * interval '2 hours' FROM generate_series(1, 10000) n",
    "INSERT INTO rss.fetch_cycles (id, cycle_number, started_at, completed_at, status) "
    "SELECT -n, n, now() - n * interval '4 hours', now() - n * interval '3 hours', 'completed' "
    "FROM generate_series(1, 2000) n",
    "INSERT INTO rss.fetch_items (cycle_id, item_title, feed_url, status, fetch_timestamp, "
    "added_to_rag_at) SELECT -1 - n % 2000, 't', 'f', "
    "CASE WHEN n % 3 = 0 THEN 'Added to RAG' ELSE 'Filtered: Duplicate' END, "
    "now() - n * interval '1 minute', now() - n * interval '1 minute' "
    "FROM generate_series(1, 20000) n",
    "INSERT INTO vector.collections (id, uuid, name, dimension, configuration) "
    "SELECT -n, lpad(n::text, 32, '0')::uuid, 'c' || n, 2, NULL FROM generate_series(1, 5000) n",
    "INSERT INTO vector.items (collection_id, embedding_id, document, metadata, embedding) "
    "SELECT -1 - n / 1000, 'i' || n, 'text', '{\"k\": 1}', ARRAY[n % 97, n % 89]::real[] "
    "FROM generate_series(1, 10000) n",
    f"ANALYZE {TABLES}",
)


def fill_tables() -> None:
    """Fill them, and let the planner know."""
    with connection.cursor() as cursor:
        for statement in MANY:
            cursor.execute(statement)
