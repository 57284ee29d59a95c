"""What a call of each service costs: statements (BEGIN, COMMIT and savepoints not counted), and the
indexes by which PostgreSQL finds its rows, or `ALL_ROWS`; whatever the number of rows.
"""

from __future__ import annotations

from typing import NamedTuple

ALL_ROWS = "all rows"


class Cost(NamedTuple):
    """Statements, and what finds the rows."""

    statements: int
    found_by: frozenset[str]


def cost(statements: int, *found_by: str) -> Cost:
    return Cost(statements, frozenset(found_by))


COSTS = {
    "knowledge.api.item_add": cost(1),
    "knowledge.api.session_record": cost(1),
    "accuracy.api.response_score": cost(1),
    "accuracy.api.objective_set": cost(1),
    "continuum.api.forgetting_record": cost(1),
    "rss.api.cycle_open": cost(1),
    "KnowledgeRetention.add_knowledge": cost(1),
    "KnowledgeRetention.record_learning_session": cost(1),
    "AccuracyScorer.score_response": cost(1),
    "AccuracyScorer.set_learning_objective": cost(1),
    "ContinuumMemory.record_forgetting_metric": cost(1),
    "RSSFetchHistory.create_fetch_cycle": cost(1),
    "knowledge.api.item_rescore": cost(1, "knowledge_items_pkey"),
    "KnowledgeRetention.update_retention_score": cost(1, "knowledge_items_pkey"),
    "knowledge.api.item_list_retained": cost(1, "idx_knowledge_items_retention_score"),
    "KnowledgeRetention.get_retained_knowledge": cost(1, "idx_knowledge_items_retention_score"),
    "knowledge.api.item_clean_up": cost(
        3,
        "idx_knowledge_items_created_at",
        "idx_relationships_source_id",
        "idx_relationships_target_id",
    ),
    "KnowledgeRetention.cleanup_old_knowledge": cost(
        3,
        "idx_knowledge_items_created_at",
        "idx_relationships_source_id",
        "idx_relationships_target_id",
    ),
    "knowledge.api.retention_measure": cost(2, ALL_ROWS),
    "KnowledgeRetention.calculate_retention_metrics": cost(2, ALL_ROWS),
    # 2 where the window holds one row, 1 where none.
    "accuracy.api.accuracy_measure": cost(3, "idx_accuracy_scores_created_at"),
    "AccuracyScorer.get_accuracy_metrics": cost(3, "idx_accuracy_scores_created_at"),
    "accuracy.api.objective_progress": cost(1, "learning_objectives_pkey"),
    "AccuracyScorer.update_objective_progress": cost(1, "learning_objectives_pkey"),
    "continuum.api.tier_count": cost(2, "idx_tier_audit_created_at", ALL_ROWS),
    "ContinuumMemory.get_tier_stats": cost(2, "idx_tier_audit_created_at", ALL_ROWS),
    "continuum.api.audit_list": cost(1, "idx_tier_audit_created_at"),
    "ContinuumMemory.get_audit_log": cost(1, "idx_tier_audit_created_at"),
    "continuum.api.forgetting_trend": cost(1, "idx_forgetting_measured_at"),
    "ContinuumMemory.get_forgetting_trends": cost(1, "idx_forgetting_measured_at"),
    "PromotionManager.calculate_surprise_score": cost(2, "tier_metrics_pkey"),
    "ContinuumMemory.calculate_surprise_score": cost(2, "tier_metrics_pkey"),
    "continuum.api.item_figures": cost(1, "tier_metrics_pkey"),
    "PromotionManager.get_retrieval_frequency": cost(1, "tier_metrics_pkey"),
    "PromotionManager.get_validator_overlap": cost(1, "tier_metrics_pkey"),
    "continuum.api.item_set_cycle": cost(1, "tier_metrics_pkey"),
    "TieredUpdateIsolation.update_tier_cycle": cost(1, "tier_metrics_pkey"),
    "continuum.api.item_state": cost(1, "tier_metrics_pkey"),
    "continuum.api.item_promote": cost(2, "tier_metrics_pkey"),
    "continuum.api.item_demote": cost(2, "tier_metrics_pkey"),
    "PromotionManager.promote_item": cost(2, "tier_metrics_pkey"),
    "PromotionManager.demote_item": cost(2, "tier_metrics_pkey"),
    "continuum.api.item_move": cost(2, "tier_metrics_pkey"),
    # 1 where nothing is due.
    "continuum.api.promotion_evaluate": cost(3, "tier_metrics_pkey"),
    "continuum.api.demotion_evaluate": cost(3, "tier_metrics_pkey"),
    "PromotionManager.evaluate_and_promote": cost(3, "tier_metrics_pkey"),
    "PromotionManager.evaluate_and_demote": cost(3, "tier_metrics_pkey"),
    "continuum.api.item_step_up": cost(3, "tier_metrics_pkey"),
    "continuum.api.item_step_down": cost(3, "tier_metrics_pkey"),
    "TieredUpdateIsolation.should_update_tier": cost(0),
    "TieredUpdateIsolation.get_tier_for_knowledge": cost(0),
    "PromotionManager.calculate_rarity_score": cost(0),
    "PromotionManager.calculate_novelty_score": cost(0),
    "rss.api.cycle_complete": cost(1, "fetch_cycles_pkey"),
    "rss.api.item_add": cost(1, "fetch_cycles_pkey"),
    "RSSFetchHistory.complete_fetch_cycle": cost(1, "fetch_cycles_pkey"),
    "RSSFetchHistory.add_fetch_item": cost(1, "fetch_cycles_pkey"),
    # 2 while no cycle is completed.
    "rss.api.cycle_latest": cost(1, "idx_rss_fetch_cycles_completed_at"),
    "rss.api.item_list": cost(1, "idx_rss_fetch_items_fetched"),
    "RSSFetchHistory.get_all_fetch_items": cost(1, "idx_rss_fetch_items_fetched"),
    # 3 while no cycle is completed.
    "rss.api.item_list_latest": cost(
        2, "idx_rss_fetch_cycles_completed_at", "idx_rss_fetch_items_cycle_id"
    ),
    "RSSFetchHistory.get_latest_fetch_items": cost(
        2, "idx_rss_fetch_cycles_completed_at", "idx_rss_fetch_items_cycle_id"
    ),
    "rss.api.item_list_added": cost(1, "idx_rss_fetch_items_added"),
    "RSSFetchHistory.get_added_to_rag_items": cost(1, "idx_rss_fetch_items_added"),
    # 2 or 3 for the latest cycle.
    "rss.api.item_count": cost(1, "idx_rss_fetch_items_cycle_id"),
    "RSSFetchHistory.get_fetch_stats": cost(1, "idx_rss_fetch_items_cycle_id"),
    "vector.services.create_collection": cost(3, "collections_name_once"),
    "vector.services.get_collection": cost(1, "collections_name_once"),
    "vector.services.get_collection_by_uuid": cost(1, "collections_uuid_key"),
    # 4 where it makes one.
    "vector.services.get_or_create_collection": cost(1, "collections_name_once"),
    "vector.services.list_collections": cost(1, ALL_ROWS),
    "vector.services.modify_collection": cost(2, "collections_pkey"),
    "vector.services.delete_collection": cost(
        4, "collections_name_once", "collections_pkey", "idx_vector_items_collection"
    ),
    # 1 more for each further 1,000 items; a collection's first item also settles its dimension
    # and makes its index.
    "vector.services.add": cost(2, "items_id_once"),
    # 3 where all items are new, 2 where all are there, 1 where nothing changes; further items
    # as in `add`.
    "vector.services.upsert": cost(4, "items_id_once"),
    # 1 more for each further 500 items.
    "vector.services.update": cost(2, "items_id_once", "items_pkey"),
    "vector.services.get": cost(1, "idx_vector_items_collection"),
    # 4 with a filter; 1 more where the index finds fewer than were asked for.
    "vector.services.query": cost(3, "items_hnsw_n"),
    "vector.services.delete": cost(1, "items_id_once"),
    "vector.services.count": cost(1, "idx_vector_items_collection"),
    "vector.services.search_state": cost(3),
    # where the index is there.
    "vector.services.build_index": cost(3),
    "vector.services.distance_of": cost(1),
}
