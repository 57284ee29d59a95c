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
from stillme.transfer.inventory.stores import StoreOptions
from stillme.transfer.models import KeptCell, QuarantinedRow, Run, RunTable
from tests.vector.chroma_files import ADD, DELETE, UPDATE, UPSERT, ChromaFiles, floats
from tests.vector.moving import OPEN, import_vectors, prove_vectors, verify_vectors
from vector.chroma import open_store
from vector.models import Collection, Item
from vector.serving import indexes

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


@pytest.mark.slow_after(1, by="space")
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
    assert (seen.by_cell, seen.queries_equal) == (30, seen.queries)
    # Without pgvector on the server there is nothing to compare with.
    assert bool(seen.queries) is not bool(indexes.ensure_extension())
    # The last row of the queue stays after a purge and has the exact bits of k029.
    near = 27 if flushed and space == "cosine" else 0
    assert (seen.exact_vectors, seen.near_vectors) == (30 - near, near)


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


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_everything_works_without_pgvector(modern, monkeypatch, space):
    from vector.serving import indexes

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
    assert "there is no pgvector" in seen.words


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
    assert {kind for kind, _ in kinds} == {OPEN}
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
    pruned = import_vectors(modern.folder, options=StoreOptions(prune=True)).tables[0].outcome
    assert pruned.pruned == 1
    assert verify_vectors(modern.folder) == []


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_rows_that_the_target_changed_are_left_alone(modern):
    fill(modern, 3)
    import_vectors(modern.close())
    Item.objects.filter(embedding_id="k001").update(document="edited here")
    result = import_vectors(modern.folder)
    assert (result.conflicts, result.tables[0].outcome.conflicts) == (1, ["k001"])
    assert Item.objects.get(embedding_id="k001").document == "edited here"
    options = StoreOptions(overwrite=True)
    assert import_vectors(modern.folder, options=options).tables[0].outcome.updated == 1
    assert verify_vectors(modern.folder) == []


@pytest.mark.django_db(transaction=True)
def test_a_broken_import_ends_the_same_when_it_is_repeated(modern, monkeypatch):
    from vector.importing import collection as loading
    from vector.importing import merging

    fill(modern, 25)
    monkeypatch.setattr(loading, "BATCH_ROWS", 10)
    copy_rows, calls = merging.copy_rows, []

    def break_at_second(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return copy_rows(*args)

    monkeypatch.setattr(merging, "copy_rows", break_at_second)
    with pytest.raises(KeyboardInterrupt):
        import_vectors(modern.close())
    assert Item.objects.count() == 10
    assert Run.objects.get().status == "failed"
    monkeypatch.setattr(merging, "copy_rows", copy_rows)
    assert import_vectors(modern.folder).tables[0].outcome.inserted == 15
    assert verify_vectors(modern.folder) == []


@pytest.mark.slow
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
    with pytest.raises(LegacyFileError, match=r"chroma\.sqlite3"), open_store(tmp_path):
        pass


def test_verify_says_what_is_missing_before_the_import(modern):
    fill(modern, 2)
    (finding,) = verify_vectors(modern.close())
    assert (finding.kind, finding.where) == (FindingKind.MISSING_ROW, "vector.collections")


@pytest.mark.slow_after(1)
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
    assert all(p.by_cell == p.legacy_rows for p in proof.collections)


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
        pytest.skip("no pgvector on this server: the embedded one has it")
    import_vectors(modern.close())
    collection = Collection.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE vector.items")
    indexes.drop_index(collection)
    other = Collection(pk=collection.pk, dimension=384, metric="l2")
    assert indexes.ensure_index(other).endswith("built.")
    assert import_vectors(modern.folder).conserved
    assert Item.objects.count() == 8
    assert indexes.has_index(collection)
    assert not indexes.has_index(other)
