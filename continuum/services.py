"""`ContinuumMemory`, `TieredUpdateIsolation` and `PromotionManager` as the old application knows
them, on PostgreSQL.

The flag, the constants and `logger` are attributes of this module, read at the time of each
call; the old application reloads the module to read the environment anew, and may patch them. No
method raises: an error is logged and the old fallback returned. Code that wants the error, or no
flag, calls `continuum.api`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from continuum import api, scoring
from continuum.models import TIERS
from stillme.services.arguments import row_limit
from stillme.services.failures import answers

logger = logging.getLogger(__name__)

ENABLE_CONTINUUM_MEMORY = os.getenv("ENABLE_CONTINUUM_MEMORY", "false").lower() == "true"

TIER_PROMOTE_THRESHOLD = float(os.getenv("TIER_PROMOTE_THRESHOLD", "0.65"))
TIER_DEMOTE_THRESHOLD = float(os.getenv("TIER_DEMOTE_THRESHOLD", "0.15"))
# Added to the threshold, so that an item does not swing between two tiers.
PROMOTE_HYSTERESIS = 0.1


def _per_tier(name: str, *defaults: int) -> dict[str, int]:
    """One number per tier from the environment, e.g. ``TIER_RETENTION_DAYS_L1``."""
    pairs = zip(TIERS, defaults, strict=True)
    return {tier: int(os.getenv(f"{name}_{tier}", str(default))) for tier, default in pairs}


TIER_RETENTION_DAYS = _per_tier("TIER_RETENTION_DAYS", 2, 21, 180, 9999)
TIER_UPDATE_FREQUENCY = _per_tier("TIER_UPDATE_FREQUENCY", 1, 10, 100, 1000)

NO_STATS = {**dict.fromkeys(TIERS, 0), "total": 0, "promoted_7d": 0, "demoted_7d": 0}


class _Switched:
    """What the three classes share: with the flag off, the constructor does nothing."""

    def __init__(self, db_path: str = "data/continuum_memory.db") -> None:
        if ENABLE_CONTINUUM_MEMORY:
            # Chooses nothing any more; callers pass and read it.
            self.db_path = db_path


class TieredUpdateIsolation(_Switched):
    """Which tiers a cycle updates, and which tier an item belongs to."""

    @answers(True, database=False)
    def should_update_tier(self, tier: str, cycle_count: int) -> bool:
        """Whether a tier is updated in this cycle: L0 always, the others every so many."""
        if not ENABLE_CONTINUUM_MEMORY:
            return True
        frequency = TIER_UPDATE_FREQUENCY.get(tier)
        if frequency is None:
            logger.warning("Unknown tier %r: it is updated in every cycle.", tier)
            return True
        return tier == "L0" or cycle_count % frequency == 0

    @answers("L0", database=False)
    def get_tier_for_knowledge(self, item_id: str, surprise_score: float) -> str:
        """The tier of an item by its surprise score."""
        if not ENABLE_CONTINUUM_MEMORY:
            return "L0"
        bounds = ((0.8, "L3"), (0.6, "L2"), (0.4, "L1"))
        return next((tier for bound, tier in bounds if surprise_score >= bound), "L0")

    @answers(False)
    def update_tier_cycle(self, item_id: str, tier: str, cycle_count: int) -> bool:
        """Note the cycle of an item's last update; True also for an unknown item."""
        if not ENABLE_CONTINUUM_MEMORY:
            return False
        api.item_set_cycle(item_id=item_id, cycle=cycle_count)
        return True


class PromotionManager(_Switched):
    """Surprise scores, promotions and demotions."""

    @answers(0.0, database=False)
    def calculate_rarity_score(
        self, content: str, existing_keywords: list[str] | None = None
    ) -> float:
        """How rare the words of the content are, from 0 to 1."""
        return scoring.rarity(content, existing_keywords)

    @answers(scoring.MIDDLING, database=False)
    def calculate_novelty_score(
        self,
        content_embedding: Sequence[float] | None,
        centroid_embeddings: Sequence[Sequence[float]] | None = None,
    ) -> float:
        """How far the embedding is from what is known, from 0 to 1; 0.5 on error."""
        return scoring.novelty(content_embedding, centroid_embeddings)

    @answers(0.0)
    def get_retrieval_frequency(self, item_id: str, days: int = 7) -> float:
        """Retrievals within 7 or 30 days, 100 or more being 1; 0.0 for an unknown item."""
        if not ENABLE_CONTINUUM_MEMORY:
            return 0.0
        figures = api.item_figures(item_id=item_id)
        count = figures.get("retrieval_count_7d" if days <= 7 else "retrieval_count_30d")
        return min(1.0, (count or 0) / scoring.FULL_RETRIEVAL)

    @answers(0.0)
    def get_validator_overlap(self, item_id: str) -> float:
        """The overlap with validator evidence; 0.0 for an unknown item."""
        if not ENABLE_CONTINUUM_MEMORY:
            return 0.0
        return float(api.item_figures(item_id=item_id).get("validator_overlap") or 0.0)

    @answers(0.0, database=False)
    def calculate_surprise_score(
        self,
        item_id: str,
        content: str,
        content_embedding: Sequence[float] | None = None,
        existing_keywords: list[str] | None = None,
        centroid_embeddings: Sequence[Sequence[float]] | None = None,
    ) -> float:
        """Rarity, novelty, retrieval and overlap, weighted; from 0 to 1."""
        if not ENABLE_CONTINUUM_MEMORY:
            return 0.0
        return scoring.clamp(
            scoring.surprise(
                self.calculate_rarity_score(content, existing_keywords),
                self.calculate_novelty_score(content_embedding, centroid_embeddings),
                self.get_retrieval_frequency(item_id, days=7),
                self.get_validator_overlap(item_id),
            )
        )

    @answers(False)
    def promote_item(
        self,
        item_id: str,
        from_tier: str,
        to_tier: str,
        reason: str,
        surprise_score: float,
        retrieval_count_7d: int,
        validator_overlap: float,
    ) -> bool:
        """Move an item up and audit it; True also for an unknown item, False on error."""
        if not ENABLE_CONTINUUM_MEMORY:
            return False
        api.item_promote(
            item_id=item_id,
            from_tier=from_tier,
            to_tier=to_tier,
            reason=reason,
            surprise_score=surprise_score,
            retrieval_count_7d=retrieval_count_7d,
            validator_overlap=validator_overlap,
        )
        return True

    @answers(False)
    def demote_item(
        self,
        item_id: str,
        from_tier: str,
        to_tier: str,
        reason: str,
        surprise_score: float,
        retrieval_count_7d: int,
        validator_overlap: float,
    ) -> bool:
        """Move an item down and audit it; True also for an unknown item, False on error."""
        if not ENABLE_CONTINUUM_MEMORY:
            return False
        api.item_demote(
            item_id=item_id,
            from_tier=from_tier,
            to_tier=to_tier,
            reason=reason,
            surprise_score=surprise_score,
            retrieval_count_7d=retrieval_count_7d,
            validator_overlap=validator_overlap,
        )
        return True

    @answers(None)
    def evaluate_and_promote(self, item_id: str) -> tuple[str, str, str] | None:
        """Promote an item that has earned it: (from, to, phrase), else None."""
        if not ENABLE_CONTINUUM_MEMORY:
            return None
        threshold = TIER_PROMOTE_THRESHOLD + PROMOTE_HYSTERESIS
        move = api.promotion_evaluate(item_id=item_id, threshold=threshold)
        return None if move is None else (move.from_tier, move.to_tier, move.phrase)

    @answers(None)
    def evaluate_and_demote(self, item_id: str) -> tuple[str, str, str] | None:
        """Demote an item that is due: (from, to, reason), else None."""
        if not ENABLE_CONTINUUM_MEMORY:
            return None
        move = api.demotion_evaluate(item_id=item_id, threshold=TIER_DEMOTE_THRESHOLD)
        return None if move is None else (move.from_tier, move.to_tier, move.phrase)


class ContinuumMemory(_Switched):
    """Statistics of the tiers, their audit trail, and forgetting."""

    def calculate_surprise_score(
        self,
        item_id: str,
        content: str,
        rarity_score: float = 0.0,
        novelty_score: float = 0.0,
        retrieval_frequency: float = 0.0,
        validator_overlap: float = 0.0,
    ) -> float:
        """The score of `PromotionManager`; the four numbers count only where that fails."""
        if not ENABLE_CONTINUUM_MEMORY:
            return 0.0
        try:
            manager = PromotionManager(self.db_path)
            if content and not isinstance(content, str):
                raise TypeError("The content is no text.")
            return manager.calculate_surprise_score(item_id, content)
        except Exception as error:
            logger.warning("The given figures are used: %s", error, exc_info=True)
            given = (rarity_score, novelty_score, retrieval_frequency, validator_overlap)
            return min(1.0, scoring.surprise(*given))

    @answers(NO_STATS)
    def get_tier_stats(self) -> dict[str, int]:
        """Items per tier, and the moves of the last week."""
        if not ENABLE_CONTINUUM_MEMORY:
            return {**dict.fromkeys(TIERS, 0), "total": 0}
        return api.tier_count()

    @answers([])
    def get_audit_log(self, limit: int = 100, item_id: str | None = None) -> list[dict[str, Any]]:
        """The audit trail, newest first."""
        if not ENABLE_CONTINUUM_MEMORY:
            return []
        return api.audit_list(limit=row_limit(limit), item_id=item_id)

    @answers(-1)
    def record_forgetting_metric(
        self,
        regression_item_id: str,
        regression_query: str,
        recall_at_k_before: float,
        recall_at_k_after: float,
        faithfulness_score: float | None = None,
        overlap_score: float | None = None,
        knowledge_update_timestamp: datetime | None = None,
    ) -> int:
        """Store a measurement of recall; its id, or -1."""
        if not ENABLE_CONTINUUM_MEMORY:
            return -1
        return api.forgetting_record(
            regression_item_id=regression_item_id,
            regression_query=regression_query,
            recall_before=recall_at_k_before,
            recall_after=recall_at_k_after,
            faithfulness_score=faithfulness_score,
            overlap_score=overlap_score,
            knowledge_update_timestamp=knowledge_update_timestamp or None,
        )

    @answers([])
    def get_forgetting_trends(self, days: int = 30) -> list[dict[str, Any]]:
        """Averages per calendar date, ascending."""
        if not ENABLE_CONTINUUM_MEMORY:
            return []
        return api.forgetting_trend(days=days)
