"""What the adapter of ChromaDB's client does beyond what chromadb can be asked."""

from __future__ import annotations

import pytest
from django.db import connection

from vector import services
from vector.client import Collection, PersistentClient, Settings
from vector.client.errors import ChromaError, InvalidArgumentError, NotFoundError
from vector.serving import collections

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return PersistentClient(path="./vector_db", settings=Settings(allow_reset=True))


@pytest.fixture
def things(client):
    made = client.create_collection("things", metadata={"hnsw:space": "cosine", "hnsw:M": 32})
    made.add(["a", "b"], [[1, 0], [0, 1]], [{"k": 1}, {"s": "x"}], ["first", "second"])
    return made


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("add", {"ids": "x", "documents": "text"}),
        ("upsert", {"ids": "x", "documents": "text"}),
        ("update", {"ids": "a", "documents": "text"}),
        ("query", {"query_texts": "text"}),
    ],
    ids=str,
)
def test_texts_without_an_embedding_function_are_refused_in_a_sentence(things, method, arguments):
    with pytest.raises(ValueError, match="give the client's get_collection an embedding_function"):
        getattr(things, method)(**arguments)
    assert things.get(include=["documents"])["documents"] == ["first", "second"]


def test_any_function_of_texts_will_do(client, things):
    lengths = client.get_collection(
        "things", embedding_function=lambda ts: [[len(t), 1] for t in ts]
    )
    lengths.add(ids="c", documents="third")
    assert things.get("c", include=["embeddings"])["embeddings"].tolist() == [[5, 1]]
    short = client.get_collection("things", embedding_function=lambda texts: [[1, 2]])
    with pytest.raises(InvalidArgumentError, match="made 1 vector of 2 texts"):
        short.query(query_texts=["one", "two"])


UNUSABLE = [
    {"where": {"s": "a\0"}}, {"where": {"s\0": {"$gt": 1}}}, {"where": {"s": {"$in": ["\ud800"]}}},
    {"where": {1: 1}}, {"where": {"k": {"$lt": float("inf")}}},
    {"where_document": {"$contains": "\0"}}, {"where_document": {"$regex": "("}},
    {"limit": 10**30}, {"offset": -1}, {"limit": "3"},
    {"ids": [None]}, {"ids": ("a", "b")}, {"include": None},
]  # fmt: skip


@pytest.mark.parametrize("arguments", UNUSABLE, ids=str)
def test_what_cannot_be_asked_is_refused_in_a_sentence(things, arguments):
    with pytest.raises(InvalidArgumentError, match=r"^[A-Za-z_].*\.$"):
        things.get(**arguments)


def test_a_query_among_what_is_no_id_is_refused(things):
    with pytest.raises(InvalidArgumentError, match="not 1"):
        things.query([1, 0], ids=[1])


def test_an_id_that_cannot_be_is_not_there(things):
    assert things.get(["a", "b\0", "\ud800", "x" * 9000])["ids"] == ["a"]
    things.delete(["b\0"])
    assert things.query([1, 0], ids=["b\0", "b"])["ids"] == [["b"]]
    with pytest.raises(InvalidArgumentError, match="longer than 2000 bytes"):
        things.add("x" * 2001, [1, 2])


@pytest.mark.parametrize("first", [True, False], ids=["without items", "with items"])
def test_a_collection_that_is_deleted_meanwhile_is_not_found(client, monkeypatch, first):
    kept = client.create_collection("kept")
    if not first:
        kept.add("a", [1, 2])
    row = services.get_collection("kept")
    client.delete_collection("kept")
    monkeypatch.setattr(Collection, "_fresh", lambda self: row)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no commit in a test
    with pytest.raises(NotFoundError):
        kept.add("b", [1, 2])


def test_of_two_that_make_a_collection_both_have_it(client, monkeypatch):
    """The second looks before the first has made it."""
    there = client.create_collection("things", metadata={"n": 1})
    looks = iter([True])

    def not_there_yet(name, **place):
        if next(looks, False):
            raise services.CollectionMissing(name)
        return services.get_collection(name, **place)

    monkeypatch.setattr(collections, "get_collection", not_there_yet)
    assert client.get_or_create_collection("things", metadata={"n": 2}) == there


def test_reset_deletes_nothing_whatever_the_settings_say(client, things):
    with pytest.raises(ChromaError, match="delete_collection"):
        client.reset()
    assert things.count() == 2


@pytest.mark.parametrize("given", [{"schema": {}}, {"data_loader": len}], ids=str)
def test_what_has_no_place_here_is_refused(client, given):
    with pytest.raises(InvalidArgumentError, match="no place here"):
        client.get_or_create_collection("new", **given)
    assert client.count_collections() == 0
