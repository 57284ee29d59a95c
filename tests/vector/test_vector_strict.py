"""The vector store judged as strictly as tables: structure, duplicates, records, kept originals.

A further plant is a line: SQL that changes the target, and the finding that must name it.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import asdict

import pytest
from django.db import connection

from stillme.transfer.inventory.stores import StoreOptions
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.verify import result
from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import import_vectors, prove_vectors, verify_vectors
from tests.vector.test_vector_import import fill, vector
from vector.judge.run import prove_vectors as prove_now
from vector.models import Collection
from vector.serving import indexes

pytestmark = pytest.mark.django_db
NAME = "stillme_knowledge"
TABLE = f"vector_db.{NAME}"


@pytest.fixture(scope="module")
def store(tmp_path_factory, shared_database):
    """A store with loaded, repaired and quarantined items, imported; the quarantine accepted.

    The tests share it: what each of them plants is rolled back.
    """
    files = ChromaFiles(tmp_path_factory.mktemp("store") / "vector_db")
    made = fill(files, 6, NAME, space="cosine")
    made.write(ADD, "late", vector(51), "d")
    files.db.execute("UPDATE embeddings SET created_at = 'soon' WHERE embedding_id = 'late'")
    made.write(ADD, "nul", vector(52), "d\0")
    made.write(ADD, "nobody", vector(53), "d")
    made.write(ADD, "inf", vector(50), "d", {"x": math.inf, "y": "a\0"}, apply=False)
    files.db.execute("DELETE FROM embeddings_queue WHERE id = 'nobody'")
    import_vectors(files.close())
    QuarantinedRow.objects.update(status="accepted")
    assert verify_vectors(files.folder) == []
    return files.folder


@pytest.fixture
def imported(store, db):
    """The folder; its table gives out ids as after the import, which no rollback brings back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('vector.items', 'id'), max(id)) FROM vector.items"
        )
    return store


def plant(statement):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)


# As on a damaged page. What PostgreSQL prints of the text is the same as before.
BEHIND_NUL = (
    'CREATE CAST (bytea AS text) WITHOUT FUNCTION; UPDATE {table} SET "{column}" = '
    "(convert_to(\"{column}\", 'UTF8') || '\\x0078'::bytea)::text WHERE key = '{key}'; "
    "DROP CAST (bytea AS text)"
)
DROP_UNIQUE = "ALTER TABLE vector.items DROP CONSTRAINT items_id_once; "
COPY = (
    "INSERT INTO vector.items (collection_id, embedding_id, document, metadata, embedding, origin,"
    " created_at, legacy_seq_id) SELECT collection_id, embedding_id, document, metadata, embedding,"
    " origin, created_at, legacy_seq_id FROM vector.items"
)
FOREIGN_KEY = (
    "DO $$ DECLARE n text; BEGIN SELECT conname INTO n FROM pg_constraint WHERE conrelid = "
    "'vector.items'::regclass AND contype = 'f'; EXECUTE format('ALTER TABLE vector.items DROP "
    "CONSTRAINT %I', n); END $$; "
)
RECORD = (
    'INSERT INTO transfer.quarantined_row (file, "table", key, cells, reason, "column", sentence,'
    " status, repairs, note, decided_by) VALUES ('{file}', '{table}', '{key}', '{{}}', 'no_vector',"
    " '', '', '{status}', '{{}}', '', '')"
)
ORIGINAL = (
    'INSERT INTO transfer.kept_cell (file, "table", key, "column", storage, value, reason) '
    "VALUES ('vector', '{table}', '{key}', '{column}', 'text', 'x', 'not_finite')"
)
ROW = "transfer.quarantined_row"
CELL = "transfer.kept_cell"

PLANTS = {
    # structure
    "no primary key": (
        "ALTER TABLE vector.items DROP CONSTRAINT items_pkey", "constraint", "items",
    ),
    "no unique": (DROP_UNIQUE, "constraint", "items"),
    "another unique": (
        DROP_UNIQUE + "ALTER TABLE vector.items ADD CONSTRAINT items_id_once "
        "UNIQUE (collection_id, embedding_id, id)", "constraint", "items",
    ),
    "no unique name": (
        "ALTER TABLE vector.collections DROP CONSTRAINT collections_name_once", "constraint",
        "collections",
    ),
    "no check": (
        "ALTER TABLE vector.collections DROP CONSTRAINT collections_metric", "constraint",
        "collections",
    ),
    "another check": (
        "ALTER TABLE vector.collections DROP CONSTRAINT collections_metric; ALTER TABLE "
        "vector.collections ADD CONSTRAINT collections_metric CHECK (metric <> '')", "constraint",
        "collections",
    ),
    "no foreign key": (FOREIGN_KEY, "foreign_key", "items:collection_id"),
    "another type": (
        "ALTER TABLE vector.items ALTER legacy_seq_id TYPE numeric", "column",
        "items:legacy_seq_id",
    ),
    "doubles": (
        "DO $$ DECLARE n text; BEGIN FOR n IN SELECT relname FROM pg_class WHERE relname LIKE "
        "'items_hnsw%%' LOOP EXECUTE format('DROP INDEX vector.%I', n); END LOOP; END $$; "
        "ALTER TABLE vector.items ALTER embedding TYPE float8[]", "column", "items:embedding",
    ),
    "null allowed": (
        "ALTER TABLE vector.items ALTER embedding_id DROP NOT NULL", "column", "items:embedding_id",
    ),
    "no default": (
        "ALTER TABLE vector.items ALTER origin DROP DEFAULT", "column", "items:origin",
    ),
    "another default": (
        "ALTER TABLE vector.collections ALTER tenant SET DEFAULT 'x'", "column",
        "collections:tenant",
    ),
    "no identity": ("ALTER TABLE vector.items ALTER id DROP IDENTITY", "sequence", "items:id"),
    "sequence set back": (
        "SELECT setval(pg_get_serial_sequence('vector.items', 'id'), 1, false)", "sequence",
        "items:id",
    ),
    "no index": ("DROP INDEX vector.idx_vector_items_collection", "index", "items"),
    "another index": (
        "DROP INDEX vector.idx_vector_items_collection; CREATE INDEX idx_vector_items_collection "
        "ON vector.items (id)", "index", "items",
    ),
    "a column more": ("ALTER TABLE vector.items ADD more text", "column", "items:more"),
    "no table": ("DROP TABLE vector.items", "missing_table", "items"),
    # rows
    "a table doubled": (DROP_UNIQUE + COPY, "extra_row", "items"),
    "an id twice": (
        DROP_UNIQUE + COPY + " WHERE embedding_id = 'k003'", "extra_row", "items",
    ),
    "an inherited table": (
        "CREATE TABLE vector.child () INHERITS (vector.items); INSERT INTO vector.child (id, "
        "collection_id, embedding_id, embedding, metadata, origin) SELECT id + 99, collection_id, "
        "embedding_id, embedding, metadata, origin FROM vector.items LIMIT 1", "extra_row", "items",
    ),
    "items of no collection": (
        FOREIGN_KEY + "INSERT INTO vector.items (collection_id, embedding_id, embedding) "
        "VALUES (99999, 'lost', '{1,2,3,4}')", "foreign_key", "items:collection_id",
    ),
    "a collection twice": (
        "ALTER TABLE vector.collections DROP CONSTRAINT collections_name_once; DO $$ DECLARE "
        "n text; BEGIN FOR n IN SELECT conname FROM pg_constraint WHERE conrelid = "
        "'vector.collections'::regclass AND contype = 'u' LOOP EXECUTE format('ALTER TABLE "
        "vector.collections DROP CONSTRAINT %I', n); END LOOP; END $$; "
        "INSERT INTO vector.collections (uuid, name, created_at, metric, metadata, dimension) "
        "SELECT uuid, name, created_at, metric, metadata, dimension FROM vector.collections",
        "extra_row", "collections:uuid",
    ),
    "a float beyond a float": (
        "UPDATE vector.items SET metadata = jsonb_set(metadata, '{real}', "
        "'1.00000000000000000000000001') WHERE embedding_id = 'k003'", "value", "items:metadata",
    ),
    "an integer beyond Python": (
        "UPDATE vector.items SET metadata = jsonb_set(metadata, '{n}', '1e5000') "
        "WHERE embedding_id = 'k003'", "value", "items:metadata",
    ),
    "metadata of a collection beyond Python": (
        "UPDATE vector.collections SET metadata = '{\"a\": 1e5000}'", "value",
        "collections:metadata",
    ),
    # quarantine
    "a record of a healthy row": (
        RECORD.format(file="vector", table=TABLE, key="k003", status="accepted"), "conservation",
        "items",
    ),
    "a record of no row": (
        RECORD.format(file="vector", table=TABLE, key="zzz", status="accepted"), "conservation",
        "items",
    ),
    "a record without a key": (
        RECORD.format(file="vector", table=TABLE, key="zzz", status="accepted") + f"; UPDATE {ROW} "
        "SET key = NULL WHERE key = 'zzz'", "conservation", "items",
    ),
    "a record twice": (
        f"INSERT INTO {ROW} (file, \"table\", key, cells, reason, \"column\", sentence, status, "
        "repairs, note, decided_by) SELECT file, \"table\", key, cells, reason, \"column\", "
        f"sentence, status, repairs, note, decided_by FROM {ROW} WHERE key = 'nul'",
        "conservation", "items",
    ),
    "a record with another reason": (
        f"UPDATE {ROW} SET reason = 'no_vector' WHERE key = 'nul'", "conservation", "items",
    ),
    "a record for another part of the item": (
        f"UPDATE {ROW} SET \"column\" = 'metadata' WHERE key = 'nul'", "conservation", "items",
    ),
    **{
        f"a record whose {name} goes on behind U+0000": (
            BEHIND_NUL.format(table=ROW, column=name, key="nul"), "conservation", "items",
        )
        for name in ("reason", "column", "status")
    },
    "a record of another file": (
        f"UPDATE {ROW} SET file = 'rss' WHERE key = 'nul'", "conservation", "items",
    ),
    "a record with another cell": (
        f"UPDATE {ROW} SET cells = jsonb_set(cells, '{{document}}', '[\"text\", \"eA==\"]') "
        "WHERE key = 'nul'", "conservation", "items",
    ),
    "a record with a cell less": (
        f"UPDATE {ROW} SET cells = cells - 'vector' WHERE key = 'nul'", "conservation", "items",
    ),
    "a record with a cell more": (
        f"UPDATE {ROW} SET cells = jsonb_set(cells, '{{x}}', '[\"null\", null]') "
        "WHERE key = 'nobody'", "conservation", "items",
    ),
    "a record with other metadata": (
        f"UPDATE {ROW} SET cells = jsonb_set(cells, '{{metadata}}', '[\"text\", \"e30x\"]') "
        "WHERE key = 'nul'", "conservation", "items",
    ),
    "a record with another vector": (
        f"UPDATE {ROW} SET cells = jsonb_set(cells, '{{vector}}', '[\"blob\", \"AAAA\"]') "
        "WHERE key = 'nul'", "conservation", "items",
    ),
    "a record that is no object": (
        f"UPDATE {ROW} SET cells = '[]' WHERE key = 'nul'", "conservation", "items",
    ),
    "a record that is gone": (f"DELETE FROM {ROW} WHERE key = 'nul'", "conservation", "items"),
    "a record said to be repaired": (
        f"UPDATE {ROW} SET status = 'repaired' WHERE key = 'nul'", "conservation", "items",
    ),
    "an unknown status": (
        f"UPDATE {ROW} SET status = 'done' WHERE key = 'nul'", "conservation", "items",
    ),
    "a record of an unknown table": (
        RECORD.format(file="vector", table="vector_db.x", key="k", status="accepted"),
        "conservation", "collections",
    ),
    "a record of no table": (
        RECORD.format(file="vector", table="x", key="k", status="accepted"), "conservation",
        "collections",
    ),
    # kept originals
    "an original that is no JSON": (
        f"UPDATE {CELL} SET value = 'xyz' WHERE key = 'inf'", "kept_cell", "items:metadata",
    ),
    "an original of nothing": (
        f"UPDATE {CELL} SET value = NULL WHERE key = 'inf'", "kept_cell", "items:metadata",
    ),
    "an original nested too deep": (
        f"UPDATE {CELL} SET value = repeat('[', 100000)::bytea WHERE key = 'inf'", "kept_cell",
        "items:metadata",
    ),
    "another original": (
        f"UPDATE {CELL} SET value = '{{\"x\": 1}}' WHERE key = 'inf'", "kept_cell",
        "items:metadata",
    ),
    "another time kept": (
        f"UPDATE {CELL} SET value = 'later' WHERE key = 'late'", "kept_cell", "items:created_at",
    ),
    "another storage": (
        f"UPDATE {CELL} SET storage = 'blob' WHERE key = 'inf'", "kept_cell", "items:metadata",
    ),
    "kept for another reason": (
        f"UPDATE {CELL} SET reason = 'numeric_text' WHERE key = 'inf'", "kept_cell",
        "items:metadata",
    ),
    **{
        f"an original whose {name} goes on behind U+0000": (
            BEHIND_NUL.format(table=CELL, column=name, key="inf"), "kept_cell", "items:metadata",
        )
        for name in ("reason", "storage")
    },
    "an original that is gone": (
        f"DELETE FROM {CELL} WHERE key = 'late'", "kept_cell", "items:created_at",
    ),
    "a needless original": (
        ORIGINAL.format(table=TABLE, key="k003", column="metadata"), "kept_cell", "items:metadata",
    ),
    "an original of an unknown column": (
        ORIGINAL.format(table=TABLE, key="inf", column="zzz"), "kept_cell", "items:zzz",
    ),
    "an original of no item": (
        ORIGINAL.format(table=TABLE, key="zzz", column="metadata"), "kept_cell", "items:metadata",
    ),
    "an original of an unknown table": (
        ORIGINAL.format(table="vector_db.x", key="k", column="metadata"), "kept_cell",
        "collections",
    ),
    "an original of a healthy collection": (
        "INSERT INTO transfer.kept_cell (file, \"table\", key, \"column\", storage, value, reason) "
        "SELECT 'vector', 'vector_db/collections', uuid::text, 'metadata', 'text', '{}', "
        "'not_finite' FROM vector.collections", "kept_cell", "collections:metadata",
    ),
    "an original of no collection": (
        ORIGINAL.format(table="vector_db/collections", key="zzz", column="metadata"), "kept_cell",
        "collections:metadata",
    ),
}  # fmt: skip


@pytest.mark.slow_after(10)
@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_found(imported, name):
    statement, kind, where = PLANTS[name]
    plant(statement)
    report = prove_now(imported, StoreOptions(), lambda event: None)
    of_tables = [finding for table in report.tables for finding in table.findings.kept]
    findings = [*report.findings, *of_tables]
    assert (kind, f"vector.{where}") in {(f.kind.value, f.where) for f in findings}
    assert json.dumps([asdict(f) for f in findings])


LEGAL = {
    "an index more": "CREATE INDEX mine ON vector.items (document)",
    "statistics": "ANALYZE vector.items",
    "a comment": "COMMENT ON TABLE vector.items IS 'ours'",
    "rows in another order": "CLUSTER vector.items USING items_pkey",
    "the sequence further on": "SELECT setval(pg_get_serial_sequence('vector.items', 'id'), 9000)",
    "a record repaired since": RECORD.format(
        file="vector", table=TABLE, key="k003", status="repaired"
    ),
    "a record of another file's table": RECORD.format(
        file="rss", table="rss_fetch_items", key="1", status="accepted"
    ),
    "a decision": f"UPDATE {ROW} SET note = 'seen', decided_by = 'me', sentence = 'x'",
    "more statistics": "ALTER TABLE vector.items ALTER document SET STATISTICS 500",
    "another fill factor": "ALTER TABLE vector.items SET (fillfactor = 90)",
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", LEGAL)
def test_a_legal_difference_is_no_alarm(imported, name):
    plant(LEGAL[name])
    report = prove_now(imported, StoreOptions(), lambda event: None)
    # Not even a kind with no finding of it, for which advice would be printed.
    assert report.findings == []
    assert [dict(table.findings.counts) for table in report.tables] == [{} for _ in report.tables]


def test_extra_items_are_all_counted(imported, monkeypatch):
    monkeypatch.setattr(result, "MOST_KEPT", 10)
    plant(
        "INSERT INTO vector.items (collection_id, embedding_id, embedding) SELECT id, 'more' || n, "
        "'{1,2,3,4}' FROM vector.collections, generate_series(1, 250) AS n"
    )
    report = prove_now(imported, StoreOptions(), lambda event: None)
    (table,) = report.tables
    counts = {kind.value: count for kind, count in table.findings.counts.items()}
    assert counts["extra_row"] == 250
    assert table.target_rows == 250 + 8
    assert len(table.findings.kept) == 10


INDEX_PLANTS = {
    "another expression": (
        "((embedding::vector(4) + '[1,1,1,1]'::vector(4))::vector(4)) vector_cosine_ops"
    ),
    "a part of the vector": "((embedding[1:4]::vector(4))) vector_cosine_ops",
    "another operator class": "((embedding::vector(4))) vector_l2_ops",
    "half precision": "((embedding::halfvec(4))) halfvec_cosine_ops",
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", INDEX_PLANTS)
def test_an_index_over_something_else_is_found(imported, name):
    if indexes.ensure_extension():
        pytest.skip("no pgvector on this server: the embedded one has it")
    collection = Collection.objects.get()
    indexes.drop_index(collection)
    plant(
        f'CREATE INDEX "{indexes.index_name(collection)}" ON vector.items USING hnsw '
        f"({INDEX_PLANTS[name]}) WHERE collection_id = {collection.pk}"
    )
    (finding,) = verify_vectors(imported)
    assert (finding.kind.value, finding.where) == (
        "index", f"vector.items:{indexes.index_name(collection)}",
    )  # fmt: skip


@pytest.mark.parametrize("column", ["indisvalid", "indisready"])
def test_an_index_that_is_not_ready_is_found(imported, column):
    if indexes.ensure_extension():
        pytest.skip("no pgvector on this server: the embedded one has it")
    name = indexes.index_name(Collection.objects.get())
    plant(f"UPDATE pg_index SET {column} = false WHERE indexrelid = 'vector.{name}'::regclass")
    assert f"vector.items:{name}" in {f.where for f in verify_vectors(imported)}


def test_counts_and_samples_do_not_call_a_record_needless(imported):
    for level in ("counts", "sample"):
        assert prove_vectors(imported, level=level, sample=3).findings == []


def test_packed_text_is_base64(imported):
    cells = QuarantinedRow.objects.get(key="nul").cells
    assert base64.b64decode(cells["document"][1]) == b"d\0"
