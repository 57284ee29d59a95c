"""After `distribute`: services, import, verification and admin say nothing that Citus refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.management.color import no_style
from django.db import connections
from django.test import Client
from django.urls import reverse

from accuracy.services import AccuracyScorer
from continuum import services as continuum_services
from continuum.models import TierMetric
from continuum.services import ContinuumMemory, PromotionManager, TieredUpdateIsolation
from knowledge.models import KnowledgeItem, KnowledgeRelationship
from knowledge.services import KnowledgeRetention
from rss import api as rss_api
from rss.models import FetchCycle, FetchItem
from rss.services import RSSFetchHistory
from stillme.pages.lists.paginator import _remote_plan
from stillme.pages.target_admin import TargetAdmin
from stillme.postgresql import distributed
from stillme.transfer.console.dashboard import figures
from stillme.transfer.console.dashboard.storage import storage
from stillme.transfer.errors import StateError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.inventory.stores import StoreOptions
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps.cutover import CutoverOptions, cut_over
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.readiness.go_no_go import RED, go_list
from stillme.transfer.steps.syncing.file_condition import condition
from stillme.transfer.verify.tables.live_rows import TailJudge
from tests.made_once import put_samples
from tests.ops.citus import cluster, complaint
from tests.transfer.load.support import change, content, query, run_import
from tests.transfer.verify.support import JUDGE, accept_all, judge
from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import import_vectors, verify_vectors
from vector.models import Item

assert cluster
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("cluster")]


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: Any) -> Path:
    put_samples(tmp_path, rows=60)
    use_legacy_files(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT 1 FROM "rss"."fetch_items" i JOIN "knowledge"."knowledge_items" k ON true',
        "UPDATE rss.fetch_items t SET id = s.id FROM transfer_stage s",
        'UPDATE "rss"."fetch_items" t SET id = s.id FROM "rss"."fetch_cycles" s',
        "INSERT INTO rss.fetch_items (id) SELECT id FROM rss.fetch_cycles",
        "WITH g AS (UPDATE rss.fetch_cycles SET id = 1 RETURNING id) INSERT INTO rss.fetch_items",
        "UPDATE accuracy.learning_objectives SET a = CASE WHEN b THEN STATEMENT_TIMESTAMP() END",
        "SELECT 1 FROM rss.fetch_items t WHERE EXISTS (SELECT 1 FROM transfer.write_mark)",
        "SET LOCAL enable_indexscan TO 'off'",
    ],
)
def test_the_stand_in_refuses(sql: str) -> None:
    assert complaint(sql)


def test_services(monkeypatch: pytest.MonkeyPatch, cluster: list[str]) -> None:
    monkeypatch.setattr(continuum_services, "ENABLE_CONTINUUM_MEMORY", True)
    retention, scorer, history = KnowledgeRetention(), AccuracyScorer(), RSSFetchHistory()
    key = retention.add_knowledge("c", "s")
    assert retention.update_retention_score(key, 0.9)
    other = retention.add_knowledge("d", "s")
    KnowledgeRelationship.objects.create(source_id=key, target_id=other, relationship_type="r")
    KnowledgeItem.objects.filter(pk=other).update(created_at=datetime(2020, 1, 1).astimezone())
    assert len(retention.get_retained_knowledge()) == 1
    assert retention.record_learning_session("s", "c", 0.5) > 0
    assert retention.calculate_retention_metrics()["total_knowledge_items"] == 2
    assert retention.cleanup_old_knowledge() == 1
    assert scorer.score_response("q", "a") == 0.5
    assert scorer.get_accuracy_metrics()["total_responses"] == 1
    assert scorer.update_objective_progress(scorer.set_learning_objective("o", 0.5), 0.6)
    TierMetric.objects.create(
        item_id="k", tier="L0", surprise_score=0.9, retrieval_count_7d=3, validator_overlap=0.9
    )
    memory, manager = ContinuumMemory(), PromotionManager()
    assert TieredUpdateIsolation().update_tier_cycle("k", "L0", 1)
    assert manager.evaluate_and_promote("k")
    assert manager.evaluate_and_demote("k") is None
    assert manager.promote_item("k", "L1", "L2", "r", 0.5, 1, 0.5)
    assert manager.calculate_surprise_score("k", "some words") > 0
    assert memory.get_tier_stats()["promoted_7d"] == len(memory.get_audit_log()) == 2
    assert memory.record_forgetting_metric("i", "q", 1, 0.5) > 0
    assert len(memory.get_forgetting_trends()) == 1
    cycle = history.create_fetch_cycle(1)
    first = history.add_fetch_item(cycle, "t", "f", "l", "s", "Added to RAG")
    assert history.add_fetch_item(cycle, "t", "f", "l", "s", "Filtered: Duplicate") > first
    history.complete_fetch_cycle(cycle)
    assert history.get_fetch_stats()["total"] == len(history.get_latest_fetch_items()) == 2
    assert len(history.get_added_to_rag_items()) == 1
    row = FetchCycle.objects.get()
    assert (row.items_fetched, row.items_added, row.items_duplicate) == (2, 1, 1)
    with pytest.raises(rss_api.UnknownCycleError):
        history.add_fetch_item(cycle + 1, "t", "f", "l", "s", "x")
    assert FetchItem.objects.count() == 2
    assert len(cluster) > 30


def test_import_and_proof(legacy: Path) -> None:
    assert run_import().conserved
    accept_all()
    result = judge(round_trip=True)
    assert result.exit_status == 0, [f.sentence() for f in result.findings.kept]
    assert judge(level="sample", sample=20).exit_status == 0
    assert judge(level="counts").exit_status == 0
    before = content()
    again = run_import()
    assert content() == before
    assert all(t.skipped_chunks == t.chunks for t in again.tables)


@pytest.mark.slow
def test_a_changed_file_is_taken_only_with_overwrite(legacy: Path) -> None:
    run_import()
    change(
        legacy,
        "knowledge",
        "UPDATE knowledge_items SET source = 'changed' "
        "WHERE id = (SELECT max(id) FROM knowledge_items)",
        "INSERT INTO knowledge_items (content, source, knowledge_type) VALUES ('n', 'new', 't')",
    )
    change(
        legacy,
        "rss",
        "INSERT INTO rss_fetch_items (cycle_id, title, source_url, fetch_timestamp, status) "
        "SELECT id, 't', 'new', '2025-11-20T10:00:00', 's' FROM rss_fetch_cycles LIMIT 1",
    )
    result = run_import()
    assert result.conflicts == 1
    assert query("SELECT count(*) FROM knowledge.knowledge_items WHERE source = 'new'") == [(1,)]
    assert query("SELECT count(*) FROM rss.fetch_items WHERE feed_url = 'new'") == [(1,)]
    changed = "SELECT count(*) FROM knowledge.knowledge_items WHERE source = 'changed'"
    assert query(changed) == [(0,)]
    result = run_import(overwrite=True)
    assert result.conflicts == 0
    assert query(changed) == [(1,)]
    accept_all()
    assert judge().exit_status == 0


@pytest.mark.slow
def test_an_orphan_comes_back_with_its_parent(legacy: Path) -> None:
    change(
        legacy,
        "rss",
        "INSERT INTO rss_fetch_items (cycle_id, title, source_url, fetch_timestamp, status) "
        "VALUES (777, 't', 'orphan', '2025-11-20T10:00:00', 's')",
    )
    run_import()
    assert query("SELECT count(*) FROM rss.fetch_items WHERE feed_url = 'orphan'") == [(0,)]
    change(
        legacy,
        "rss",
        "INSERT INTO rss_fetch_cycles (id, cycle_number, started_at) "
        "VALUES (777, 1, '2025-11-20T10:00:00')",
    )
    run_import()
    assert query("SELECT count(*) FROM rss.fetch_items WHERE feed_url = 'orphan'") == [(1,)]


def test_what_needs_triggers_or_transaction_ids_is_refused(legacy: Path) -> None:
    for call in (
        lambda: run_import(prune=True),
        lambda: follow(FollowOptions(once=True)),
        lambda: cut_over(CutoverOptions(), TailJudge("default")),
        lambda: install_capture("default", Selection()),
    ):
        with pytest.raises(StateError, match="Citus cluster"):
            call()


def test_what_is_advised_is_possible(legacy: Path) -> None:
    run_import()
    files = [file for file in legacy_files() if file.path.exists()]
    [line] = go_list("default", files, None, JUDGE)
    assert (line.colour, line.subject) == (RED, "cluster")
    for file in files:
        assert "sync_sqlite" not in condition("default", file).next_step


def test_sequences_are_set_by_what_the_node_answers() -> None:
    """Django asks and sets in one statement, which sets the sequence of the other node."""
    KnowledgeItem.objects.create(id=41, content="c", source="s", knowledge_type="t")
    statements = connections["default"].ops.sequence_reset_sql(no_style(), [KnowledgeItem])
    assert not any(statement.startswith("SELECT setval") for statement in statements)
    with connections["default"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    assert KnowledgeItem.objects.create(content="c", source="s", knowledge_type="t").pk == 42


def test_migrations_leave_out_what_a_distributed_table_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    migration = import_module("vector.migrations.0001_initial")
    with connections["default"].schema_editor(collect_sql=True) as editor:
        migration.keep_embeddings_apart(None, editor)
        assert editor.collected_sql == []
        monkeypatch.undo()
        migration.keep_embeddings_apart(None, editor)
        assert "SET STORAGE EXTERNAL" in editor.collected_sql[0]


@pytest.mark.slow
def test_vectors(tmp_path: Path) -> None:
    files = ChromaFiles(tmp_path / "vector_db", "1.x")
    made = files.collection("stillme_knowledge")
    for n in range(8):
        made.write(ADD, f"k{n}", [float(n), 1.0, 0.5, 2.0], f"doc {n}", {"n": n})
    path = files.close()
    assert import_vectors(path).tables[0].outcome.inserted == 8
    assert verify_vectors(path) == []
    Item.objects.filter(embedding_id="k1").update(document="edited here")
    Item.objects.filter(embedding_id="k2").delete()
    outcome = import_vectors(path).tables[0].outcome
    assert (outcome.inserted, outcome.updated, outcome.conflict_count) == (1, 0, 1)
    outcome = import_vectors(path, options=StoreOptions(overwrite=True)).tables[0].outcome
    assert (outcome.inserted, outcome.updated, outcome.conflict_count) == (0, 1, 0)
    assert verify_vectors(path) == []


@pytest.mark.slow
def test_admin_lists_and_rows(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_import()
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="x"))
    monkeypatch.setattr(figures, "storage", lambda alias: [])
    assert client.get(reverse("admin:index"), follow=True).status_code == 200
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        if not isinstance(page, TargetAdmin):
            assert client.get(reverse(f"{name}_changelist")).status_code == 200
            row = model._default_manager.first()
            if row is not None:
                assert client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
            continue
        for search in ("", "?q=a"):
            assert client.get(reverse(f"{name}_changelist") + search).status_code == 200
        row = model._default_manager.first()
        if row is not None:
            assert client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
        assert client.get(reverse(f"{name}_export", args=["csv"])).status_code == 200


def test_figures_come_from_the_node_that_has_the_rows() -> None:
    for name in ("citus_total_relation_size", "citus_table_size", "citus_relation_size"):
        query(
            f"CREATE FUNCTION public.{name}(regclass) RETURNS bigint LANGUAGE sql AS "
            f"'SELECT {len(name)}::bigint'"
        )
    try:
        [row] = [row for row in storage("default") if row["table"] == "rss.fetch_items"]
    finally:
        for name in ("citus_total_relation_size", "citus_table_size", "citus_relation_size"):
            query(f"DROP FUNCTION public.{name}(regclass)")
    assert row == {
        "table": "rss.fetch_items",
        "own": False,
        "rows": None,
        "total": 25,
        "heap": 19,
        "indexes": 9,
        "toast": -3,
    }
    remote = {"Node Type": "Seq Scan", "Plan Rows": 1234567}
    tasks = [{"Node": "host=w1", "Remote Plan": [[{"Plan": remote}]]}]
    plan = {"Plan Rows": 0, "Distributed Query": {"Job": {"Task Count": 1, "Tasks": tasks}}}
    assert _remote_plan(plan) == remote
    assert _remote_plan(remote) == remote


def test_pages_about_all_tables_go_on_without_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = distributed.Node(2, "10.0.0.2:5432", False, ("rss",))
    alive = distributed.Node(3, "10.0.0.3:5432", True, ("accuracy",))
    monkeypatch.setattr(distributed, "nodes", lambda connection: [dead, alive])
    [row] = [row for row in storage("default") if row["table"] == "rss.fetch_items"]
    assert (row["rows"], row["total"], row["heap"]) == (None, None, None)
    AccuracyScorer().score_response("words", "answer")
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="x"))
    text = client.get(reverse("admin:index"), follow=True).content.decode()
    assert "unknown" in text[text.index("rss.fetch_items") :]
    client.raise_request_exception = True
    with refused_schema("rss"):
        text = client.get("/admin/search/", {"q": "words"}).content.decode()
    assert "not looked at: its node does not answer" in text
    assert reverse("admin:accuracy_accuracyscore_changelist") in text


@contextmanager
def refused_schema(name: str) -> Iterator[None]:
    """Statements about its tables fail, as if their node were away."""

    def check(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        assert f'"{name}"."' not in sql, f"a node that is away is asked: {sql}"
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(check):
        yield


def test_without_citus_one_look_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    distributed.forget()
    assert distributed.distributed_tables(connections["default"]) == frozenset()
    monkeypatch.setattr(distributed, "HAS_CITUS", "SELECT nonsense")
    assert not distributed.is_distributed(connections["default"], '"rss"."fetch_items"')
    monkeypatch.setattr(distributed, "BELIEVED", -1.0)
    with pytest.raises(Exception, match="nonsense"):
        distributed.is_distributed(connections["default"], '"rss"."fetch_items"')


def test_the_command_names_the_refusal(legacy: Path) -> None:
    with pytest.raises(CommandError, match="it before `manage") as error:
        call_command("import_sqlite", prune=True)
    assert error.value.returncode == 2
