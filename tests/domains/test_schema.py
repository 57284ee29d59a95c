"""The eleven tables as PostgreSQL has them: types, NOT NULL, defaults, keys, indexes by name."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from continuum.models import TierMetric
from rss.models import FetchCycle, FetchItem

pytestmark = pytest.mark.django_db

NOW, JSON = "statement_timestamp()", "'{}'::jsonb"
T, R, N, B, S, J = (
    "text",
    "double precision",
    "integer",
    "bigint",
    "timestamp with time zone",
    "jsonb",
)
ID = ("id", B, True, "identity")
EXTRA = ("legacy_extra", J, False, None)
CREATED = ("created_at", S, False, NOW)
METADATA = ("metadata", J, False, JSON)

# table -> (column, type, NOT NULL, default); written from the draft schema and the legacy files.
TABLES: dict[str, list[tuple[str, str, bool, str | None]]] = {
    "knowledge.knowledge_items": [
        ID,
        ("content", T, True, None),
        ("source", T, True, None),
        ("knowledge_type", T, True, None),
        ("confidence_score", R, False, "0.0"),
        ("retention_score", R, False, "0.0"),
        ("access_count", N, False, "0"),
        ("last_accessed", S, False, NOW),
        CREATED,
        METADATA,
        EXTRA,
    ],
    "knowledge.learning_sessions": [
        ID,
        ("session_type", T, True, None),
        ("content_learned", T, True, None),
        ("accuracy_score", R, False, "0.0"),
        ("retention_improvement", R, False, "0.0"),
        CREATED,
        METADATA,
        EXTRA,
    ],
    "knowledge.knowledge_relationships": [
        ID,
        ("source_id", B, True, None),
        ("target_id", B, True, None),
        ("relationship_type", T, True, None),
        ("strength", R, False, "0.0"),
        CREATED,
        EXTRA,
    ],
    "continuum.tier_metrics": [
        ("item_id", T, True, None),
        ("tier", T, True, None),
        ("surprise_score", R, False, "0.0"),
        ("access_count", N, False, "0"),
        ("last_accessed", S, False, NOW),
        CREATED,
        METADATA,
        ("retrieval_count_7d", N, False, "0"),
        ("retrieval_count_30d", N, False, "0"),
        ("validator_overlap", R, False, "0.0"),
        ("last_promoted_at", S, False, None),
        ("last_demoted_at", S, False, None),
        ("last_update_cycle", N, False, "0"),
        ("updated_at", S, False, NOW),
        EXTRA,
    ],
    "continuum.tier_audit": [
        ID,
        ("item_id", T, True, None),
        ("from_tier", T, False, None),
        ("to_tier", T, True, None),
        ("reason", T, True, None),
        CREATED,
        ("surprise_score", R, False, None),
        ("retrieval_count_7d", N, False, None),
        ("validator_overlap", R, False, None),
        ("performed_by", T, False, "'system'::text"),
        EXTRA,
    ],
    "continuum.forgetting_metrics": [
        ID,
        ("tier", T, False, None),
        ("forgotten_count", N, False, "0"),
        ("total_count", N, False, "0"),
        ("forgetting_rate", R, False, "0.0"),
        ("measured_at", S, True, NOW),
        ("regression_item_id", T, True, None),
        ("regression_query", T, True, None),
        ("recall_at_k_before", R, False, None),
        ("recall_at_k_after", R, False, None),
        ("forgetting_delta", R, False, None),
        ("faithfulness_score", R, False, None),
        ("overlap_score", R, False, None),
        ("knowledge_update_timestamp", S, False, None),
        CREATED,
        EXTRA,
    ],
    "rss.fetch_cycles": [
        ID,
        ("cycle_number", N, True, None),
        ("started_at", S, True, None),
        ("completed_at", S, False, None),
        ("status", T, True, None),
        ("items_fetched", N, False, "0"),
        ("items_added", N, False, "0"),
        ("error_message", T, False, None),
        ("items_filtered", N, False, "0"),
        ("items_duplicate", N, False, "0"),
        ("items_low_score", N, False, "0"),
        ("items_ethical_filtered", N, False, "0"),
        CREATED,
        EXTRA,
    ],
    "rss.fetch_items": [
        ID,
        ("cycle_id", B, True, None),
        ("feed_url", T, True, None),
        ("item_title", T, True, None),
        ("item_link", T, False, None),
        ("item_published", S, False, None),
        ("status", T, True, None),
        ("error_message", T, False, None),
        CREATED,
        ("summary", T, False, None),
        ("fetch_timestamp", S, True, None),
        ("status_reason", T, False, None),
        ("vector_id", T, False, None),
        ("added_to_rag_at", S, False, None),
        EXTRA,
    ],
    "accuracy.accuracy_scores": [
        ID,
        ("question", T, True, None),
        ("expected_answer", T, False, None),
        ("actual_answer", T, True, None),
        ("accuracy_score", R, True, None),
        ("scoring_method", T, True, None),
        ("context_used", T, False, None),
        CREATED,
        METADATA,
        EXTRA,
    ],
    "accuracy.performance_trends": [
        ID,
        ("metric_name", T, True, None),
        ("metric_value", R, True, None),
        ("measured_at", S, True, NOW),
        METADATA,
        ("context", T, False, None),
        CREATED,
        EXTRA,
    ],
    "accuracy.learning_objectives": [
        ID,
        ("objective_text", T, True, None),
        ("target_score", R, True, None),
        ("current_score", R, False, "0.0"),
        ("status", T, True, "'active'::text"),
        CREATED,
        ("updated_at", S, False, NOW),
        ("achieved_at", S, False, None),
        METADATA,
        EXTRA,
    ],
}

COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           CASE WHEN a.attidentity <> '' THEN 'identity'
                ELSE pg_get_expr(d.adbin, d.adrelid) END
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""


def rows(sql: str, *params: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


@pytest.mark.parametrize("table", TABLES)
def test_columns_types_defaults(table: str) -> None:
    found = {
        (name, kind, required, default and default.replace("'0'::double precision", "0.0"))
        for name, kind, required, default in rows(COLUMNS, table)
    }
    expected = {
        (name, kind, required, None if default is None else default)
        for name, kind, required, default in TABLES[table]
    }
    assert {(n, k, r, _number(d)) for n, k, r, d in found} == {
        (n, k, r, _number(d)) for n, k, r, d in expected
    }


def _number(default: str | None) -> str | None:
    return default.replace(".0", "").replace("(0)::double precision", "0") if default else default


@pytest.mark.parametrize(
    ("schema", "name", "begins_with"),
    [
        ("knowledge", "idx_knowledge_items_created_at", "created_at"),
        ("knowledge", "idx_knowledge_items_retention_score", "retention_score"),
        ("continuum", "idx_continuum_tier_metrics_tier", "tier"),
        ("rss", "idx_rss_fetch_cycles_status", "status"),
        ("accuracy", "idx_accuracy_scores_created_at", "created_at"),
    ],
)
def test_indexes_of_the_draft(schema: str, name: str, begins_with: str) -> None:
    sql = "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND indexname = %s"
    [(definition,)] = rows(sql, schema, name)
    assert f"({begins_with}" in definition


def test_every_foreign_key_has_an_index_that_begins_with_it() -> None:
    sql = """
        SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        WHERE c.contype = 'f' AND c.connamespace::regnamespace::text = ANY(%s)
          AND NOT EXISTS (SELECT FROM pg_index i
                          WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])
    """
    assert rows(sql, ["knowledge", "continuum", "rss", "accuracy"]) == []


def test_foreign_keys_stay_inside_their_schema() -> None:
    sql = """
        SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
        WHERE contype = 'f' AND connamespace::regnamespace::text = ANY(%s) ORDER BY 1, 2
    """
    assert rows(sql, ["knowledge", "continuum", "rss", "accuracy"]) == [
        ("knowledge.knowledge_relationships", "knowledge.knowledge_items"),
        ("knowledge.knowledge_relationships", "knowledge.knowledge_items"),
        ("rss.fetch_items", "rss.fetch_cycles"),
    ]


def test_tier_is_checked() -> None:
    TierMetric.objects.create(item_id="a", tier="L3")
    with pytest.raises(IntegrityError, match="tier_metrics_tier_check"), transaction.atomic():
        TierMetric.objects.create(item_id="b", tier="L4")


def test_cycle_numbers_may_repeat() -> None:
    for _ in range(2):
        FetchCycle.objects.create(cycle_number=0, started_at="2025-11-07T22:24:02Z")
    assert FetchCycle.objects.filter(cycle_number=0, status="unfinished").count() == 2


def test_an_item_needs_its_cycle() -> None:
    item = FetchItem(cycle_id=99, item_title="t", feed_url="f", status="s")
    item.fetch_timestamp = "2025-11-07T22:24:02Z"  # type: ignore[assignment]
    item.save()
    with pytest.raises(IntegrityError):
        connection.check_constraints()


def test_texts_longer_than_a_btree_allows_are_stored() -> None:
    # Incompressible, because PostgreSQL compresses before it measures.
    long = "".join(chr(0x4E00 + (i * i * 7919) % 20000) for i in range(9000))
    cycle = FetchCycle.objects.create(cycle_number=1, started_at="2025-11-07T22:24:02Z")
    item = FetchItem(cycle=cycle, item_title=long, feed_url=long, item_link=long, status=long)
    item.fetch_timestamp = "2025-11-07T22:24:02Z"  # type: ignore[assignment]
    item.save()
    sql = """INSERT INTO continuum.tier_audit (item_id, from_tier, to_tier, reason)
             VALUES (%s, %s, %s, %s) RETURNING length(item_id)"""
    assert rows(sql, long, long, long, long) == [(9000,)]


def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", "knowledge", "continuum", "rss", "accuracy", check=True)
