"""The legacy file `continuum_memory.db`: its declared schema and its mapping to the target."""

from __future__ import annotations

from stillme.transfer.kinds import Integer, Key, Real, Stamp, Text, TextKey, Timestamp, Twin
from stillme.transfer.legacy import Column, LegacyModel


class LegacyTierMetric(LegacyModel):
    """Table `tier_metrics`. SQLite permits a NULL `item_id`: a TEXT primary key allows it.

    Files made before 2025-11-10 lack `last_update_cycle`; files altered since have it last.
    """

    item_id = Column(TextKey(), "TEXT PRIMARY KEY")
    tier = Column(
        Text(choices=("L0", "L1", "L2", "L3")),
        "TEXT NOT NULL CHECK(tier IN ('L0', 'L1', 'L2', 'L3'))",
    )
    surprise_score = Column(Real(), "REAL DEFAULT 0.0")
    retrieval_count_7d = Column(Integer(), "INTEGER DEFAULT 0")
    retrieval_count_30d = Column(Integer(), "INTEGER DEFAULT 0")
    validator_overlap = Column(Real(), "REAL DEFAULT 0.0")
    last_promoted_at = Column(Timestamp(Stamp.ISO), "TIMESTAMP")
    last_demoted_at = Column(Timestamp(Stamp.ISO), "TIMESTAMP")
    last_update_cycle = Column(Integer(), "INTEGER DEFAULT 0")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")
    # The default and update_tier_cycle write UTC, promote and demote write the local clock.
    updated_at = Column(Timestamp(Stamp.MIXED), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")

    class Meta(LegacyModel.Meta):
        db_table = "tier_metrics"

    class Legacy:
        file = "continuum"
        target = "continuum.TierMetric"
        indexes = {"idx_tier_metrics_item_id": "item_id", "idx_tier_metrics_tier": "tier"}


class LegacyTierAudit(LegacyModel):
    """Table `tier_audit`. `created_at` is always written explicitly, by the local clock."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    item_id = Column(Text(), "TEXT NOT NULL")
    from_tier = Column(Text(), "TEXT")
    to_tier = Column(Text(), "TEXT NOT NULL")
    reason = Column(Text(), "TEXT NOT NULL")
    surprise_score = Column(Real(), "REAL")
    retrieval_count_7d = Column(Integer(), "INTEGER")
    validator_overlap = Column(Real(), "REAL")
    performed_by = Column(Text(), "TEXT DEFAULT 'system'")
    created_at = Column(Timestamp(Stamp.ISO), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")

    class Meta(LegacyModel.Meta):
        db_table = "tier_audit"

    class Legacy:
        file = "continuum"
        target = "continuum.TierAudit"
        indexes = {"idx_tier_audit_item_id": "item_id", "idx_tier_audit_created_at": "created_at"}


class LegacyForgettingMetric(LegacyModel):
    """Table `forgetting_metrics`. One INSERT stamps both clocks, which shows the offset."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    regression_item_id = Column(Text(), "TEXT NOT NULL")
    regression_query = Column(Text(), "TEXT NOT NULL")
    recall_at_k_before = Column(Real(), "REAL")
    recall_at_k_after = Column(Real(), "REAL")
    forgetting_delta = Column(Real(), "REAL")
    faithfulness_score = Column(Real(), "REAL")
    overlap_score = Column(Real(), "REAL")
    evaluation_timestamp = Column(Timestamp(Stamp.ISO), "TIMESTAMP NOT NULL", to="measured_at")
    knowledge_update_timestamp = Column(Timestamp(Stamp.ISO), "TIMESTAMP")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")

    class Meta(LegacyModel.Meta):
        db_table = "forgetting_metrics"

    class Legacy:
        file = "continuum"
        target = "continuum.ForgettingMetric"
        clock = Twin("evaluation_timestamp", "created_at")
        indexes = {"idx_forgetting_evaluation_timestamp": "evaluation_timestamp"}
