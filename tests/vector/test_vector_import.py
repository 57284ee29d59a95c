"""The import of a Chroma folder and its proof, on real files and a real PostgreSQL."""

from __future__ import annotations

import json
import math
import random
from array import array

import pytest
from django.db import connection

from stillme.transfer.errors import LegacyFileError, TransferError
from stillme.transfer.findings import FindingKind
from stillme.transfer.models import KeptCell, QuarantinedRow, Run, RunTable
from tests.vector.chroma_files import ADD, DELETE, UPDATE, UPSERT, ChromaFiles, floats
from vector import indexes
from vector.importing import VectorOptions, import_vectors
from vector.models import Collection, Item
from vector.verification import prove_vectors, verify_vectors

pytestmark = pytest.mark.django_db


def vector(seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(0, 2) for _ in range(4)]


def fill(files, count=30, name="stillme_knowledge", space=None):
    made = files.collection(name, space=space)
    for n in range(count):
        made.write(ADD, f"k{n:03}", vector(n), f"doc {n} xin chào", {"n": n, "real": 1.0, "s": "ü"})
    return made


@pytest.fixture(params=["0.4", "1.x"])
def files(request, tmp_path):
    return ChromaFiles(tmp_path / "vector_db", request.param)


@pytest.fixture
def modern(tmp_path):
    return ChromaFiles(tmp_path / "vector_db", "1.x")


def bits(item: Item) -> bytes:
    return array("f", item.embedding).tobytes()


@pytest.mark.parametrize("space", [None, "cosine", "ip"])
@pytest.mark.parametrize("flushed", [False, True])
def test_imports_and_proves_every_metric_and_place(files, space, flushed):
    made = fill(files, space=space)
    if flushed:
        made.flush(purge=True)
        made.write(ADD, "later", vector(99), "later")
        made.write(DELETE, "k000")
        made.write(UPDATE, "k001", vector(98), "changed", {"real": 2.5})
    result = import_vectors(files.close())
    (table,) = result.tables
    assert result.conserved
    assert (table.outcome.legacy_rows, table.outcome.loaded) == (30, 30)
    collection = Collection.objects.get()
    assert (collection.metric, collection.dimension) == (space or "l2", 4)
    assert collection.created_at is None
    proof = prove_vectors(files.folder)
    assert proof.findings == []
    (seen,) = proof.collections
    assert (seen.items.equal, seen.queries_equal) == (30, seen.queries)
    assert seen.queries > 0
    # The last row of the queue stays after a purge and has the exact bits of k029.
    near = 27 if flushed and space == "cosine" else 0
    assert (seen.items.exact_vectors, seen.items.near_vectors) == (30 - near, near)


def test_values_arrive_bit_by_bit_and_type_by_type(modern):
    made = modern.collection("hard")
    odd = [1e-45, -0.0, 3.4028234663852886e38, 0.1]
    values = {"i": 2**53 + 1, "f": 1e16, "g": 1.5e300, "b": True, "z": 0.0, "t": "01", "w": 3.0}
    made.write(ADD, "a", odd, "", values)
    made.write(ADD, "b", [math.nan, math.inf, -math.inf, 1.0], None, {"gone": math.nan})
    assert import_vectors(modern.close()).conserved
    a, b = Item.objects.order_by("embedding_id")
    assert bits(a) == floats(odd)
    assert (a.document, b.document) == ("", None)
    assert {k: (type(v), v) for k, v in a.metadata.items()} == {
        k: (type(v), v) for k, v in values.items()
    }
    assert bits(b) == floats([math.nan, math.inf, -math.inf, 1.0])
    assert b.metadata == {"gone": None}
    assert verify_vectors(modern.folder) == []
    assert not KeptCell.objects.exists()


@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_everything_works_without_numpy_and_without_pgvector(modern, monkeypatch, space):
    from vector import indexes, ranking
    from vector.chroma import segment

    monkeypatch.setattr(segment, "numpy_if_installed", lambda: None)
    monkeypatch.setattr(ranking, "numpy_if_installed", lambda: None)
    monkeypatch.setattr(indexes, "extension_state", lambda alias="default": "absent")
    with connection.cursor() as cursor:
        # Another test may have left it installed; this one rolls that back.
        cursor.execute("DROP EXTENSION IF EXISTS vector CASCADE")
    fill(modern, 12, space=space).flush(purge=True)
    result = import_vectors(modern.close())
    assert "no pgvector" in result.tables[0].index
    proof = prove_vectors(modern.folder)
    assert proof.findings == []
    (seen,) = proof.collections
    assert seen.queries == seen.queries_equal > 0
    assert seen.recall_at_10 is None


def test_column_is_real_array():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT udt_name FROM information_schema.columns WHERE table_schema = 'vector' "
            "AND table_name = 'items' AND column_name = 'embedding'"
        )
        assert cursor.fetchone() == ("_float4",)


def test_metadata_that_jsonb_cannot_hold_is_repaired_with_its_original(modern):
    made = modern.collection("c")
    made.write(ADD, "nul", vector(1), "d", {"t": "a\0b", "k\0": 1})
    # SQLite's REAL column forgets the sign of a zero; the queue's JSON does not.
    made.write(ADD, "inf", vector(2), "d", {"x": math.inf, "y": -0.0, "n": 7}, apply=False)
    made.write(ADD, "plain", vector(3), "d", {"word": "NaN e+ -0.0 Infinity"}, apply=False)
    result = import_vectors(modern.close())
    assert (result.tables[0].outcome.repaired, result.tables[0].outcome.loaded) == (2, 1)
    rows = {item.embedding_id: item.metadata for item in Item.objects.all()}
    assert rows["nul"] == {"t": "a\ufffdb", "k\ufffd": 1}
    assert rows["inf"] == {"x": None, "y": 0.0, "n": 7}
    kept = {cell.key: cell for cell in KeptCell.objects.all()}
    assert json.loads(bytes(kept["nul"].value)) == {"t": "a\0b", "k\0": 1}
    assert math.copysign(1, json.loads(bytes(kept["inf"].value))["y"]) == -1
    assert kept["nul"].table == "vector_db.c"
    assert verify_vectors(modern.folder) == []


def test_what_cannot_be_loaded_is_quarantined_whole(modern):
    made = fill(modern, 4)
    made.write(ADD, "nul", vector(9), "do\0c", {"x": 1})
    made.write(ADD, "x" * 2500, vector(8), "long id")
    made.write(ADD, "twice", vector(7), "d", {"a\0": 1, "a\ufffd": 2})
    modern.db.execute("DELETE FROM embeddings_queue WHERE id = 'k001'")
    made.write(ADD, "nobody", vector(6), apply=False)
    made.mark(made.ids, modern.seq_id)
    result = import_vectors(modern.close())
    outcome = result.tables[0].outcome
    assert result.conserved
    assert (outcome.legacy_rows, outcome.loaded, outcome.quarantined) == (8, 3, 5)
    rows = {row.reason: row for row in QuarantinedRow.objects.all()}
    assert set(rows) == {
        "nul_in_text", "id_too_long", "duplicate_keys", "no_vector", "vector_without_id",
    }  # fmt: skip
    assert all(row.file == "vector" for row in rows.values())
    assert {"vector", "document", "metadata"} <= set(rows["nul_in_text"].cells)
    assert rows["no_vector"].key == "k001"
    kinds = {(f.kind, f.key) for f in verify_vectors(modern.folder)}
    assert {kind for kind, _ in kinds} == {FindingKind.QUARANTINE_OPEN}
    QuarantinedRow.objects.update(status="accepted")
    assert verify_vectors(modern.folder) == []


def test_truncated_segment_is_told_with_its_ids(files):
    made = fill(files, 6, space="cosine")
    folder = made.flush(purge=True)
    files.db.execute("DELETE FROM embeddings_queue")
    data = folder / "data_level0.bin"
    data.write_bytes(data.read_bytes()[: 156 * 4])
    result = import_vectors(files.close())
    assert result.conserved
    assert any("4 of 6 elements" in notice for notice in result.notices)
    rows = QuarantinedRow.objects.order_by("key")
    assert [(r.key, r.reason) for r in rows] == [
        ("k004", "truncated_segment"), ("k005", "truncated_segment"),
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_second_import_changes_nothing_and_follows_changes(modern):
    made = fill(modern)
    modern.db.execute("DELETE FROM embeddings_queue WHERE id = 'k005'")
    import_vectors(modern.folder)
    before = list(Item.objects.order_by("id").values_list("id", "embedding_id", "document"))
    again = import_vectors(modern.folder).tables[0].outcome
    assert (again.inserted, again.updated, again.quarantined) == (0, 0, 1)
    assert QuarantinedRow.objects.count() == 1
    assert list(Item.objects.order_by("id").values_list("id", "embedding_id", "document")) == before
    made.write(UPDATE, "k001", vector(70), "new text")
    made.write(UPSERT, "k005", vector(71))
    made.write(DELETE, "k002")
    made.write(ADD, "more", vector(72))
    result = import_vectors(modern.close())
    outcome = result.tables[0].outcome
    assert (outcome.inserted, outcome.updated, outcome.vanished) == (2, 1, ["k002"])
    assert QuarantinedRow.objects.get().status == "repaired"
    kinds = {f.kind for f in verify_vectors(modern.folder)}
    assert kinds >= {FindingKind.EXTRA_ROW, FindingKind.COUNT}
    pruned = import_vectors(modern.folder, options=VectorOptions(prune=True)).tables[0].outcome
    assert pruned.pruned == 1
    assert verify_vectors(modern.folder) == []


@pytest.mark.django_db(transaction=True)
def test_rows_that_the_target_changed_are_left_alone(modern):
    fill(modern, 3)
    import_vectors(modern.close())
    Item.objects.filter(embedding_id="k001").update(document="edited here")
    result = import_vectors(modern.folder)
    assert (result.conflicts, result.tables[0].outcome.conflicts) == (1, ["k001"])
    assert Item.objects.get(embedding_id="k001").document == "edited here"
    options = VectorOptions(overwrite=True)
    assert import_vectors(modern.folder, options=options).tables[0].outcome.updated == 1
    assert verify_vectors(modern.folder) == []


@pytest.mark.django_db(transaction=True)
def test_a_broken_import_ends_the_same_when_it_is_repeated(modern, monkeypatch):
    from vector import loading, merging

    fill(modern, 25)
    monkeypatch.setattr(loading, "BATCH_ROWS", 10)
    write_fresh, calls = merging.write_fresh, []

    def break_at_second(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write_fresh(*args)

    monkeypatch.setattr(merging, "write_fresh", break_at_second)
    with pytest.raises(KeyboardInterrupt):
        import_vectors(modern.close())
    assert Item.objects.count() == 10
    assert Run.objects.get().status == "failed"
    monkeypatch.setattr(merging, "write_fresh", write_fresh)
    assert import_vectors(modern.folder).tables[0].outcome.inserted == 15
    assert verify_vectors(modern.folder) == []


@pytest.mark.django_db(transaction=True)
def test_an_exact_vector_is_not_given_up_when_chroma_purges_its_queue(modern):
    made = fill(modern, 6, space="cosine")
    import_vectors(modern.folder)
    made.flush(purge=True)
    assert import_vectors(modern.folder).tables[0].outcome.updated == 0
    item = Item.objects.get(embedding_id="k001")
    assert (item.origin, bits(item)) == ("queue", floats(vector(1)))
    assert verify_vectors(modern.folder) == []
    made.write(UPDATE, "k001", vector(50))
    made.flush(purge=True)
    assert import_vectors(modern.close()).tables[0].outcome.updated == 1
    assert verify_vectors(modern.folder) == []


def test_a_store_that_does_not_note_the_dimension(modern):
    fill(modern, 3)
    modern.collection("empty", dimension=None)
    modern.db.execute("UPDATE collections SET dimension = NULL")
    import_vectors(modern.close())
    found = dict(Collection.objects.values_list("name", "dimension"))
    assert found == {"stillme_knowledge": 4, "empty": None}
    assert verify_vectors(modern.folder) == []


def test_ledger_has_the_counts(modern):
    fill(modern, 3)
    result = import_vectors(modern.close())
    row = RunTable.objects.get(run_id=result.run_id)
    assert (row.table, row.file, row.target, row.legacy_rows, row.loaded) == (
        "vector_db.stillme_knowledge", "vector", "vector.items", 3, 3,
    )  # fmt: skip
    assert Run.objects.get(pk=result.run_id).status == "completed"


def test_dry_run_writes_nothing(modern):
    fill(modern, 3)
    result = import_vectors(modern.close(), dry_run=True)
    assert (result.tables[0].outcome.loaded, result.run_id) == (3, None)
    assert not Collection.objects.exists()
    assert not Run.objects.exists()


def test_a_collection_of_the_same_name_made_here_is_in_the_way(modern):
    Collection.objects.create(name="stillme_knowledge")
    fill(modern, 1)
    with pytest.raises(TransferError, match="rename or delete"):
        import_vectors(modern.close())


def test_no_store_is_one_sentence(tmp_path):
    with pytest.raises(LegacyFileError, match=r"chroma\.sqlite3"):
        import_vectors(tmp_path)


def test_verify_says_what_is_missing_before_the_import(modern):
    fill(modern, 2)
    (finding,) = verify_vectors(modern.close())
    assert (finding.kind, finding.where) == (FindingKind.MISSING_ROW, "vector.collections")


CORRUPTIONS = {
    "one bit": (
        "UPDATE vector.items SET embedding[2] = embedding[2] * 1.0000001::float4 "
        "WHERE embedding_id = 'k003'",
        "items:embedding",
    ),
    "sign of zero": (
        "UPDATE vector.items SET embedding = '{-0,0,0,0}' WHERE embedding_id = 'zero'",
        "items:embedding",
    ),
    "a null in a vector": (
        "UPDATE vector.items SET embedding[2] = NULL WHERE embedding_id = 'k003'",
        "items:embedding",
    ),
    "a longer vector": (
        "UPDATE vector.items SET embedding = embedding || 0::real WHERE embedding_id = 'k003'",
        "items:embedding",
    ),
    "nan": (
        "UPDATE vector.items SET embedding[2] = 'NaN' WHERE embedding_id = 'k003'",
        "items:embedding",
    ),
    "a document for none": (
        "UPDATE vector.items SET document = '' WHERE embedding_id = 'zero'",
        "items:document",
    ),
    "integer to real": (
        "UPDATE vector.items SET metadata = jsonb_set(metadata, '{n}', '3.0') "
        "WHERE embedding_id = 'k003'",
        "items:metadata",
    ),
    "boolean to integer": (
        "UPDATE vector.items SET metadata = '{\"b\": 1}' WHERE embedding_id = 'zero'",
        "items:metadata",
    ),
    "no such key": (
        "UPDATE vector.items SET metadata = metadata - 's' WHERE embedding_id = 'k003'",
        "items:metadata",
    ),
    "extra": (
        "INSERT INTO vector.items (collection_id, embedding_id, embedding) "
        "SELECT id, 'more', '{1,2,3,4}' FROM vector.collections",
        "items",
    ),
    "extra collection": (
        "INSERT INTO vector.collections (uuid, name) VALUES (gen_random_uuid(), 'more')",
        "collections",
    ),
    "name": ("UPDATE vector.collections SET name = 'x'", "collections:name"),
    "time of a collection": (
        "UPDATE vector.collections SET created_at = now()",
        "collections:created_at",
    ),
    "vector": (
        "UPDATE vector.items SET embedding[2] = embedding[2] + 1 WHERE embedding_id = 'k003'",
        "items:embedding",
    ),
    "document": (
        "UPDATE vector.items SET document = 'x' WHERE embedding_id = 'k003'",
        "items:document",
    ),
    "type": (
        "UPDATE vector.items SET metadata = jsonb_set(metadata, '{real}', '1') "
        "WHERE embedding_id = 'k003'",
        "items:metadata",
    ),
    "time": (
        "UPDATE vector.items SET created_at = now() WHERE embedding_id = 'k003'",
        "items:created_at",
    ),
    "origin": (
        "UPDATE vector.items SET origin = 'target' WHERE embedding_id = 'k003'",
        "items:origin",
    ),
    "sequence": (
        "UPDATE vector.items SET legacy_seq_id = 0 WHERE embedding_id = 'k003'",
        "items:legacy_seq_id",
    ),
    "missing": ("DELETE FROM vector.items WHERE embedding_id = 'k003'", "items"),
    "metric": ("UPDATE vector.collections SET metric = 'ip'", "collections:metric"),
    "dimension": ("UPDATE vector.collections SET dimension = NULL", "collections:dimension"),
    "about": ("UPDATE vector.collections SET metadata = '{}'", "collections:metadata"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_is_found(modern, name):
    made = fill(modern, 8, space="cosine")
    made.write(ADD, "zero", [0.0] * 4, None, {"b": True})
    made.flush(purge=False)
    import_vectors(modern.close())
    assert verify_vectors(modern.folder) == []
    statement, where = CORRUPTIONS[name]
    # NaN, NULL and other sizes are refused by the index, as they should be.
    indexes.drop_index(Collection.objects.get())
    with connection.cursor() as cursor:
        cursor.execute(statement)
    findings = verify_vectors(modern.folder)
    assert f"vector.{where}" in {f.where for f in findings}


@pytest.mark.parametrize("definition", [None, "l2", "(3)"])
def test_a_missing_index_or_a_wrong_one_is_found(modern, definition):
    fill(modern, 8, space="cosine")
    if indexes.ensure_extension():
        pytest.skip("this server has no pgvector")
    import_vectors(modern.close())
    collection = Collection.objects.get()
    name = indexes.index_name(collection)
    indexes.drop_index(collection)
    if definition == "l2":
        other = Collection(pk=collection.pk, dimension=4, metric="l2")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert indexes.ensure_index(other).present
    elif definition == "(3)":
        with connection.cursor() as cursor:
            cursor.execute(
                f'CREATE INDEX "{name}" ON vector.items USING hnsw '
                "((embedding[1:3]::vector(3)) vector_cosine_ops) "
                f"WHERE collection_id = {collection.pk}"
            )
    (finding,) = verify_vectors(modern.folder)
    assert (finding.kind, finding.where) == (FindingKind.INDEX, f"vector.items:{name}")
    assert finding.expected == "hnsw vector_cosine_ops vector(4)"
    import_vectors(modern.folder)
    assert verify_vectors(modern.folder) == []


def test_a_sample_reads_some_items_and_finds_what_is_wrong_among_them(modern):
    fill(modern, 60)
    import_vectors(modern.close())
    few = prove_vectors(modern.folder, level="sample", sample=20)
    assert few.findings == []
    assert 10 <= few.collections[0].items.items <= 30
    Item.objects.update(document="other")
    found = {f.where for f in prove_vectors(modern.folder, level="sample", sample=20).findings}
    assert found == {"vector.items:document"}


def test_one_flipped_bit_is_found_and_rounding_of_a_cosine_segment_is_not(modern):
    fill(modern, 4, space="cosine").flush(purge=True)
    import_vectors(modern.close())
    item = Item.objects.get(embedding_id="k001")
    item.embedding = [x * (1 + 2e-7) for x in item.embedding]
    item.save()
    assert verify_vectors(modern.folder) == []
    item.embedding = [x * (1 + 2e-5) for x in item.embedding]
    item.save()
    assert [f.where for f in verify_vectors(modern.folder)] == ["vector.items:embedding"]


def test_one_flipped_bit_of_an_exact_vector_is_found(modern):
    fill(modern, 4)
    import_vectors(modern.close())
    item = Item.objects.get(embedding_id="k001")
    raw = bytearray(array("f", item.embedding).tobytes())
    raw[0] ^= 1
    item.embedding = array("f", bytes(raw)).tolist()
    item.save()
    assert [f.where for f in verify_vectors(modern.folder)] == ["vector.items:embedding"]


def test_a_lost_original_and_a_lost_quarantined_row_are_found(modern):
    made = modern.collection("c")
    made.write(ADD, "inf", vector(2), "d", {"x": math.inf})
    made.write(ADD, "nul", vector(3), "d\0")
    import_vectors(modern.close())
    KeptCell.objects.all().delete()
    QuarantinedRow.objects.all().delete()
    kinds = {f.kind for f in verify_vectors(modern.folder)}
    assert kinds >= {FindingKind.KEPT_CELL, FindingKind.CONSERVATION}


@pytest.mark.parametrize("name", ["chroma_mixed", "chroma_0_4", "current", "old"])
def test_samples(samples, tmp_path, name):
    import shutil

    folder = tmp_path / "vector_db"
    shutil.copytree(samples / name / "data" / "vector_db", folder)
    result = import_vectors(folder)
    assert result.conserved
    assert not QuarantinedRow.objects.exists()
    proof = prove_vectors(folder)
    assert proof.findings == []
    assert all(p.items.equal == p.legacy_ids for p in proof.collections)


def test_sample_with_a_purged_queue_has_all_vectors(samples, tmp_path):
    import shutil
    import sqlite3

    folder = tmp_path / "vector_db"
    shutil.copytree(samples / "chroma_mixed" / "data" / "vector_db", folder)
    database = sqlite3.connect(folder / "chroma.sqlite3")
    database.execute("DELETE FROM embeddings_queue WHERE seq_id <= 1000")
    database.commit()
    database.close()
    result = import_vectors(folder)
    assert sum(t.outcome.loaded for t in result.tables) == 1340


def test_an_index_left_there_by_an_emptied_collection_does_not_refuse_the_vectors(modern):
    fill(modern, 8)
    if indexes.ensure_extension():
        pytest.skip("this server has no pgvector")
    import_vectors(modern.close())
    collection = Collection.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE vector.items")
    indexes.drop_index(collection)
    other = Collection(pk=collection.pk, dimension=384, metric="l2")
    assert indexes.ensure_index(other).present
    assert import_vectors(modern.folder).conserved
    assert Item.objects.count() == 8
    assert indexes.has_index(collection)
    assert not indexes.has_index(other)
