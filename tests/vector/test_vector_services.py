"""What the application calls: Chroma's shapes, filters and distances, with and without pgvector."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from django.db import connection, transaction

from vector import indexes, search, services
from vector.filters import FilterError
from vector.models import Collection, Item
from vector.services import VectorError

pytestmark = pytest.mark.django_db

METADATA = {
    "int1": {"k": 1}, "float1": {"k": 1.0}, "true": {"k": True}, "str1": {"k": "1"},
    "none": {"o": "z"}, "int5": {"k": 5}, "f2.5": {"k": 2.5}, "seven": {"k": 7},
}  # fmt: skip
DOCUMENTS = {
    "int1": "Hello World", "float1": "hello world", "true": "Ünïcode 50% under_score",
    "str1": "abc", "none": "", "int5": "xy", "f2.5": "ab.c", "seven": "",
}  # fmt: skip


@pytest.fixture
def collection():
    made = services.create_collection("things", metric="l2")
    ids = list(METADATA)
    services.add(
        made,
        ids,
        [[float(n), 0.0, 1.0] for n in range(len(ids))],
        [DOCUMENTS[key] for key in ids],
        [METADATA[key] for key in ids],
    )
    services.add(made, ["nodoc"], [[1.0, 2.0, 3.0]], None, [{"q": 1}])
    return made


# What chromadb 1.4.1 answers to the same questions on the same items.
WHERE = [
    ({"k": 1}, "int1 float1"),
    ({"k": 1.0}, "int1 float1"),
    ({"k": True}, "true"),
    ({"k": "1"}, "str1"),
    ({"k": {"$ne": 1}}, "true str1 none int5 f2.5 seven nodoc"),
    ({"k": {"$gt": 1}}, "int5 f2.5 seven"),
    ({"k": {"$gte": 1}}, "int1 float1 int5 f2.5 seven"),
    ({"k": {"$lt": 2.6}}, "int1 float1 f2.5"),
    ({"k": {"$lte": 1}}, "int1 float1"),
    ({"k": {"$in": [1, 5]}}, "int1 float1 int5"),
    ({"k": {"$in": [True]}}, "true"),
    ({"k": {"$nin": [1, 5]}}, "true str1 none f2.5 seven nodoc"),
    ({"k": {"$nin": ["1"]}}, "int1 float1 true none int5 f2.5 seven nodoc"),
    ({"missing": {"$ne": 1}}, "int1 float1 true str1 none int5 f2.5 seven nodoc"),
    ({"$and": [{"k": 1}, {"k": {"$ne": 5}}]}, "int1 float1"),
    ({"$or": [{"k": 1}, {"o": "z"}]}, "int1 float1 none"),
]
WHERE_DOCUMENT = [
    ({"$contains": "hello"}, "float1"),
    ({"$contains": "50%"}, "true"),
    ({"$contains": "r_s"}, "true"),
    ({"$contains": "ünï"}, ""),
    ({"$not_contains": "hello"}, "int1 true str1 none int5 f2.5 seven nodoc"),
    ({"$and": [{"$contains": "hello"}, {"$not_contains": "World"}]}, "float1"),
    ({"$or": [{"$contains": "abc"}, {"$contains": "xy"}]}, "str1 int5"),
    ({"$regex": "^h.*d$"}, "float1"),
    ({"$not_regex": "^h"}, "int1 true str1 none int5 f2.5 seven nodoc"),
]


@pytest.mark.parametrize(("where", "expected"), WHERE, ids=str)
def test_where_answers_as_chroma_does(collection, where, expected):
    assert [r.id for r in services.get(collection, where=where)] == expected.split()


@pytest.mark.parametrize(("where", "expected"), WHERE_DOCUMENT, ids=str)
def test_where_document_answers_as_chroma_does(collection, where, expected):
    found = services.get(collection, where_document=where)
    assert [r.id for r in found] == expected.split()


@pytest.mark.parametrize(
    "where",
    [
        {}, {"a": 1, "b": 2}, {"k": None}, {"k": {"$foo": 1}}, {"$not": {"k": 1}},
        {"k": {"$gt": "a"}}, {"k": {"$gt": True}}, {"k": {"$in": []}}, {"k": {"$in": 1}},
        {"$and": []}, {"k": {"$gt": 1, "$lt": 6}}, {"k": math.nan}, {"k": {"$eq": [1]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_where_that_is_none_is_refused_in_a_sentence(collection, where):
    with pytest.raises(FilterError, match=r"\w"):
        services.get(collection, where=where)


@pytest.mark.parametrize("where", [{}, {"$contains": ""}, {"$like": "x"}, {"$contains": 3}])
def test_a_where_document_that_is_none_is_refused(collection, where):
    with pytest.raises(FilterError):
        services.get(collection, where_document=where)


def test_keys_and_values_cannot_break_out_of_a_filter(collection):
    for key in ('a"b', "a'b", "a.b", "k ? (@ > 0)", "ü", "%s"):
        services.add(collection, [key], [[0.0, 0.0, 0.0]], None, [{key: 5}])
        assert [r.id for r in services.get(collection, where={key: {"$gt": 4}})] == [key]
        assert [r.id for r in services.get(collection, where={key: 5})] == [key]


def test_get_by_id_limit_and_offset(collection):
    assert [r.id for r in services.get(collection, ["nodoc", "zz", "int1"])] == ["int1", "nodoc"]
    assert [r.id for r in services.get(collection, limit=2, offset=1)] == ["float1", "true"]
    assert services.get(collection, []) == []
    with pytest.raises(VectorError):
        services.get(collection, limit=-1)
    assert services.get(collection, ["true"])[0].embedding is None
    (record,) = services.get(collection, ["true"], embeddings=True)
    assert (record.document, record.metadata, record.embedding) == (
        "Ünïcode 50% under_score", {"k": True}, [2.0, 0.0, 1.0],
    )  # fmt: skip


def test_a_value_that_chroma_lost_is_missing_as_in_chroma(collection):
    Item.objects.filter(embedding_id="int1").update(metadata={"k": None, "z": 1})
    assert services.get(collection, ["int1"])[0].metadata == {"z": 1}


def test_add_leaves_what_exists_and_upsert_merges(collection):
    assert services.add(collection, ["int1"], [[9, 9, 9]], ["new"], [{"k": 99}]) == 0
    assert services.get(collection, ["int1"])[0].metadata == {"k": 1}
    services.upsert(collection, ["int1", "fresh"], [[9, 9, 9], [8, 8, 8]], None, [{"z": 1}, None])
    (record,) = services.get(collection, ["int1"], embeddings=True)
    assert (record.document, record.metadata, record.embedding) == (
        "Hello World", {"k": 1, "z": 1}, [9.0, 9.0, 9.0],
    )  # fmt: skip
    assert services.count(collection) == 10


def test_float_metadata_keeps_its_type(collection):
    values = {"a": 1.0, "b": 1, "c": 1e22, "d": 1e-7, "e": False}
    services.add(collection, ["typed"], [[0, 0, 0]], None, [values])
    found = services.get(collection, ["typed"])[0].metadata
    assert {k: (type(v), v) for k, v in found.items()} == {
        k: (type(v), v) for k, v in values.items()
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "a"], [[1, 2, 3]] * 2), "twice"),
        (([""], [[1, 2, 3]]), "no id"),
        ((["a"], [[1, 2]]), "dimensions"),
        ((["a"], [[1, 2, math.nan]]), "finite"),
        ((["a"], [[1, 2, "x"]]), "float32"),
        ((["a", "b"], [[1, 2, 3]]), "one length"),
        ((["a"], [[1, 2, 3]], ["do\0c"]), "NUL"),
        ((["a"], [[1, 2, 3]], None, [{"k": [1]}]), "no text, number or boolean"),
        ((["a"], [[1, 2, 3]], None, [{"k": math.inf}]), "not finite"),
        ((["a"], [[1, 2, 3]], None, [{"k": "\0"}]), "NUL"),
    ],
)
def test_what_cannot_be_added_is_refused_in_a_sentence(collection, arguments, message):
    with pytest.raises(VectorError, match=message):
        services.add(collection, *arguments)
    assert services.count(collection) == 9


def test_delete(collection):
    assert services.delete(collection, ["int1", "nope"]) == 1
    assert services.delete(collection, where={"k": {"$gt": 2}}) == 3
    assert services.count(collection) == 5
    with pytest.raises(VectorError, match="what to delete"):
        services.delete(collection)


def test_collections():
    made = services.create_collection("b", metric="cosine", metadata={"description": "x"})
    services.create_collection("a")
    assert [c.name for c in services.list_collections()] == ["a", "b"]
    assert services.get_collection("b").metadata == {"description": "x"}
    assert services.get_or_create_collection("b", metric="l2").metric == "cosine"
    assert services.get_or_create_collection("c").metric == "l2"
    for call in (
        lambda: services.create_collection("b"),
        lambda: services.create_collection("d", metric="manhattan"),
        lambda: services.get_collection("nobody"),
    ):
        with pytest.raises(VectorError):
            call()
    assert services.query(made, [1.0, 2.0]) == []
    services.delete_collection("b")
    assert [c.name for c in services.list_collections()] == ["a", "c"]


# --- search --------------------------------------------------------------------------------------


def cloud(metric: str, count: int = 300, dimension: int = 8) -> Collection:
    rng = random.Random(metric)
    made = services.create_collection(f"cloud_{metric}", metric=metric)
    vectors = [[rng.gauss(0, 1) for _ in range(dimension)] for _ in range(count)]
    services.add(
        made, [f"v{n}" for n in range(count)], vectors, None, [{"n": n} for n in range(count)]
    )
    return made


def brute(collection: Collection, query: list[float], count: int) -> list[tuple[str, float]]:
    from array import array

    from vector.expectation import distances

    items = list(Item.objects.filter(collection=collection))
    far = distances(collection.metric, query, [array("f", i.embedding) for i in items])
    return sorted(((i.embedding_id, d) for i, d in zip(items, far, strict=True)),
                  key=lambda pair: pair[1])[:count]  # fmt: skip


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
        monkeypatch.setattr(indexes, "installed_version", lambda alias="default": None)
    elif way == "exact":
        assert indexes.ensure_extension() == ""
    else:
        assert indexes.ensure_index(made).present
    found = services.query(made, QUERY, 10, exact=way == "exact")
    expected = brute(made, QUERY, 10)
    assert [r.id for r in found] == [key for key, _ in expected]
    for record, (_, distance) in zip(found, expected, strict=True):
        assert record.distance == pytest.approx(distance, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_the_index_is_used_and_an_exact_query_does_not_use_it(metric, pgvector):
    made = cloud(metric)
    assert indexes.ensure_index(made).sentence.endswith("built.")
    assert indexes.ensure_index(made).sentence.endswith("is there.")
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
    assert indexes.ensure_index(made).sentence.endswith("built.")
    assert indexes.has_index(made)


def test_vectors_that_pgvector_refuses_are_still_searched(pgvector):
    """An imported real[] may hold a NaN."""
    made = cloud("l2", 20)
    Item.objects.filter(embedding_id="v3").update(embedding=[math.nan] * 8)
    state = indexes.ensure_index(made)
    assert not state.present
    assert "NaN" in state.sentence
    found = services.query(made, QUERY, 20, embeddings=True)
    assert len(found) == 20
    assert found[0].embedding is not None
    assert found[-1].id == "v3"


def test_without_pgvector_everything_says_so(monkeypatch, collection):
    monkeypatch.setattr(indexes, "installed_version", lambda alias="default": None)
    monkeypatch.setattr(indexes, "extension_state", lambda alias="default": "absent")
    assert "no pgvector" in indexes.ensure_index(collection).sentence
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
    assert indexes.ensure_index(made).present
    assert asked == [2, 0]
    assert indexes.build_megabytes(100, 384) == 64
    assert 200 < indexes.build_megabytes(100_000, 384) < 400
    assert indexes.build_megabytes(10_000_000, 384) == 1024


def test_too_many_dimensions_for_an_index_is_a_sentence():
    made = services.create_collection("wide", dimension=2001)
    assert "2000" in indexes.ensure_index(made).sentence


def test_query_checks_what_it_gets(collection):
    for embedding, count in (([1, 2], 3), ([1, 2, math.nan], 3), ([1, 2, 3], 0)):
        with pytest.raises(VectorError):
            services.query(collection, embedding, count)


def test_zero_vector_has_cosine_distance_one(monkeypatch, pgvector):
    made = services.create_collection("zero", metric="cosine")
    services.add(made, ["zero", "near"], [[0, 0], [1, 0]])
    assert indexes.ensure_extension() == ""
    assert [(r.id, r.distance) for r in services.query(made, [1, 0])] == [("near", 0), ("zero", 1)]
    monkeypatch.setattr(indexes, "installed_version", lambda alias="default": None)
    assert [(r.id, r.distance) for r in services.query(made, [1, 0])] == [("near", 0), ("zero", 1)]


def test_admin_shows_collections_and_items(client, django_user_model, collection, monkeypatch):
    # Whether pgvector is installed depends on what ran before in this database.
    monkeypatch.setattr(indexes, "extension_state", lambda alias="default": "absent")
    client.force_login(django_user_model.objects.create_superuser("root", "r@example.org", "x"))
    item = Item.objects.get(embedding_id="true")
    for page, text in (
        ("collection/", "things"),
        (f"collection/{collection.pk}/change/", "searched exactly"),
        ("item/?q=hello", "float1"),
        (f"item/?collection__id__exact={collection.pk}", "int5"),
        (f"item/{item.pk}/change/", "(3 dimensions)"),
    ):
        response = client.get(f"/admin/vector/{page}")
        assert response.status_code == 200
        assert text in response.content.decode()


def test_update_changes_what_is_given_and_no_more(collection):
    before = services.get(collection, ["int5"], embeddings=True)[0]
    assert services.update(collection, ["int5", "absent"], metadatas=[{"new": 1.0}, {"x": 1}]) == 1
    assert services.update(collection, ["int5"], documents=["other"]) == 1
    (record,) = services.get(collection, ["int5"], embeddings=True)
    assert (record.document, record.metadata) == ("other", {"k": 5, "new": 1.0})
    assert record.embedding == before.embedding
    services.update(collection, ["int5"], [[7, 7, 7]], metadatas=[{"k": None}])
    (record,) = services.get(collection, ["int5"], embeddings=True)
    assert (record.embedding, record.document) == ([7.0, 7.0, 7.0], "other")
    assert record.metadata == {"new": 1.0}
    assert services.count(collection) == 9
    services.upsert(collection, ["int5"], [[7, 7, 7]], metadatas=[{"new": None}])
    assert services.get(collection, ["int5"])[0].metadata == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"embeddings": [[1, 2]]}, "2 dimensions"),
        ({"documents": ["\0"]}, "NUL"),
        ({"metadatas": [{"a": math.inf}]}, "not finite"),
        ({"metadatas": [{}, {}]}, "one length"),
    ],
)
def test_an_update_is_checked_as_an_add_is(collection, given, message):
    with pytest.raises(VectorError, match=message):
        services.update(collection, ["int5"], **given)


def test_update_keeps_the_bits_of_a_vector(collection):
    odd = [1e-45, -0.0, 0.1]
    services.update(collection, ["int5"], [odd])
    (record,) = services.get(collection, ["int5"], embeddings=True)
    assert array("f", record.embedding).tobytes() == array("f", odd).tobytes()
    assert Item.objects.get(embedding_id="int5").origin == "target"


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
    assert indexes.ensure_index(made).present
    services.delete(made, [f"k{n:03}" for n in range(200)])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    found = services.query(made, [0.0, 0.0], 5)
    assert [record.id for record in found] == [f"k{n:03}" for n in range(200, 205)]


def test_collections_of_other_tenants_are_their_own():
    ours = services.create_collection("same")
    theirs = services.create_collection("same", tenant="acme", database="shop")
    assert ours.pk != theirs.pk
    assert services.list_collections() == [ours]
    assert services.list_collections(tenant="acme", database="shop") == [theirs]
    services.delete_collection("same", tenant="acme", database="shop")
    assert services.get_collection("same") == ours


def test_embeddings_may_be_arrays_of_numpy():
    numpy = pytest.importorskip("numpy")
    made = services.create_collection("arrays")
    services.add(made, ["a", "b"], numpy.array([[1.5, 2.0], [0.0, 1.0]], "f4"))
    services.update(made, ["b"], numpy.array([[4.0, 4.0]], "f4"))
    assert [r.id for r in services.query(made, numpy.array([4.0, 4.0], "f4"), 1)] == ["b"]


def test_the_orm_searches_through_the_index(pgvector):
    from django.db.models.functions import Cast
    from pgvector.django import CosineDistance, VectorField

    made = cloud("cosine")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert indexes.ensure_index(made).present
    stored = Cast("embedding", VectorField(dimensions=len(QUERY)))
    distance = CosineDistance(stored, QUERY)
    near = made.items.annotate(distance=distance).order_by("distance")[:10]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    assert indexes.index_name(made) in near.explain()
    assert [item.embedding_id for item in near] == [r.id for r in services.query(made, QUERY, 10)]
