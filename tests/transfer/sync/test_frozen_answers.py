"""What callers of the classes get while writes are refused, as services.md lists it."""

from __future__ import annotations

import logging
import re
import sqlite3
from pathlib import Path

import pytest
from django.db import DatabaseError, transaction

from accuracy.models import AccuracyScore, LearningObjective
from accuracy.services import AccuracyScorer
from continuum.models import TierAudit, TierMetric
from continuum.services import ContinuumMemory, PromotionManager, TieredUpdateIsolation
from knowledge.models import KnowledgeItem
from knowledge.services import KnowledgeRetention
from rss.models import FetchCycle, FetchItem
from rss.services import RSSFetchHistory
from stillme.demo.samples.writers.legacy_classes import LegacyWriter
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import every_target_table
from stillme.transfer.registry import legacy_files
from stillme.transfer.sqlite.capture import freeze
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.syncing.live_file import LiveFile

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "services.md"
FIGURES = ("item", "L0", "L1", "why", 0.9, 3, 0.9)
NEW = {
    "KnowledgeRetention.add_knowledge": lambda: KnowledgeRetention().add_knowledge("a", "b"),
    "KnowledgeRetention.update_retention_score": lambda: (
        KnowledgeRetention().update_retention_score(KnowledgeItem.objects.get().pk, 0.5)
    ),
    "KnowledgeRetention.record_learning_session": lambda: (
        KnowledgeRetention().record_learning_session("chat", "text", 0.5)
    ),
    "KnowledgeRetention.cleanup_old_knowledge": lambda: KnowledgeRetention().cleanup_old_knowledge(
        30, 0.5
    ),
    "AccuracyScorer.score_response": lambda: AccuracyScorer().score_response("a?", "b"),
    "AccuracyScorer.set_learning_objective": lambda: AccuracyScorer().set_learning_objective(
        "a", 0.5
    ),
    "AccuracyScorer.update_objective_progress": lambda: AccuracyScorer().update_objective_progress(
        LearningObjective.objects.get().pk, 0.5
    ),
    "TieredUpdateIsolation.update_tier_cycle": lambda: TieredUpdateIsolation().update_tier_cycle(
        "item", "L0", 1
    ),
    "PromotionManager.promote_item": lambda: PromotionManager().promote_item(*FIGURES),
    "PromotionManager.demote_item": lambda: PromotionManager().demote_item(*FIGURES),
    "PromotionManager.evaluate_and_promote": lambda: PromotionManager().evaluate_and_promote(
        "item"
    ),
    "PromotionManager.evaluate_and_demote": lambda: PromotionManager().evaluate_and_demote("low"),
    "ContinuumMemory.record_forgetting_metric": lambda: ContinuumMemory().record_forgetting_metric(
        "a", "b", 0.5, 0.25
    ),
    "RSSFetchHistory.create_fetch_cycle": lambda: RSSFetchHistory().create_fetch_cycle(1),
    "RSSFetchHistory.add_fetch_item": lambda: RSSFetchHistory().add_fetch_item(
        FetchCycle.objects.get().pk, "a", "b", "c", "d", "Skipped"
    ),
    "RSSFetchHistory.complete_fetch_cycle": lambda: RSSFetchHistory().complete_fetch_cycle(
        FetchCycle.objects.get().pk
    ),
}


def documented():
    """Method -> (old, new), as the page has them."""
    found = {}
    part = PAGE.read_text().split("## While writes are refused")[1].split("\n## ")[0]
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if names := re.findall(r"`([\w.]+)`", cells[0]):
            found |= dict.fromkeys(names, (cells[1], cells[2]))
    return found


@pytest.fixture
def frozen(clean_target, monkeypatch):
    """PostgreSQL with a row of each kind that refuses writes."""
    monkeypatch.setattr("continuum.services.ENABLE_CONTINUUM_MEMORY", True)
    long_ago = "2020-01-01T00:00Z"
    KnowledgeItem.objects.create(
        content="a", source="b", knowledge_type="c", retention_score=0.1, created_at=long_ago
    )
    LearningObjective.objects.create(objective_text="a", target_score=0.5, status="active")
    FetchCycle.objects.create(cycle_number=1, started_at=long_ago)
    figures = {"surprise_score": 0.9, "retrieval_count_7d": 5, "validator_overlap": 0.9}
    TierMetric.objects.create(item_id="item", tier="L0", **figures)
    TierMetric.objects.create(item_id="low", tier="L1", surprise_score=0.1)
    tables = every_target_table()
    with transaction.atomic():
        reverse.freeze_target("default", tables)


def rows():
    models = (KnowledgeItem, AccuracyScore, TierMetric, TierAudit, FetchCycle, FetchItem)
    return {model: list(model.objects.order_by("pk").values()) for model in models}


def test_the_page_lists_every_method_that_writes():
    assert sorted(documented()) == sorted(name.split(".")[1] for name in NEW)


@pytest.mark.slow_after(6)
@pytest.mark.parametrize("name", NEW)
def test_new_classes(frozen, name, caplog):
    before, told = rows(), documented()[name.split(".")[1]][1]
    if told.startswith("raises"):
        with pytest.raises(DatabaseError, match="takes no more writes"):
            NEW[name]()
    else:
        with caplog.at_level(logging.ERROR):
            answer = NEW[name]()
        assert told == f"`{answer!r}`"
        assert "takes no more writes" in caplog.text
    assert rows() == before


def refused(writer, attempt):
    """A legacy class's statements are refused, and nobody keeps a lock."""
    with pytest.raises(sqlite3.IntegrityError, match="has moved to PostgreSQL"):
        attempt(writer)


def test_statements_of_the_old_classes(legacy):
    """Which of them are refused: the classes make -1, False, 0.0 or nothing of that error."""
    data = legacy(variant="clean", rows=20)
    install_capture("default", Selection())
    writer = LegacyWriter(data)
    item = writer.add_knowledge("old", "b")
    objective = writer.set_learning_objective("a", 0.5)
    cycle = writer.create_fetch_cycle(1)
    writer.insert_tier("item", "L0", 0.5, 1)
    for file in legacy_files():
        live = LiveFile(file, None)
        freeze(file.path, live.captured(), seconds=None)
        live.close()
    for attempt in (
        lambda w: w.add_knowledge("a", "b"),
        lambda w: w.update_retention_score(item, 0.5),
        lambda w: w.record_learning_session("chat", "text", 0.5),
        lambda w: w.cleanup_old_knowledge(0, 2.0),
        lambda w: w.score_response("a?", "b"),
        lambda w: w.set_learning_objective("a", 0.5),
        lambda w: w.update_objective_progress(objective, 0.5),
        lambda w: w.update_tier_cycle("item", 1),
        lambda w: w.promote_item("item", "L0", "L1", "why"),
        lambda w: w.demote_item("nobody", "L1", "L0", "an audit row is written all the same"),
        lambda w: w.record_forgetting_metric("a", "b", 0.5, 0.25),
        lambda w: w.create_fetch_cycle(1),
        lambda w: w.complete_fetch_cycle(cycle),
        lambda w: w.add_fetch_item(cycle, "t", "l", None, "Skipped"),
    ):
        refused(writer, attempt)
    # No row, no trigger: the old classes answer True.
    writer.update_retention_score(-1, 0.5)
    writer.update_objective_progress(-1, 0.5)
    writer.update_tier_cycle("nobody", 1)
    assert writer.left_open == 14
    for file in legacy_files():
        with sqlite3.connect(file.path, timeout=0) as other:
            other.execute("BEGIN IMMEDIATE")
