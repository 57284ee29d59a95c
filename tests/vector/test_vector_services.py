"""What the application calls: collections in Chroma's shapes, with its filters."""

from __future__ import annotations

import math
from array import array
from threading import Thread

import pytest
from django.db import connection, transaction

from vector import services
from vector.models import Item
from vector.services import VectorError
from vector.serving import indexes, upserting
from vector.serving.filters import FilterError

pytestmark = pytest.mark.django_db


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
    values = {"a": 1.0, "b": 1, "c": 1e22, "d": 1e-7, "e": False, "f": 1e16, "g": [-1e16, 2.5]}
    services.add(collection, ["typed"], [[0, 0, 0]], None, [values])
    for change in (
        lambda: None,
        lambda: services.upsert(collection, ["typed"], [[0, 0, 0]], None, [values]),
        lambda: services.update(collection, ["typed"], metadatas=[values]),
    ):
        change()
        found = services.get(collection, ["typed"])[0].metadata
        assert {k: repr(v) for k, v in found.items()} == {k: repr(v) for k, v in values.items()}
    # jsonb has no negative zero, and what SQLite kept of Chroma's had no sign either.
    services.update(collection, ["typed"], metadatas=[{"zero": -0.0}])
    assert repr(services.get(collection, ["typed"])[0].metadata["zero"]) == "0.0"
    made = services.create_collection("floats", metadata=values)
    assert repr(services.get_collection(made.name).metadata["f"]) == "1e+16"


def test_conditions_within_conditions_have_a_limit(collection):
    where, document = {"k": 5}, {"$contains": "xy"}
    for _ in range(99):
        where, document = {"$and": [where]}, {"$or": [document]}
    assert [r.id for r in services.get(collection, where=where, where_document=document)] == [
        "int5"
    ]
    for deeper in ({"where": {"$or": (where,)}}, {"where_document": {"$and": [document]}}):
        with pytest.raises(FilterError, match="nested too deep"):
            services.query(collection, [0, 0, 0], **deeper)


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
        ((["a"], [[1, 2, 3]], None, [{"k": [{}]}]), "no text, number or boolean"),
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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("theirs", [None, {"theirs": 1}], ids=["without metadata", "with metadata"])
def test_an_upsert_merges_with_what_another_adds_meanwhile(monkeypatch, theirs):
    """The other adds its item after this call has looked, and before it writes."""
    things = services.create_collection("things")
    services.add(things, ["first"], [[0.0, 1.0]])
    look = upserting._locked

    def look_and_wait(*arguments):
        found = look(*arguments)
        monkeypatch.setattr(upserting, "_locked", look)
        another = Thread(target=add_from_elsewhere)
        another.start()
        another.join()
        return found

    def add_from_elsewhere():
        services.add(things, ["a"], [[1.0, 1.0]], ["their text"], [theirs])
        connection.close()

    monkeypatch.setattr(upserting, "_locked", look_and_wait)
    services.upsert(things, ["a", "b"], [[2.0, 2.0], [3.0, 3.0]], None, [{"ours": 2}, None])
    a, b = services.get(things, ["a", "b"], embeddings=True)
    assert (a.document, a.metadata) == ("their text", {"ours": 2, **(theirs or {})})
    assert (a.embedding, b.embedding) == ([2.0, 2.0], [3.0, 3.0])


def test_an_upsert_that_changes_only_a_type_is_written(collection):
    for value in (1, True, 1.0):
        services.upsert(collection, ["int1"], [[0.0, 0.0, 1.0]], None, [{"k": value}])
        found = services.get(collection, ["int1"])[0].metadata["k"]
        assert (found, type(found)) == (value, type(value))


@pytest.mark.django_db(transaction=True)
def test_a_dimension_of_an_add_that_failed_is_not_kept():
    things = services.create_collection("things")
    with pytest.raises(VectorError):
        services.add(things, ["a", "b"], [[1.0, 2.0, 3.0], [1.0, 2.0]])
    with pytest.raises(VectorError), transaction.atomic():
        services.add(things, ["a"], [[1.0, 2.0, 3.0]])
        assert services.query(things, [1.0, 2.0, 3.0])[0].id == "a"
        raise VectorError("the caller's own")
    assert services.query(things, [1.0, 2.0, 3.0]) == []
    services.add(things, ["a"], [[1.0, 2.0]])
    for each in (things, services.get_collection("things")):
        assert each.dimension == 2
        assert [found.id for found in services.query(each, [1.0, 2.0])] == ["a"]
        assert indexes.has_index(each) == (indexes.extension_state() == "installed")


def test_an_object_that_was_there_before_the_first_item_finds_it(collection):
    there = services.create_collection("others")
    services.add(services.get_collection("others"), ["a"], [[1.0, 2.0]])
    assert services.query(there, [1.0, 2.0])[0].id == "a"
    assert services.update(there, ["a"], [[2.0, 2.0]]) == 1
