"""Where the hostile values go, and how the hostile schemas drift from the declared ones."""

from __future__ import annotations

from collections.abc import Sequence

from stillme.demo.samples import schema
from stillme.demo.samples.hostile import values
from stillme.demo.samples.hostile.values import Value

BIG_ID = 9223372036854775807
UTC_STAMP = "'2025-11-20 10:00:00'"
GOOD: dict[str, dict[str, str]] = {
    "knowledge_items": {
        "content": "'good'",
        "source": "'arxiv'",
        "knowledge_type": "'general'",
        "confidence_score": "0.5",
        "retention_score": "0.7",
        "access_count": "0",
        "last_accessed": "'2025-11-21 00:00:00'",
        "metadata": "'{}'",
    },
    "learning_sessions": {"session_type": "'chat'", "content_learned": "'Q: a\nA: b'"},
    "knowledge_relationships": {
        "source_id": "1",
        "target_id": "2",
        "relationship_type": "'related_to'",
    },
    "accuracy_scores": {
        "question": "'a?'",
        "actual_answer": "'b'",
        "accuracy_score": "0.5",
        "scoring_method": "'semantic_similarity'",
    },
    "performance_trends": {
        "metric_name": "'accuracy'",
        "metric_value": "0.5",
        "measurement_date": "'2025-11-20'",
    },
    "learning_objectives": {"objective_name": "'obj'", "target_accuracy": "0.9"},
    "tier_metrics": {
        "item_id": "'item'",
        "tier": "'L0'",
        "updated_at": "'2025-11-20T17:00:00.250000'",
    },
    "tier_audit": {
        "item_id": "'item'",
        "to_tier": "'L1'",
        "reason": "''",
        "created_at": "'2025-11-20T17:00:00.250000'",
    },
    "forgetting_metrics": {
        "regression_item_id": "'reg_001'",
        "regression_query": "'q'",
        "evaluation_timestamp": "'2025-11-20T17:00:00.250000'",
    },
    "rss_fetch_items": {
        "cycle_id": "1",
        "title": "'t'",
        "source_url": "'arxiv'",
        "fetch_timestamp": "'2025-11-20T17:00:00.250000'",
        "status": "'Added to RAG'",
    },
    "rss_fetch_cycles": {
        "cycle_number": "1",
        "started_at": "'2025-11-20T17:00:00.250000'",
    },
}

EXTRA_COLUMN = "ghi chú"
ODD_CELLS: tuple[tuple[str, str, Sequence[Value]], ...] = (
    ("knowledge_items", "content", values.TEXTS),
    ("knowledge_items", "confidence_score", values.REALS),
    ("knowledge_items", "access_count", values.INTEGERS),
    ("knowledge_items", "created_at", values.TIMES),
    ("knowledge_items", "metadata", values.JSONS),
    ("knowledge_items", EXTRA_COLUMN, values.EXTRA_TEXTS),
    ("learning_sessions", "content_learned", values.TEXTS),
    ("knowledge_relationships", "source_id", values.KEYS),
    ("knowledge_relationships", "target_id", values.KEYS),
    ("accuracy_scores", "question", values.NULL),
    ("accuracy_scores", "actual_answer", values.TEXTS + values.NULL),
    ("accuracy_scores", "accuracy_score", values.UNTYPED_REALS + values.NULL),
    ("accuracy_scores", "scoring_method", values.NULL),
    ("performance_trends", "metric_value", values.REALS),
    ("performance_trends", "measurement_date", values.DATES),
    ("learning_objectives", "status", values.NULL),
    ("learning_objectives", "achieved_at", values.TIMES),
    ("learning_objectives", "metadata", values.JSONS),
    ("tier_metrics", "item_id", values.ITEM_IDS),
    ("tier_metrics", "tier", values.TIER_WORDS),
    ("tier_metrics", "retrieval_count_7d", values.INTEGERS),
    ("tier_metrics", "updated_at", values.TIMES),
    ("tier_audit", "reason", values.TEXTS),
    ("tier_audit", "created_at", values.TIMES),
    ("forgetting_metrics", "regression_query", values.TEXTS),
    ("forgetting_metrics", "evaluation_timestamp", values.TIMES),
    ("rss_fetch_items", "cycle_id", values.KEYS),
    ("rss_fetch_items", "title", values.TEXTS),
    ("rss_fetch_items", "fetch_timestamp", values.TIMES),
    ("rss_fetch_items", "status", values.LONG_STATUS),
    ("rss_fetch_cycles", "cycle_number", values.INTEGERS),
    ("rss_fetch_cycles", "completed_at", values.TIMES),
)
ODD_IDS: tuple[tuple[str, int, str], ...] = (
    ("knowledge_items", -5, "negative id"),
    ("knowledge_items", 0, "id zero"),
    ("knowledge_items", 9007199254740993, "id that no double holds"),
    ("rss_fetch_cycles", -1, "negative id"),
    ("performance_trends", BIG_ID, "largest possible id: SQLite gives out none after it"),
)
ADDED: dict[str, tuple[tuple[str, str, str], ...]] = {
    schema.KNOWLEDGE: (
        (
            "my_notes",
            "a table of the user's own",
            "CREATE TABLE my_notes (id INTEGER PRIMARY KEY, note, item_id INTEGER)",
        ),
        (
            "recent_items",
            "a view",
            "CREATE VIEW recent_items AS SELECT id, content FROM knowledge_items WHERE id > 100",
        ),
        (
            "note_new_item",
            "a trigger",
            "CREATE TRIGGER note_new_item AFTER INSERT ON knowledge_items BEGIN"
            " INSERT INTO my_notes (note, item_id) VALUES ('new', new.id); END",
        ),
        (
            "idx_my_created",
            "an index on an expression",
            "CREATE INDEX idx_my_created ON knowledge_items (lower(source), created_at DESC)",
        ),
    ),
    schema.RSS: (
        (
            "idx_my_link",
            "a partial index",
            "CREATE INDEX idx_my_link ON rss_fetch_items (link) WHERE link <> ''",
        ),
    ),
}


DRIFT = {
    # columns in another order, no constraint, no declared type for the score
    "accuracy_scores": """CREATE TABLE accuracy_scores (
    metadata TEXT DEFAULT '{}',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    scoring_method TEXT,
    accuracy_score,
    actual_answer TEXT,
    expected_answer TEXT,
    question TEXT,
    context_used TEXT
)""",
    # no CHECK, nullable, and last_update_cycle comes last
    "tier_metrics": schema.TIER_METRICS_OLD.replace(
        "tier TEXT NOT NULL CHECK(tier IN ('L0', 'L1', 'L2', 'L3'))", "tier TEXT"
    ),
}
