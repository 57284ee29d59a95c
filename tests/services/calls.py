"""A line of arguments for every public function of every service, and how to call it.

A new function needs a line here: `test_every_function.py` fails without. An argument that is a
function is called first, and its answer is the argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from django.conf import settings

from accuracy import api as accuracy
from continuum.models import TierMetric
from knowledge import api as knowledge
from rss import api as rss
from stillme.services.connections import borrows_connection
from vector import services as vectors
from vector.client import ClientAPI
from vector.client import Collection as ChromaCollection

# The modules of a domain that the application calls.
ROOMS = ("api", "services", "client")
ITEM = "item"
# Their methods are called with an instance.
MADE_BY_OTHERS = (ChromaCollection,)
# Always raises, and asks no database.
REFUSED = ("vector.client.ClientAPI.reset",)


def new_name() -> str:
    # Parent and child of a fork do not give the same one.
    return str(uuid4())


def collection() -> Any:
    return vectors.get_or_create_collection("things")


def unwanted_collection() -> str:
    return str(vectors.create_collection(new_name()).name)


def cycle() -> int:
    return rss.cycle_open(cycle_number=1)


def knowledge_item() -> int:
    return knowledge.item_add(content="c", source="s")


def chroma() -> Any:
    return ClientAPI().get_collection("things")


@borrows_connection
def middle_item() -> str:
    """One that can go up and down."""
    return TierMetric.objects.create(item_id=new_name(), tier="L1").item_id


def given(*arguments: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments, named


MOVE = {"item_id": ITEM, "from_tier": "L0", "to_tier": "L1", "reason": "r", "surprise_score": 0.5,
        "retrieval_count_7d": 1, "validator_overlap": 0.5}  # fmt: skip
MOVED = given(ITEM, "L0", "L1", "reason", 0.5, 1, 0.5)
FEED = {"title": "t", "feed_url": "f", "link": "l", "summary": "s", "status": "Added to RAG"}
VECTORS = [[1.0, 0.0]]

CALLS = {
    "knowledge.api.item_add": given(content="c", source="s"),
    "knowledge.api.item_rescore": given(item_id=knowledge_item, retention_score=0.5),
    "knowledge.api.item_list_retained": given(limit=3),
    "knowledge.api.item_clean_up": given(days=0, min_retention_score=0.1),
    "knowledge.api.session_record": given(session_type="t", content_learned="c", accuracy_score=1),
    "knowledge.api.retention_measure": given(),
    "knowledge.services.KnowledgeRetention.add_knowledge": given("c", "s"),
    "knowledge.services.KnowledgeRetention.update_retention_score": given(knowledge_item, 0.4),
    "knowledge.services.KnowledgeRetention.get_retained_knowledge": given(limit=3),
    "knowledge.services.KnowledgeRetention.record_learning_session": given("t", "c", 0.5),
    "knowledge.services.KnowledgeRetention.calculate_retention_metrics": given(),
    "knowledge.services.KnowledgeRetention.cleanup_old_knowledge": given(),
    "continuum.api.tier_count": given(),
    "continuum.api.item_promote": given(**MOVE),
    "continuum.api.item_demote": given(**MOVE),
    "continuum.api.item_move": given(stamp="last_promoted_at", **MOVE),
    "continuum.api.promotion_evaluate": given(item_id=ITEM, threshold=0.5),
    "continuum.api.demotion_evaluate": given(item_id=ITEM, threshold=0.5),
    "continuum.api.item_set_cycle": given(item_id=ITEM, cycle=3),
    "continuum.api.item_figures": given(item_id=ITEM),
    "continuum.api.item_state": given(item_id=ITEM),
    "continuum.api.item_step_up": given(item_id=middle_item),
    "continuum.api.item_step_down": given(item_id=middle_item),
    "continuum.api.audit_list": given(limit=3),
    "continuum.api.forgetting_record": given(
        regression_item_id=ITEM, regression_query="q", recall_before=0.5, recall_after=0.4
    ),
    "continuum.api.forgetting_trend": given(),
    "continuum.services.TieredUpdateIsolation.should_update_tier": given("L1", 3),
    "continuum.services.TieredUpdateIsolation.get_tier_for_knowledge": given(ITEM, 0.7),
    "continuum.services.TieredUpdateIsolation.update_tier_cycle": given(ITEM, "L1", 3),
    "continuum.services.PromotionManager.calculate_rarity_score": given("content"),
    "continuum.services.PromotionManager.calculate_novelty_score": given([0.1]),
    "continuum.services.PromotionManager.get_retrieval_frequency": given(ITEM),
    "continuum.services.PromotionManager.get_validator_overlap": given(ITEM),
    "continuum.services.PromotionManager.calculate_surprise_score": given(ITEM, "content"),
    "continuum.services.PromotionManager.promote_item": MOVED,
    "continuum.services.PromotionManager.demote_item": MOVED,
    "continuum.services.PromotionManager.evaluate_and_promote": given(ITEM),
    "continuum.services.PromotionManager.evaluate_and_demote": given(ITEM),
    "continuum.services.ContinuumMemory.calculate_surprise_score": given(ITEM, "content"),
    "continuum.services.ContinuumMemory.get_tier_stats": given(),
    "continuum.services.ContinuumMemory.get_audit_log": given(3),
    "continuum.services.ContinuumMemory.record_forgetting_metric": given(ITEM, "q", 0.5, 0.4),
    "continuum.services.ContinuumMemory.get_forgetting_trends": given(),
    "rss.api.cycle_open": given(cycle_number=1),
    "rss.api.cycle_complete": given(cycle_id=cycle),
    "rss.api.cycle_latest": given(),
    "rss.api.item_add": given(cycle_id=cycle, **FEED),
    "rss.api.item_list": given(limit=3),
    "rss.api.item_list_latest": given(limit=3),
    "rss.api.item_list_added": given(limit=3),
    "rss.api.item_count": given(),
    "rss.services.RSSFetchHistory.create_fetch_cycle": given(1),
    "rss.services.RSSFetchHistory.add_fetch_item": given(cycle, "t", "f", "l", "s", "Failed"),
    "rss.services.RSSFetchHistory.complete_fetch_cycle": given(cycle),
    "rss.services.RSSFetchHistory.get_latest_fetch_items": given(3),
    "rss.services.RSSFetchHistory.get_all_fetch_items": given(3),
    "rss.services.RSSFetchHistory.get_added_to_rag_items": given(3),
    "rss.services.RSSFetchHistory.get_fetch_stats": given(),
    "accuracy.api.response_score": given(question="q", actual_answer="a"),
    "accuracy.api.accuracy_measure": given(),
    "accuracy.api.objective_set": given(objective_text="o", target_score=0.5),
    "accuracy.api.objective_progress": given(objective_id=1, current_score=0.5),
    "accuracy.services.AccuracyScorer.score_response": given("q", "a", "a"),
    "accuracy.services.AccuracyScorer.get_accuracy_metrics": given(),
    "accuracy.services.AccuracyScorer.set_learning_objective": given("o", 0.5),
    "accuracy.services.AccuracyScorer.update_objective_progress": given(1, 0.5),
    "stillme.ops.store_health.store_health": given(),
    "vector.services.create_collection": given(new_name, metric="cosine"),
    "vector.services.get_collection": given("things"),
    "vector.services.get_or_create_collection": given(new_name),
    "vector.services.get_collection_by_uuid": given(lambda: collection().uuid),
    "vector.services.modify_collection": given(collection, metadata={"k": 1}),
    "vector.services.list_collections": given(),
    "vector.services.delete_collection": given(unwanted_collection),
    "vector.services.add": given(collection, ["a"], VECTORS, ["text"], [{"k": 1}]),
    "vector.services.upsert": given(collection, ["a"], VECTORS),
    "vector.services.update": given(collection, ["a"], None, ["other"]),
    "vector.services.get": given(collection, limit=3, where_document={"$regex": "t.*"}),
    "vector.services.query": given(collection, [0.5, 0.5], 3),
    "vector.services.delete": given(collection, ["nobody"]),
    "vector.services.count": given(collection),
    "vector.services.search_state": given(collection),
    "vector.services.build_index": given(collection),
    "vector.services.distance_of": given(collection, [0.5, 0.5]),
    "vector.client.PersistentClient": given("path"),
    "vector.client.ClientAPI.heartbeat": given(),
    "vector.client.ClientAPI.list_collections": given(),
    "vector.client.ClientAPI.count_collections": given(),
    "vector.client.ClientAPI.create_collection": given(new_name, metadata={"hnsw:space": "cosine"}),
    "vector.client.ClientAPI.get_collection": given("things"),
    "vector.client.ClientAPI.get_or_create_collection": given(new_name),
    "vector.client.ClientAPI.delete_collection": given(unwanted_collection),
    "vector.client.Collection.count": given(chroma),
    "vector.client.Collection.add": given(chroma, ["a"], VECTORS, [{"k": 1}], ["text"]),
    "vector.client.Collection.upsert": given(chroma, ["a"], VECTORS),
    "vector.client.Collection.update": given(chroma, ["a"], metadatas=[{"k": 2}]),
    "vector.client.Collection.get": given(chroma, ["a"], where={"k": {"$gt": 0}}),
    "vector.client.Collection.peek": given(chroma),
    "vector.client.Collection.query": given(chroma, [VECTORS[0], VECTORS[0]]),
    "vector.client.Collection.delete": given(chroma, ["nobody"]),
    "vector.client.Collection.modify": given(chroma, metadata={"k": 1}),
}


def public_functions() -> dict[str, Callable[..., Any]]:
    """What the application may call, by its full name; methods on an instance of their class."""
    rooms = [f"{domain}.{room}" for domain in settings.DOMAINS for room in ROOMS]
    rooms.append("stillme.ops.store_health")
    found = dict(each for room in rooms if find_spec(room) for each in _of_module(room))
    return {name: function for name, function in found.items() if name not in REFUSED}


def _of_module(name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    module = import_module(name)
    own = {key for key, value in vars(module).items() if getattr(value, "__module__", "") == name}
    for key in sorted(own | set(getattr(module, "__all__", ()))):
        value = getattr(module, key)
        if inspect.isfunction(value) and not key.startswith("_"):
            yield f"{name}.{key}", value
        elif inspect.isclass(value) and not key.startswith("_"):
            yield from _of_class(f"{name}.{key}", value)


def _of_class(name: str, kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for key, value in vars(kind).items():
        if inspect.isfunction(value) and not key.startswith("_"):
            yield f"{name}.{key}", value if kind in MADE_BY_OTHERS else getattr(kind(), key)


def prepare() -> None:
    """What the calls refer to."""
    TierMetric.objects.create(item_id=ITEM, tier="L0", surprise_score=0.9, retrieval_count_7d=90)
    vectors.add(vectors.create_collection("things"), ["a"], VECTORS, ["text"], [{"k": 1}])
    knowledge_item()
    accuracy.response_score(question="q", actual_answer="a")


def call(name: str, function: Callable[..., Any]) -> Any:
    """The function's answer to its line of arguments."""
    arguments, named = CALLS[name]
    return function(
        *(a() if inspect.isfunction(a) else a for a in arguments),
        **{key: a() if inspect.isfunction(a) else a for key, a in named.items()},
    )
