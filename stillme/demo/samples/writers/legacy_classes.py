"""The old application's own writes, statement by statement, on live files.

Every method is what one method of the old classes does, in a transaction of its own; those
"by hand" stand for scripts, where the old application has no writer.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from stillme.demo.samples import schema
from stillme.demo.samples.rows.rss_rows import ADDED, COUNTERS
from stillme.demo.samples.writers.transactions import Session


class LegacyWriter(Session):
    """Writes to the four files of a directory as the old application does."""

    # -- knowledge_retention.db ---------------------------------------------------------------

    def add_knowledge(
        self,
        content: str,
        source: str,
        knowledge_type: str = "general",
        confidence_score: float = 0.5,
        metadata: Any = None,
    ) -> int:
        with self.transaction(schema.KNOWLEDGE, "add_knowledge") as work:
            return work.insert(
                "knowledge_items",
                content=content,
                source=source,
                knowledge_type=knowledge_type,
                confidence_score=confidence_score,
                metadata=json.dumps(metadata or {}),
            )

    def update_retention_score(self, knowledge_id: int, new_score: float) -> None:
        with self.transaction(schema.KNOWLEDGE, "update_retention_score") as work:
            work.execute(
                "UPDATE knowledge_items SET retention_score = ?, last_accessed = CURRENT_TIMESTAMP"
                " WHERE id = ?",
                (new_score, knowledge_id),
            )
            work.touch("knowledge_items", knowledge_id)

    def record_learning_session(
        self,
        session_type: str,
        content_learned: str,
        accuracy_score: float,
        retention_improvement: float = 0.0,
        metadata: Any = None,
    ) -> int:
        with self.transaction(schema.KNOWLEDGE, "record_learning_session") as work:
            return work.insert(
                "learning_sessions",
                session_type=session_type,
                content_learned=content_learned,
                accuracy_score=accuracy_score,
                retention_improvement=retention_improvement,
                metadata=json.dumps(metadata or {}),
            )

    def cleanup_old_knowledge(self, days_threshold: int = 30, least: float = 0.3) -> int:
        """Deletes items only; relationships to them stay behind. The one multi-row DELETE."""
        where = "created_at < ? AND retention_score < ?"
        with self.transaction(schema.KNOWLEDGE, "cleanup_old_knowledge") as work:
            work.execute("BEGIN IMMEDIATE")  # the witness must see the very rows that go
            # Asked once: between two statements the second may turn, and a fresh row grow old.
            ago = work.execute("SELECT datetime('now', ?)", (f"-{days_threshold} days",))
            values = (*ago.fetchone(), least)
            for (key,) in work.execute(f"SELECT id FROM knowledge_items WHERE {where}", values):
                work.touch("knowledge_items", key)
            return work.execute(f"DELETE FROM knowledge_items WHERE {where}", values).rowcount

    def add_relationship(self, source_id: int, target_id: int, kind: str, strength: float) -> int:
        """By hand: the old application has no writer for this table."""
        with self.transaction(schema.KNOWLEDGE, "add_relationship") as work:
            return work.insert(
                "knowledge_relationships",
                source_id=source_id,
                target_id=target_id,
                relationship_type=kind,
                strength=strength,
            )

    def renumber_session(self, session_id: int, new_id: int) -> None:
        """By hand: an UPDATE of an integer primary key."""
        with self.transaction(schema.KNOWLEDGE, "renumber_session") as work:
            work.execute("UPDATE learning_sessions SET id = ? WHERE id = ?", (new_id, session_id))
            work.touch("learning_sessions", session_id)
            work.touch("learning_sessions", new_id)

    # -- accuracy_scores.db -------------------------------------------------------------------

    def score_response(
        self, question: str, actual_answer: str, score: float = 0.5, metadata: Any = None
    ) -> int:
        """The chat's call: no expected answer, so the score is 0.5."""
        with self.transaction(schema.ACCURACY, "score_response") as work:
            return work.insert(
                "accuracy_scores",
                question=question,
                expected_answer=None,
                actual_answer=actual_answer,
                accuracy_score=score,
                scoring_method="semantic_similarity",
                context_used=None,
                metadata=json.dumps(metadata or {}),
            )

    def set_learning_objective(self, name: str, target: float, metadata: Any = None) -> int:
        with self.transaction(schema.ACCURACY, "set_learning_objective") as work:
            return work.insert(
                "learning_objectives",
                objective_name=name,
                target_accuracy=target,
                metadata=json.dumps(metadata or {}),
            )

    def update_objective_progress(self, objective_id: int, current: float) -> None:
        with self.transaction(schema.ACCURACY, "update_objective_progress") as work:
            work.execute(
                "UPDATE learning_objectives SET current_accuracy = ? WHERE id = ?",
                (current, objective_id),
            )
            work.execute(
                "UPDATE learning_objectives SET status = 'achieved',"
                " achieved_at = CURRENT_TIMESTAMP WHERE id = ? AND ? >= target_accuracy",
                (objective_id, current),
            )
            work.touch("learning_objectives", objective_id)

    def add_trend(self, name: str, value: float, day: str, context: str | None = None) -> int:
        """By hand: the old application has no writer for this table."""
        with self.transaction(schema.ACCURACY, "add_trend") as work:
            return work.insert(
                "performance_trends",
                metric_name=name,
                metric_value=value,
                measurement_date=day,
                context=context,
            )

    # -- continuum_memory.db ------------------------------------------------------------------

    def insert_tier(self, item_id: str, tier: str, surprise: float, count: int) -> None:
        with self.transaction(schema.CONTINUUM, "insert_tier") as work:
            work.insert(
                "tier_metrics",
                item_id=item_id,
                tier=tier,
                surprise_score=surprise,
                retrieval_count_7d=count,
            )

    def replace_tier(self, item_id: str, tier: str, surprise: float) -> None:
        """INSERT OR REPLACE: the row that was there is deleted without a delete trigger."""
        with self.transaction(schema.CONTINUUM, "replace_tier") as work:
            work.execute(
                "INSERT OR REPLACE INTO tier_metrics (item_id, tier, surprise_score)"
                " VALUES (?, ?, ?)",
                (item_id, tier, surprise),
            )
            work.touch("tier_metrics", item_id)

    def rename_tier(self, item_id: str, new_id: str) -> None:
        """An UPDATE of a text primary key."""
        with self.transaction(schema.CONTINUUM, "rename_tier") as work:
            work.execute("UPDATE tier_metrics SET item_id = ? WHERE item_id = ?", (new_id, item_id))
            work.touch("tier_metrics", item_id)
            work.touch("tier_metrics", new_id)

    def update_tier_cycle(self, item_id: str, cycle: int) -> None:
        with self.transaction(schema.CONTINUUM, "update_tier_cycle") as work:
            work.execute(
                "UPDATE tier_metrics SET last_update_cycle = ?, updated_at = CURRENT_TIMESTAMP"
                " WHERE item_id = ?",
                (cycle, item_id),
            )
            work.touch("tier_metrics", item_id)

    def promote_item(self, item_id: str, old: str | None, new: str, reason: str) -> None:
        self._move(item_id, old, new, reason, "last_promoted_at")

    def demote_item(self, item_id: str, old: str | None, new: str, reason: str) -> None:
        self._move(item_id, old, new, reason, "last_demoted_at")

    def _move(self, item_id: str, old: str | None, new: str, reason: str, stamp: str) -> None:
        """Item and audit in one transaction; an unknown item gets an audit row too."""
        with self.transaction(schema.CONTINUUM, f"move:{stamp}") as work:
            work.execute(
                f"UPDATE tier_metrics SET tier = ?, {stamp} = ?, updated_at = ? WHERE item_id = ?",
                (new, _now(), _now(), item_id),
            )
            work.touch("tier_metrics", item_id)
            work.insert(
                "tier_audit",
                item_id=item_id,
                from_tier=old,
                to_tier=new,
                reason=reason,
                surprise_score=0.8,
                retrieval_count_7d=3,
                validator_overlap=None,
                performed_by="system",
                created_at=_now(),
            )

    def record_forgetting_metric(
        self, item_id: str, query: str, before: float, after: float, update: str | None = None
    ) -> int:
        with self.transaction(schema.CONTINUUM, "record_forgetting_metric") as work:
            return work.insert(
                "forgetting_metrics",
                regression_item_id=item_id,
                regression_query=query,
                recall_at_k_before=before,
                recall_at_k_after=after,
                forgetting_delta=before - after,
                evaluation_timestamp=_now(),
                knowledge_update_timestamp=update,
            )

    # -- rss_fetch_history.db -----------------------------------------------------------------

    def create_fetch_cycle(self, cycle_number: int) -> int:
        with self.transaction(schema.RSS, "create_fetch_cycle") as work:
            return work.insert("rss_fetch_cycles", cycle_number=cycle_number, started_at=_now())

    def complete_fetch_cycle(self, cycle_id: int) -> None:
        with self.transaction(schema.RSS, "complete_fetch_cycle") as work:
            work.execute(
                "UPDATE rss_fetch_cycles SET completed_at = ? WHERE id = ?", (_now(), cycle_id)
            )
            work.touch("rss_fetch_cycles", cycle_id)

    def add_fetch_item(
        self, cycle_id: int, title: str, link: str, summary: str | None, status: str
    ) -> int:
        """The item, and then its cycle's counters in a transaction of their own."""
        added = status == ADDED
        cells = {
            "cycle_id": cycle_id,
            "title": title,
            "source_url": "arxiv",
            "link": link,
            "summary": summary,
            "added_to_rag_at": _now() if added else None,
            "fetch_timestamp": _now(),
            "status": status,
            "status_reason": None,
            "vector_id": f"knowledge_{link[:8]}" if added else None,
        }
        with self.transaction(schema.RSS, "add_fetch_item") as work:
            number = work.insert("rss_fetch_items", **cells)
        self._count(cycle_id, status)
        return number

    def _count(self, cycle_id: int, status: str) -> None:
        """Read, add one, write: two processes at once lose a count, as they always did."""
        names = ["entries_fetched"]
        if status == ADDED:
            names.append("entries_added")
        elif status in COUNTERS:
            names += ["entries_filtered", f"entries_{COUNTERS[status]}"]
        with self.transaction(schema.RSS, "add_fetch_item:counters") as work:
            found = work.execute(
                f"SELECT {', '.join(names)} FROM rss_fetch_cycles WHERE id = ?", (cycle_id,)
            ).fetchone()
            if found is None:
                return
            changes = ", ".join(f"{name} = ?" for name in names)
            values = tuple((count or 0) + 1 for count in found)
            work.execute(f"UPDATE rss_fetch_cycles SET {changes} WHERE id = ?", (*values, cycle_id))
            work.touch("rss_fetch_cycles", cycle_id)


def _now() -> str:
    """Format L: naive, local, with the fraction Python gives it."""
    return datetime.now().isoformat()
