"""The proof of an imported Chroma folder: whatever is changed in the target is found."""

from __future__ import annotations

import math
from array import array

import pytest
from django.db import connection

from stillme.transfer.findings import FindingKind
from stillme.transfer.models import KeptCell, QuarantinedRow
from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import import_vectors, prove_vectors, verify_vectors
from tests.vector.test_vector_import import fill, vector
from vector.models import Collection, Item
from vector.serving import indexes

pytestmark = pytest.mark.django_db


@pytest.fixture
def modern(tmp_path):
    return ChromaFiles(tmp_path / "vector_db", "1.x")


# What a damaged page may hold and no text of PostgreSQL's own can: any bytes become a text.
ANY_BYTES = (
    "CREATE CAST (bytea AS text) WITHOUT FUNCTION; UPDATE vector.{0} SET {1} = "
    "(convert_to({1}, 'UTF8') || '\\x{2}'::bytea)::text; DROP CAST (bytea AS text)"
)
CORRUPTIONS = {
    **{
        f"{column} behind a U+0000": (ANY_BYTES.format(*column.split("."), "0078"), where)
        for column, where in (
            ("collections.name", "collections:name"),
            ("collections.tenant", "collections:tenant"),
            ("collections.database", "collections:database"),
            ("items.document", "items:document"),
            ("items.embedding_id", "items"),
        )
    },
    **{
        f"{column} not UTF-8": (ANY_BYTES.format(*column.split("."), "ff"), where)
        for column, where in (
            ("collections.name", "collections:name"),
            ("items.document", "items:document"),
            ("items.embedding_id", "items"),
        )
    },
    **{
        f"{moment} in {table}": (
            f"UPDATE vector.{table} SET created_at = '{moment}'",
            f"{table}:created_at",
        )
        for moment in ("infinity", "-infinity", "0044-03-15 BC", "12000-01-01")
        for table in ("collections", "items")
    },
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
    "a longer vector behind a function of somebody's": (
        "UPDATE vector.items SET embedding = embedding || 'NaN'::real WHERE embedding_id = 'k003'; "
        "CREATE FUNCTION public.array_send(real[]) RETURNS bytea LANGUAGE sql "
        "AS 'SELECT pg_catalog.array_send($1[1:4])'",
        "items:embedding",
    ),
    "a vector that begins at 0": (
        "UPDATE vector.items SET embedding = ('[0:3]=' || embedding::text)::real[] "
        "WHERE embedding_id = 'k003'",
        "items:embedding",
    ),
    "a vector of vectors": (
        "UPDATE vector.items SET embedding = ARRAY[embedding] WHERE embedding_id = 'k003'",
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


@pytest.mark.slow_after(4)
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
        pytest.skip("no pgvector on this server: the embedded one has it")
    import_vectors(modern.close())
    collection = Collection.objects.get()
    name = indexes.index_name(collection)
    indexes.drop_index(collection)
    if definition == "l2":
        other = Collection(pk=collection.pk, dimension=4, metric="l2")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert indexes.ensure_index(other).endswith("built.")
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
    assert 10 <= few.collections[0].compared <= 30
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


def test_a_unique_index_that_does_not_know_an_item_is_found(modern):
    fill(modern, 8)
    import_vectors(modern.close())
    ready = (
        "UPDATE pg_index SET indisready = {} WHERE indexrelid = 'vector.items_id_once'::regclass"
    )
    with connection.cursor() as cursor:
        cursor.execute(ready.format("false"))
        cursor.execute("UPDATE vector.items SET document = document, embedding_id = embedding_id")
        cursor.execute("UPDATE vector.items SET id = id + 1000 WHERE embedding_id = 'k003'")
        cursor.execute(ready.format("true"))
    findings = verify_vectors(modern.folder)
    assert FindingKind.INDEX in {
        found.kind for found in findings if "items_id_once" in str(found.found)
    }


def test_what_the_structure_was_not_compared_by_is_told(modern):
    """A server that makes no temporary table leaves names to be compared."""
    fill(modern, 8)
    import_vectors(modern.close())
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE items (id text)")
    told = [notice for notice in prove_vectors(modern.folder).notices if "temporary" in notice]
    assert len(told) == 1
    assert "vector.items" in told[0]
