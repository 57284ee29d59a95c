"""The project after the move: nothing of `stillme.transfer` can be imported, all the rest works.

Run as a process of its own by test_without_engine.py, on a database that holds imported rows.
"""

# ruff: noqa: E402 - the imports come after the engine is blocked
import asyncio
import inspect
import logging
import re
import sys
from importlib.abc import MetaPathFinder


class NoEngine(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[:2] == ["stillme", "transfer"]:
            raise ModuleNotFoundError(f"{name} was removed")


sys.meta_path.insert(0, NoEngine())

import stillme

stillme.setup()

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accuracy.services import AccuracyScorer
from continuum import services as continuum
from knowledge.services import KnowledgeRetention
from rss.services import RSSFetchHistory
from stillme.command_line import _Commands
from stillme.ops.documentation.command_page import own_commands
from vector import services as vectors

ALL_TABLES = 13


TIERS = ("item", "L0", "L1", "why", 0.5, 3, 0.1)
# Every public method of the old classes, once, in an order that gives each something to do.
CALLS = {
    KnowledgeRetention: [
        ("add_knowledge", "content", "source"),
        ("update_retention_score", 1, 0.95),
        ("get_retained_knowledge",),
        ("record_learning_session", "session", "content", 0.5),
        ("calculate_retention_metrics",),
        ("cleanup_old_knowledge", 100_000),
    ],
    RSSFetchHistory: [
        ("create_fetch_cycle", 7),
        ("add_fetch_item", 1, "t", "f", "l", "s", "Added to RAG"),
        ("complete_fetch_cycle", 1),
        ("get_latest_fetch_items",),
        ("get_all_fetch_items",),
        ("get_added_to_rag_items",),
        ("get_fetch_stats",),
    ],
    AccuracyScorer: [
        ("score_response", "question", "answer", "answer"),
        ("get_accuracy_metrics",),
        ("set_learning_objective", "objective", 0.9),
        ("update_objective_progress", 1, 0.5),
    ],
    continuum.TieredUpdateIsolation: [
        ("should_update_tier", "L1", 3),
        ("get_tier_for_knowledge", "item", 0.7),
        ("update_tier_cycle", "item", "L1", 3),
    ],
    continuum.PromotionManager: [
        ("calculate_rarity_score", "content"),
        ("calculate_novelty_score", [0.1]),
        ("get_retrieval_frequency", "item"),
        ("get_validator_overlap", "item"),
        ("calculate_surprise_score", "item", "content"),
        ("promote_item", *TIERS),
        ("demote_item", *TIERS),
        ("evaluate_and_promote", "item"),
        ("evaluate_and_demote", "item"),
    ],
    continuum.ContinuumMemory: [
        ("calculate_surprise_score", "item", "content"),
        ("get_tier_stats",),
        ("get_audit_log",),
        ("record_forgetting_metric", "item", "query", 0.5, 0.4),
        ("get_forgetting_trends",),
    ],
}


class Failures(logging.Handler):
    """A service swallows its errors and logs them: none may be logged."""

    said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def services() -> None:
    logging.getLogger().addHandler(Failures(logging.ERROR))
    continuum.ENABLE_CONTINUUM_MEMORY = True
    for kind, calls in CALLS.items():
        service = kind()
        for name, *arguments in calls:
            getattr(service, name)(*arguments)
        methods = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
        public = {name for name in methods if not name.startswith("_")}
        assert public == {name for name, *_ in calls}, kind
    assert Failures.said == []
    assert KnowledgeRetention().get_retained_knowledge()
    assert continuum.ContinuumMemory().get_audit_log()


def vector_services() -> None:
    collection = vectors.create_collection("new")
    assert vectors.add(collection, ["a", "b"], [[1.0, 0.0], [0.0, 1.0]], ["one", "two"]) == 2
    assert [record.id for record in vectors.query(collection, [1.0, 0.1], 1)] == ["a"]
    assert vectors.get(collection, ["b"])[0].document == "two"
    assert vectors.delete(collection, ["b"]) == 1


def pages() -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    browser = Client()
    browser.force_login(User.objects.create_superuser("after", "a@example.org", "x"))
    assert browser.get("/admin/").status_code == 200
    ours = {"knowledge", "continuum", "rss", "accuracy", "vector"}
    models = [model for model in admin.site._registry if model._meta.app_label in ours]
    assert len(models) == ALL_TABLES, models
    for model in models:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert browser.get(reverse(f"{name}_changelist")).status_code == 200, model
        row = model.objects.first()
        assert row is not None, f"{model} has no row"
        page = browser.get(reverse(f"{name}_change", args=[row.pk]))
        assert page.status_code == 200, model
        assert "legacy row as stored" not in page.content.decode()
    overview = browser.get("/admin/glance/").content.decode()
    charts = re.findall(r'data-chart="([^"]+)"', overview)
    assert len(charts) > 10, overview
    for chart in charts:
        assert "<table>" in browser.get(chart).content.decode(), chart
    assert browser.get("/admin/transfer/dashboard/").status_code == 404
    assert browser.get("/metrics").status_code == 200
    assert browser.get("/healthz").json() == {"status": "alive"}
    ready = browser.get("/readyz")
    assert (ready.status_code, ready.json()["followers"]) == (200, {}), ready.content


def commands() -> None:
    """Every command that stays can be loaded, and `manage.py help` loads them all."""
    assert {"distribute", "search_index", "create_database"} <= own_commands().keys()
    assert "[this project]" in _Commands(["manage.py"]).main_help_text()
    said = ""
    try:
        call_command("distribute")
    except CommandError as error:
        said = str(error)
    assert "has no Citus extension" in said, said


async def in_a_coroutine() -> None:
    assert KnowledgeRetention().add_knowledge("content", "source")


assert not apps.is_installed("stillme.transfer")
call_command("check")
call_command("migrate", verbosity=0)
services()
vector_services()
asyncio.run(in_a_coroutine())
pages()
commands()
assert not [name for name in sys.modules if name.startswith("stillme.transfer")]
print("works")
