"""List metadata, as Chroma writes it since 2026: read, loaded, proven, filtered."""

from __future__ import annotations

import json

import pytest
from django.db import connection

from stillme.transfer.models import KeptCell, QuarantinedRow
from tests.vector.chroma_files import ADD, UPDATE, ChromaFiles
from tests.vector.moving import OPEN, import_vectors, verify_vectors
from tests.vector.test_vector_import import vector
from vector import services
from vector.models import Item
from vector.services import VectorError
from vector.serving.filters import FilterError

pytestmark = pytest.mark.django_db

COLUMNS = {bool: "bool_value", int: "int_value", float: "float_value", str: "string_value"}
TABLE = (
    "CREATE TABLE embedding_metadata_array (id INTEGER NOT NULL REFERENCES embeddings(id),"
    " key TEXT NOT NULL, string_value TEXT, int_value INTEGER, float_value REAL,"
    " bool_value INTEGER)"
)


@pytest.fixture
def modern(tmp_path):
    files = ChromaFiles(tmp_path / "vector_db", "1.x")
    files.db.execute(TABLE)
    return files


def put(files, key, name, *values, column=None):
    """Elements of a list in the table, as Chroma writes them."""
    (row,) = files.db.execute("SELECT id FROM embeddings WHERE embedding_id = ?", (key,)).fetchone()
    for value in values:
        files.db.execute(
            "INSERT INTO embedding_metadata_array (id, key, "
            f"{column or COLUMNS.get(type(value), 'float_value')}) VALUES (?, ?, ?)",
            (row, name, value),
        )


LISTS = {
    "texts": ["b", "a", "b", "đạo đức", "", "7"],
    "integers": [3, 1, 2**62],
    "reals": [1.0, 0.1, 1e16, 1.5e300],
    "flags": [True, False, True],
}


@pytest.mark.parametrize("applied", [True, False], ids=["tables", "queue"])
def test_lists_are_carried_with_their_order_and_types(modern, applied):
    made = modern.collection("c")
    made.write(ADD, "plain", vector(1), "d", {"n": 1})
    if applied:
        made.write(ADD, "lists", vector(2), "d", {"n": 2})
        for name, values in LISTS.items():
            put(modern, "lists", name, *values)
    else:
        made.write(ADD, "lists", vector(2), "d", {"n": 2, **LISTS}, apply=False)
    assert import_vectors(modern.close()).conserved
    found = Item.objects.get(embedding_id="lists").metadata
    assert json.dumps(found, sort_keys=True) == json.dumps({"n": 2, **LISTS}, sort_keys=True)
    assert verify_vectors(modern.folder) == []


def test_a_list_takes_a_values_place_and_the_other_way_round(modern):
    made = modern.collection("c")
    made.write(ADD, "k", vector(1), "d", {"a": 1, "b": 2, "c": 3})
    put(modern, "k", "listed", 1, 2)
    made.write(UPDATE, "k", None, None, {"a": [1, 2], "listed": "one", "c": None}, apply=False)
    import_vectors(modern.close())
    assert Item.objects.get().metadata == {"a": [1, 2], "b": 2, "listed": "one"}
    assert verify_vectors(modern.folder) == []


def test_what_jsonb_cannot_hold_of_a_list_is_repaired(modern):
    made = modern.collection("c")
    made.write(ADD, "inf", vector(1), "d")
    put(modern, "inf", "x", 1.0, float("inf"))
    made.write(ADD, "nul", vector(2), "d", {"x": ["a\0b", "c"], "z": [-0.0]}, apply=False)
    # A NaN leaves an element without a value.
    made.write(ADD, "nan", vector(3), "d", {"x": [float("nan"), 2.0]}, apply=False)
    assert import_vectors(modern.close()).tables[0].outcome.repaired == 2
    found = dict(Item.objects.values_list("embedding_id", "metadata"))
    assert found == {
        "inf": {"x": [1.0, None]}, "nul": {"x": ["a\ufffdb", "c"], "z": [0.0]},
        "nan": {"x": [None, 2.0]},
    }  # fmt: skip
    assert {cell.key for cell in KeptCell.objects.all()} == {"inf", "nul"}
    assert verify_vectors(modern.folder) == []
    assert services.get(services.get_collection("c"), ["nan"])[0].metadata == {"x": [2.0]}


ELEMENT = "INSERT INTO embedding_metadata_array VALUES "
VALUE = "UPDATE embedding_metadata SET"
UNAPPLIED = "; DELETE FROM max_seq_id"
HOSTILE = {
    "two values in an element": ELEMENT + "(1, 'x', 'a', 1, NULL, NULL)",
    "two values in a row": VALUE + " float_value = 2.5 WHERE key = 'n'",
    "a list and a value": ELEMENT + "(1, 'n', 'a', NULL, NULL, NULL)",
    "a blob element": ELEMENT + "(1, 'x', x'00', NULL, NULL, NULL)",
    "a blob": VALUE + " string_value = x'01', int_value = NULL WHERE key = 'n'",
    "a boolean that is none": VALUE + " bool_value = 7, int_value = NULL WHERE key = 'n'",
    "a key that is none": VALUE + " key = x'01' WHERE key = 'n'",
    "a document that is a list": ELEMENT + "(1, 'chroma:document', 'a', NULL, NULL, NULL)",
    "a document that is a number": (
        VALUE + " int_value = 1, string_value = NULL WHERE key = 'chroma:document'"
    ),
    "a list in a list": (
        "UPDATE embeddings_queue SET metadata = '{\"x\": [[1]]}'" + UNAPPLIED
    ),
    "an object in a list": (
        "UPDATE embeddings_queue SET operation = 2, metadata = '{\"x\": [{}]}'" + UNAPPLIED
    ),
}  # fmt: skip


@pytest.mark.slow_after(3)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_row_is_set_aside_with_what_it_holds(modern, name):
    made = modern.collection("c")
    made.write(1 if "list in" in name else ADD, "k", vector(1), "d", {"n": 1})
    if "list in" in name:
        modern.db.execute("UPDATE embeddings_queue SET operation = 2")
    modern.db.executescript(HOSTILE[name])
    result = import_vectors(modern.close())
    assert result.conserved
    assert result.tables[0].outcome.quarantined == 1
    row = QuarantinedRow.objects.get()
    assert row.reason == "bad_metadata"
    assert {f.kind for f in verify_vectors(modern.folder)} == {OPEN}
    row.status = "accepted"
    row.save()
    assert verify_vectors(modern.folder) == []


PLANTED = {
    "order": '["b", "a"]',
    "an element less": '["a"]',
    "a type": "[1, 2]",
    "a value for a list": '"a"',
    "an element more": '["a", "b", "b"]',
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", PLANTED)
def test_a_changed_list_is_found(modern, name):
    made = modern.collection("c")
    made.write(ADD, "k", vector(1), "d")
    put(modern, "k", "tags", "a", "b")
    import_vectors(modern.close())
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE vector.items SET metadata = jsonb_set(metadata, '{tags}', %s)", [PLANTED[name]]
        )
    (finding,) = verify_vectors(modern.folder)
    assert (finding.where, finding.key) == ("vector.items:metadata", "k")
    assert "'tags'" in finding.note


METADATA = {
    "s": {"k": ["a", "b"]}, "i": {"k": [1, 2]}, "f": {"k": [1.0, 2.5]}, "b": {"k": [True, False]},
    "sc": {"k": "a"}, "one": {"k": 1}, "no": {"z": 1}, "dup": {"k": ["b", "a", "b"]},
}  # fmt: skip
# What chromadb 1.5.9 answers to the same questions on the same items.
WHERE = [
    ({"k": {"$contains": "a"}}, "s dup"),
    ({"k": {"$contains": "c"}}, ""),
    ({"k": {"$contains": ""}}, ""),
    ({"k": {"$contains": 1}}, "i"),
    ({"k": {"$contains": 1.0}}, "f"),
    ({"k": {"$contains": 2.5}}, "f"),
    ({"k": {"$contains": 2}}, "i"),
    ({"k": {"$contains": True}}, "b"),
    ({"k": {"$contains": False}}, "b"),
    ({"k": {"$not_contains": "a"}}, "i f b sc one no"),
    ({"k": {"$not_contains": 1}}, "s f b sc one no dup"),
    ({"k": {"$not_contains": 1.0}}, "s i b sc one no dup"),
    ({"k": {"$not_contains": True}}, "s i f sc one no dup"),
    ({"k": "a"}, "sc"),
    ({"k": {"$ne": "a"}}, "s i f b one no dup"),
    ({"k": 1}, "one"),
    ({"k": {"$gt": 0}}, "one"),
    ({"k": {"$lt": 3}}, "one"),
    ({"k": {"$in": ["a"]}}, "sc"),
    ({"k": {"$nin": ["a"]}}, "s i f b one no dup"),
]


@pytest.mark.parametrize(("where", "expected"), WHERE, ids=str)
def test_filters_on_lists_answer_as_chroma_does(where, expected):
    made = services.create_collection("lists")
    services.add(made, list(METADATA), [[1.0, 2.0]] * 8, None, list(METADATA.values()))
    assert [r.id for r in services.get(made, where=where)] == expected.split()


@pytest.mark.parametrize("bad", [[], [1, "a"], [1, 1.5], [True, 1], [[1]], [None], ["\0"]], ids=str)
def test_a_list_that_chroma_refuses_is_refused(bad):
    made = services.create_collection("lists")
    with pytest.raises(VectorError):
        services.add(made, ["x"], [[1.0]], None, [{"k": bad}])


def test_a_list_contains_one_value_not_several():
    made = services.create_collection("lists")
    with pytest.raises(FilterError):
        services.get(made, where={"k": {"$contains": ["a"]}})


def test_update_sets_and_takes_away_lists():
    made = services.create_collection("lists")
    services.add(made, ["x"], [[1.0]], None, [{"a": [1, 2], "b": "t"}])
    services.update(made, ["x"], metadatas=[{"a": "t", "b": ["u"]}])
    assert services.get(made)[0].metadata == {"a": "t", "b": ["u"]}
    services.update(made, ["x"], metadatas=[{"b": None}])
    assert services.get(made)[0].metadata == {"a": "t"}
