"""Every public function of every service: documented, typed, and as cheap as `COSTS` says.

All of them are looked for in the modules, called on full tables, their statements counted, and
their plans read.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from django.db import transaction

from continuum import services
from stillme.ops.documentation.service_calls import public_calls
from tests.domains.call_costs import ALL_ROWS, COSTS, Cost
from tests.domains.many_rows import fill_tables
from tests.domains.queries import plans
from tests.services.calls import public_functions
from vector import services as vectors

ELSEWHERE = ("vector.client.", "stillme.")
_FOUND_BY = re.compile(
    r"(?:Index Scan|Index Only Scan|Bitmap Index Scan)[a-zA-Z ]* (?:using|on) \"?([\w-]+)"
)


def every_function() -> dict[str, Callable[..., Any]]:
    """`knowledge.api.item_add`, `KnowledgeRetention.add_knowledge`, `vector.services.add`, ...

    All but `vector.client`, whose every call is one of `vector.services` and a look at the row, and
    what asks every table (`store_health`).
    """
    found = public_functions().items()
    return {_short(name): call for name, call in found if not name.startswith(ELSEWHERE)}


def _short(name: str) -> str:
    return name if name.startswith("vector.") else name.rpartition(".services.")[2]


NAMES = list(every_function())


def measured(call: Callable[[], object]) -> Cost:
    """What a call really costs; its writes are taken back."""
    with transaction.atomic():
        made = plans(call, only="")
        transaction.set_rollback(True)
    # Django gives a text key a second index, which the planner takes as well.
    by = {re.sub(r"_item_id_\w+_like$", "_pkey", i) for p in made for i in _FOUND_BY.findall(p)}
    # A collection's index is named by its number. PostgreSQL's own tables do not count.
    by = {re.sub(r"-?\d+$", "n", name) for name in by if not name.startswith("pg_")}
    everything = {ALL_ROWS for plan in made if re.search(r"Seq Scan on (?!pg_)", plan)}
    return Cost(len(made), frozenset(by | everything))


RETAINED = "idx_knowledge_items_retention_score"
MOVED = {
    "item_id": "i7",
    "from_tier": "L1",
    "to_tier": "L2",
    "reason": "r",
    "surprise_score": 0.9,
    "retrieval_count_7d": 1,
    "validator_overlap": 0.9,
}
SESSION = {"session_type": "s", "content_learned": "c", "accuracy_score": 1}
ITEM = {"title": "t", "link": "l", "summary": "s", "status": "Added to RAG"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "knowledge.api.item_add": {"content": "c", "source": "s"},
    "knowledge.api.item_rescore": {"item_id": -7, "retention_score": 0.5},
    # As every day: few rows are old enough.
    "knowledge.api.item_clean_up": {"days": 41.6},
    "knowledge.api.session_record": SESSION,
    "KnowledgeRetention.add_knowledge": {"content": "c", "source": "s"},
    "KnowledgeRetention.update_retention_score": {"knowledge_id": -7, "new_score": 0.5},
    "KnowledgeRetention.cleanup_old_knowledge": {"days_threshold": 41.6},
    "KnowledgeRetention.record_learning_session": SESSION,
    "accuracy.api.response_score": {"question": "q", "actual_answer": "a"},
    "accuracy.api.objective_set": {"objective_text": "o", "target_score": 1},
    "accuracy.api.objective_progress": {"objective_id": -7, "current_score": 0.9},
    "AccuracyScorer.score_response": {"question": "q", "actual_answer": "a"},
    "AccuracyScorer.set_learning_objective": {"objective_name": "o", "target_accuracy": 1},
    "AccuracyScorer.update_objective_progress": {"objective_id": -7, "current_accuracy": 0.9},
    "continuum.api.item_move": {"stamp": "last_promoted_at", **MOVED},
    "continuum.api.item_promote": MOVED,
    "continuum.api.item_demote": MOVED,
    "continuum.api.item_step_up": {"item_id": "i7"},
    "continuum.api.item_step_down": {"item_id": "i7"},
    "continuum.api.promotion_evaluate": {"item_id": "i7", "threshold": 0.75},
    "continuum.api.demotion_evaluate": {"item_id": "i8", "threshold": 0.15},
    "continuum.api.item_set_cycle": {"item_id": "i7", "cycle": 1},
    "continuum.api.item_figures": {"item_id": "i7"},
    "continuum.api.item_state": {"item_id": "i7"},
    "continuum.api.forgetting_record": {
        "regression_item_id": "i",
        "regression_query": "q",
        "recall_before": 1,
        "recall_after": 0,
    },
    "TieredUpdateIsolation.should_update_tier": {"tier": "L1", "cycle_count": 7},
    "TieredUpdateIsolation.get_tier_for_knowledge": {"item_id": "i7", "surprise_score": 0.5},
    "TieredUpdateIsolation.update_tier_cycle": {"item_id": "i7", "tier": "L1", "cycle_count": 7},
    "PromotionManager.calculate_rarity_score": {"content": "alpha beta"},
    "PromotionManager.calculate_novelty_score": {"content_embedding": [1.0]},
    "PromotionManager.get_retrieval_frequency": {"item_id": "i7"},
    "PromotionManager.get_validator_overlap": {"item_id": "i7"},
    "PromotionManager.calculate_surprise_score": {"item_id": "i7", "content": "alpha"},
    "PromotionManager.promote_item": MOVED,
    "PromotionManager.demote_item": MOVED,
    "PromotionManager.evaluate_and_promote": {"item_id": "i7"},
    "PromotionManager.evaluate_and_demote": {"item_id": "i8"},
    "ContinuumMemory.calculate_surprise_score": {"item_id": "i7", "content": "alpha"},
    "ContinuumMemory.record_forgetting_metric": {
        "regression_item_id": "i",
        "regression_query": "q",
        "recall_at_k_before": 1,
        "recall_at_k_after": 0,
    },
    "rss.api.cycle_open": {"cycle_number": 1},
    "rss.api.cycle_complete": {"cycle_id": -7},
    "rss.api.item_add": {"cycle_id": -7, "feed_url": "f", **ITEM},
    "rss.api.item_count": {"cycle_id": -7},
    "RSSFetchHistory.create_fetch_cycle": {"cycle_number": 1},
    "RSSFetchHistory.add_fetch_item": {"cycle_id": -7, "source_url": "f", **ITEM},
    "RSSFetchHistory.complete_fetch_cycle": {"cycle_id": -7},
    "RSSFetchHistory.get_fetch_stats": {"cycle_id": -7},
}

VECTOR = {"ids": ["i6500", "new"], "embeddings": [[1.0, 2.0]] * 2}
ARGUMENTS |= {
    "vector.services.create_collection": {"name": "new"},
    "vector.services.get_collection": {"name": "c7"},
    "vector.services.get_collection_by_uuid": {"uuid": UUID(int=7)},
    "vector.services.get_or_create_collection": {"name": "c7"},
    "vector.services.modify_collection": {"name": "another"},
    "vector.services.delete_collection": {"name": "c7"},
    "vector.services.add": VECTOR,
    "vector.services.upsert": VECTOR,
    "vector.services.update": {"ids": ["i6500"], "documents": ["other"]},
    "vector.services.get": {"limit": 10},
    "vector.services.query": {"embedding": [1.0, 2.0]},
    "vector.services.delete": {"ids": ["i6500"]},
    "vector.services.distance_of": {"vector": [1.0, 2.0]},
}

# Calls with other arguments, which find their rows by other indexes than `COSTS` says.
OTHERWISE = [
    ("continuum.api.audit_list", {"item_id": "i7"}, "idx_tier_audit_item_id"),
    ("knowledge.api.item_list_retained", {"knowledge_type": "t3"}, RETAINED),
    ("rss.api.item_list_latest", {"limit": 10}, "idx_rss_fetch_items_cycle_id"),
    ("vector.services.get", {"limit": None, "where": {"k": 2}}, "idx_vector_items_collection"),
    ("vector.services.get", {"limit": None, "ids": ["i6500"]}, "items_id_once"),
]


def usual_calls() -> dict[str, Callable[..., Any]]:
    """Each with its arguments; the vectors' on a collection that has its index."""
    collection = vectors.get_collection("c7")
    vectors.build_index(collection)
    calls: dict[str, Callable[..., Any]] = {}
    for name, function in every_function().items():
        first = "collection" in inspect.signature(function).parameters
        calls[name] = partial(function, *([collection] if first else []), **ARGUMENTS.get(name, {}))
    if "through" not in vectors.search_state(collection):
        # A server without pgvector has no plan of its index to show.
        calls = {n: call for n, call in calls.items() if not n.startswith("vector.")}
    return calls


def test_every_function_has_a_cost() -> None:
    assert sorted(COSTS) == sorted(NAMES)


def test_the_page_names_every_function() -> None:
    """The calls of docs/reference/services.md, which `document_commands` makes."""
    modules = {".".join(name.split(".")[:2]) for name in public_functions()} - {"stillme.ops"}
    shown = {name for room in modules for name, _ in public_calls(import_module(room))}
    assert {name.removeprefix("vector.services.").rpartition("api.")[2] for name in NAMES} <= shown


@pytest.mark.django_db
def test_statements_and_plans_are_as_cheap_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ENABLE_CONTINUUM_MEMORY", True)
    fill_tables()
    calls = usual_calls()
    found = {name: measured(call) for name, call in calls.items()}
    assert {n: c for n, c in found.items() if c != COSTS[n]} == {}
    for name, arguments, index in [each for each in OTHERWISE if each[0] in calls]:
        *_, plan = plans(partial(calls[name], **arguments))
        assert index in plan, plan
        assert "Seq Scan" not in plan, plan
    [page] = plans(calls["knowledge.api.item_list_retained"])
    assert "Sort" not in page, page


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented_and_typed(name: str) -> None:
    function = every_function()[name]
    signature, hints = inspect.signature(function), get_type_hints(function)
    assert inspect.getdoc(function)
    assert {*signature.parameters, "return"} == set(hints)
    if ".api." in name:
        kinds = {each.kind for each in signature.parameters.values()}
        assert kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
