"""Search in the vector services: neighbours and distances, with and without pgvector's index."""

from __future__ import annotations

import math
import random

import pytest
from django.db import connection, transaction

from vector import services
from vector.models import Collection, Item
from vector.services import VectorError
from vector.serving import indexes, search
from vector.serving import pgvector as extension

pytestmark = pytest.mark.django_db


def cloud(metric: str, count: int = 300, dimension: int = 8) -> Collection:
    rng = random.Random(metric)
    made = services.create_collection(f"cloud_{metric}", metric=metric)
    vectors = [[rng.gauss(0, 1) for _ in range(dimension)] for _ in range(count)]
    services.add(
        made, [f"v{n}" for n in range(count)], vectors, None, [{"n": n} for n in range(count)]
    )
    return made


def brute(collection: Collection, query: list[float], count: int) -> list[tuple[str, float]]:

    items = Item.objects.filter(collection=collection)
    far = [(i.embedding_id, distance(collection.metric, query, i.embedding)) for i in items]
    return sorted(far, key=lambda pair: pair[1])[:count]


def distance(metric: str, one: list[float], two: list[float]) -> float:
    """Chroma's definition, in double precision."""
    if metric == "l2":
        return sum((x - y) ** 2 for x, y in zip(one, two, strict=True))
    product = sum(x * y for x, y in zip(one, two, strict=True))
    return 1 - (product if metric == "ip" else product / (math.hypot(*one) * math.hypot(*two)))


QUERY = [0.5, -1.0, 0.25, 0.0, 1.0, -0.5, 0.75, 2.0]


@pytest.fixture
def pgvector() -> None:
    """For what only a server with pgvector can show."""
    if indexes.ensure_extension():
        pytest.skip("no pgvector on this server: the embedded one has it")


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
@pytest.mark.parametrize("way", ["plain", "exact", "index"])
def test_nearest_neighbours_and_chromas_distances(metric, way, monkeypatch, request):
    if way != "plain":
        request.getfixturevalue("pgvector")
    made = cloud(metric)
    if way == "plain":
        monkeypatch.setattr(extension, "installed", lambda alias="default": None)
    elif way == "exact":
        assert indexes.ensure_extension() == ""
    else:
        assert indexes.ensure_index(made).endswith("built.")
    found = services.query(made, QUERY, 10, exact=way == "exact")
    expected = brute(made, QUERY, 10)
    assert [r.id for r in found] == [key for key, _ in expected]
    for record, (_, distance) in zip(found, expected, strict=True):
        assert record.distance == pytest.approx(distance, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_the_index_is_used_and_an_exact_query_does_not_use_it(metric, pgvector):
    made = cloud(metric)
    assert indexes.ensure_index(made).endswith("built.")
    assert indexes.ensure_index(made).endswith("is there.")
    name = indexes.index_name(made)
    assert name in services.search_state(made)
    assert name in plan(made, exact=False)
    assert name not in plan(made, exact=True)


def plan(collection: Collection, *, exact: bool) -> str:
    ranked = Item.objects.filter(collection_id=collection.pk).annotate(
        distance=search.distance_of(collection, QUERY, exact=exact)
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        return str(ranked.order_by("distance")[:10].explain())


def test_filtered_search_gives_as_many_as_there_are():
    made = cloud("l2", 400)
    indexes.ensure_index(made)
    found = services.query(made, QUERY, 10, where={"n": {"$lt": 12}})
    assert len(found) == 10
    assert all(record.metadata["n"] < 12 for record in found)
    assert len(services.query(made, QUERY, 10, where={"n": {"$lt": 3}})) == 3
    assert services.query(made, QUERY, 5, where={"n": -1}) == []


def test_more_results_than_the_index_can_give_are_exact():
    made = cloud("l2", 1100, 2)
    indexes.ensure_index(made)
    assert len(services.query(made, [0.0, 0.0], 1050)) == 1050


def test_a_new_metric_or_dimension_gets_a_new_index(pgvector):
    made = cloud("l2")
    indexes.ensure_index(made)
    made.metric = "cosine"
    made.save()
    assert not indexes.has_index(made)
    assert indexes.ensure_index(made).endswith("built.")
    assert indexes.has_index(made)


def test_vectors_that_pgvector_refuses_are_still_searched(pgvector):
    """An imported real[] may hold a NaN."""
    made = cloud("l2", 20)
    Item.objects.filter(embedding_id="v3").update(embedding=[math.nan] * 8)
    state = indexes.ensure_index(made)
    assert state.startswith("No index")
    assert "NaN" in state
    found = services.query(made, QUERY, 20, embeddings=True)
    assert len(found) == 20
    assert found[0].embedding is not None
    assert found[-1].id == "v3"


def test_without_pgvector_everything_says_so(monkeypatch, collection):
    monkeypatch.setattr(extension, "installed", lambda alias="default": None)
    monkeypatch.setattr(indexes, "extension_state", lambda alias="default": "absent")
    assert "no pgvector" in indexes.ensure_index(collection)
    assert "pgvector is absent" in services.search_state(collection)
    assert [r.id for r in services.query(collection, [0, 0, 1], 3)] == ["int1", "float1", "true"]


def test_a_build_that_shared_memory_is_too_small_for_is_done_alone(monkeypatch, pgvector):
    from django.db import DatabaseError

    made = cloud("l2", 30)
    build, asked = indexes._build, []

    def fail_in_parallel(collection, alias, rows, workers, *, replace):
        asked.append(workers)
        if workers:
            raise DatabaseError("could not resize shared memory segment")
        build(collection, alias, rows, workers, replace=replace)

    monkeypatch.setattr(indexes, "PARALLEL_ROWS", 10)
    monkeypatch.setattr(indexes, "_build", fail_in_parallel)
    assert indexes.ensure_index(made).endswith("built.")
    assert asked == [2, 0]
    assert indexes.build_megabytes(100, 384) == 64
    assert 200 < indexes.build_megabytes(100_000, 384) < 400
    assert indexes.build_megabytes(10_000_000, 384) == 1024


def test_too_many_dimensions_for_an_index_is_a_sentence():
    made = services.create_collection("wide", dimension=2001)
    assert "2000" in indexes.ensure_index(made)


def test_query_checks_what_it_gets(collection):
    for embedding, count in (([1, 2], 3), ([1, 2, math.nan], 3), ([1, 2, 3], 0)):
        with pytest.raises(VectorError):
            services.query(collection, embedding, count)


def test_zero_vector_has_cosine_distance_one(monkeypatch, pgvector):
    made = services.create_collection("zero", metric="cosine")
    services.add(made, ["zero", "near"], [[0, 0], [1, 0]])
    assert indexes.ensure_extension() == ""
    assert [(r.id, r.distance) for r in services.query(made, [1, 0])] == [("near", 0), ("zero", 1)]
    monkeypatch.setattr(extension, "installed", lambda alias="default": None)
    assert [(r.id, r.distance) for r in services.query(made, [1, 0])] == [("near", 0), ("zero", 1)]


@pytest.mark.parametrize("known", [None, 3])
def test_a_new_collection_has_its_index_without_anybody_asking(
    pgvector, known, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        made = services.create_collection("fresh", metric="cosine", dimension=known)
    assert indexes.has_index(made) == (known is not None)
    with django_capture_on_commit_callbacks(execute=True):
        services.add(made, ["a"], [[1.0, 2.0, 3.0]])
    assert indexes.has_index(made)
    with django_capture_on_commit_callbacks() as later:
        services.add(made, ["b"], [[1.0, 2.0, 4.0]])
    assert later == []
    indexes.drop_index(made)
    assert "build_index" in services.search_state(made)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert services.build_index(made).endswith("built.")


def test_deleted_neighbours_leave_room_for_the_others(pgvector):
    made = services.create_collection("many")
    services.add(made, [f"k{n:03}" for n in range(300)], [[float(n), 0.0] for n in range(300)])
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert indexes.ensure_index(made).endswith("built.")
    services.delete(made, [f"k{n:03}" for n in range(200)])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    found = services.query(made, [0.0, 0.0], 5)
    assert [record.id for record in found] == [f"k{n:03}" for n in range(200, 205)]


def test_the_orm_searches_through_the_index(pgvector):
    from django.db.models.functions import Cast
    from pgvector.django import CosineDistance, VectorField

    made = cloud("cosine")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert indexes.ensure_index(made).endswith("built.")
    stored = Cast("embedding", VectorField(dimensions=len(QUERY)))
    distance = CosineDistance(stored, QUERY)
    near = made.items.annotate(distance=distance).order_by("distance")[:10]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    assert indexes.index_name(made) in near.explain()
    assert [item.embedding_id for item in near] == [r.id for r in services.query(made, QUERY, 10)]
