"""A vector folder accounted for as a whole, and its rows read from tables, not from indexes."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.inventory.entries import open_lines
from stillme.transfer.inventory.stores import StoreOptions
from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import OPEN, import_vectors, prove_vectors
from tests.vector.test_vector_import import fill
from vector.chroma import open_store
from vector.importing.run import import_vectors as import_now
from vector.judge.run import prove_vectors as prove_now
from vector.legacy import VectorStore
from vector.models import Item

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path, settings):
    settings.LEGACY_VECTOR_DIR = tmp_path / "vector_db"
    return tmp_path / "vector_db"


def put(path: Path, content: bytes = b"data") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def old_store(folder):
    put(folder / "chroma-collections.parquet", b"PAR1")
    put(folder / "chroma-embeddings.parquet", b"PAR1")
    put(folder / "index" / "id_to_uuid_1.pkl")


UNREADABLE = {
    "a store of 0.3": (
        old_store, {"chroma-collections.parquet", "chroma-embeddings.parquet", "index"},
        "Chroma 0.3",
    ),
    "only segments": (lambda f: put(f / "abc" / "data_level0.bin"), {"abc"}, "no chroma.sqlite3"),
    "an empty database beside segments": (
        lambda f: [put(f / "chroma.sqlite3", b""), put(f / "abc" / "header.bin")], {"abc"},
        "no chroma.sqlite3",
    ),
    "a database elsewhere": (lambda f: put(f / "copy" / "chroma.sqlite3"), {"copy"}, "backup"),
    "a file where the folder should be": (put, {"vector_db"}, "no chroma.sqlite3"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_folder_that_is_no_store_is_open_and_nothing_else_happens(folder, name):
    make, names, words = UNREADABLE[name]
    make(folder)
    store = VectorStore()
    assert store.is_present()
    lines = store.inventory()
    assert {line.name for line in lines} == names
    assert {line.fate for line in lines} == {"open"}
    assert words in lines[0].why
    for report in (
        store.import_store(StoreOptions(), None, lambda event: None),
        store.prove_store(StoreOptions(), lambda event: None),
    ):
        assert report.inventory == lines
        assert (report.tables, report.findings) == ([], [])
        assert words in " ".join(report.notices)


NOTHING = {
    "no folder": lambda f: None,
    "an empty folder": lambda f: f.mkdir(),
    "folders of nothing": lambda f: (f / "a" / "b").mkdir(parents=True),
    "an empty database": lambda f: put(f / "chroma.sqlite3", b""),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_is_not_present(folder, name):
    NOTHING[name](folder)
    assert not VectorStore().is_present()
    assert VectorStore().inventory() == []


def names(lines):
    return {line.name for line in open_lines(lines)}


def everywhere(folder):
    """The open lines, which must be the same wherever one asks."""
    imported = import_now(folder, StoreOptions(dry_run=True), None, lambda event: None)
    proven = prove_now(folder, StoreOptions(), lambda event: None)
    now = VectorStore().inventory()
    assert names(imported.inventory) == names(proven.inventory) == names(now)
    return names(now)


@pytest.mark.parametrize("layout", ["0.4", "1.x"])
def test_a_whole_store_is_carried(folder, layout):
    files = ChromaFiles(folder, layout)
    fill(files, 5, space="cosine").flush()
    files.db.execute("CREATE TABLE empty (a)")
    files.close()
    assert everywhere(folder) == set()
    carried = {line.name: (line.rows, line.target) for line in VectorStore().inventory()}
    assert carried["embeddings"] == (5, "vector.items")
    assert carried["collections"] == (1, "vector.collections")
    assert carried["max_seq_id"][1] == ""
    assert any(re.match("v-", name) for name in carried)


STRANGERS = {
    "a table": ("CREATE TABLE more (a); INSERT INTO more VALUES (1)", None, "more"),
    "a table without rowids": (
        "CREATE TABLE more (a PRIMARY KEY) WITHOUT ROWID; INSERT INTO more VALUES (1)", None,
        "more",
    ),
    "metadata of no id": (
        "INSERT INTO embedding_metadata (id, key, int_value) VALUES (999, 'a', 1)", None,
        "embedding_metadata (of no collection)",
    ),
    "ids of no segment": (
        "INSERT INTO embeddings (segment_id, embedding_id, seq_id) VALUES ('x', 'y', 1)", None,
        "embeddings (of no collection)",
    ),
    "operations of no collection": (
        "UPDATE embeddings_queue SET topic = 'persistent://a/b/c' WHERE seq_id = 1", None,
        "embeddings_queue (of no collection)",
    ),
    "a column of the collections": (
        "ALTER TABLE collections ADD COLUMN pinned; UPDATE collections SET pinned = 1", None,
        "collections.pinned",
    ),
    "a column of the metadata": (
        "ALTER TABLE embedding_metadata ADD COLUMN json_value; "
        "UPDATE embedding_metadata SET json_value = '{}' WHERE id = 1", None,
        "embedding_metadata.json_value",
    ),
    "a table that bears the name of the index of documents": (
        "CREATE TABLE embedding_fulltext (a); INSERT INTO embedding_fulltext VALUES (1)", None,
        "embedding_fulltext",
    ),
    "a table that bears a name like SQLite's own": (
        "CREATE TABLE x (a); INSERT INTO x VALUES (1); PRAGMA writable_schema = ON; "
        "UPDATE sqlite_master SET name = 'sqlite_x', tbl_name = 'sqlite_x', "
        "sql = 'CREATE TABLE sqlite_x (a)' WHERE name = 'x'; PRAGMA writable_schema = RESET", None,
        "sqlite_x",
    ),
    "metadata of a collection with two values": (
        "UPDATE collection_metadata SET int_value = 1", None,
        "collection_metadata (several values)",
    ),
    "metadata of a collection with a boolean that is none": (
        "UPDATE collection_metadata SET str_value = NULL, bool_value = 5", None,
        "collection_metadata (several values)",
    ),
    "metadata of a collection that is a blob": (
        "UPDATE collection_metadata SET str_value = x'00', key = CAST(key AS BLOB)", None,
        "collection_metadata (several values)",
    ),
    "metadata of no collection": (
        "INSERT INTO collection_metadata (key, str_value) VALUES ('a', 'b')", None,
        "collection_metadata (of no collection)",
    ),
    "a collection of no database": (
        "UPDATE collections SET database_id = 'gone'", None, "collections (of no database)",
    ),
    "a folder of no segment": ("", "other/data_level0.bin", "other"),
    "a file": ("", "notes.txt", "notes.txt"),
    "a file in a segment": ("", "v-{id}/sparse.bin", "v-{id}/sparse.bin"),
    "a second store": ("", "backup/chroma.sqlite3", "backup"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGERS)
def test_what_nobody_carries_is_open(folder, name):
    statements, path, line = STRANGERS[name]
    files = ChromaFiles(folder)
    made = fill(files, 3)
    made.flush(purge=False)
    files.db.executescript(statements)
    files.close()
    if path:
        put(folder / path.format(id=made.id))
    assert everywhere(folder) == {line.format(id=made.id)}


def test_operations_of_no_collection_in_the_old_layout(folder):
    files = ChromaFiles(folder, "0.4")
    fill(files, 3)
    files.db.execute("UPDATE embeddings_queue SET topic = 'persistent://a/b/c' WHERE seq_id = 1")
    files.close()
    assert everywhere(folder) == {"embeddings_queue (of no collection)"}


# What Chroma declares, and the reader relies on: table -> what is not said any more.
UNDECLARED = {
    "embedding_metadata": "embedding_metadata (id, key) is not UNIQUE",
    "embeddings": "embeddings (id) is not UNIQUE",
    "collection_metadata": "collection_metadata (collection_id, key) is not UNIQUE",
    "embeddings_queue": "embeddings_queue (seq_id) is not UNIQUE",
    "collections": "collections (id) is not UNIQUE",
}


@pytest.mark.parametrize("table", UNDECLARED)
def test_a_table_that_may_hold_rows_twice_is_refused(folder, table):
    """Two values of one key: the second took the place of the first, and the rest was PROVEN."""
    files = ChromaFiles(folder)
    fill(files, 3)
    files.db.executescript(
        f"CREATE TABLE other AS SELECT * FROM {table}; INSERT INTO other SELECT * FROM {table}; "
        f"DROP TABLE {table}; ALTER TABLE other RENAME TO {table}"
    )
    files.close()
    with pytest.raises(LegacyFileError, match=re.escape(UNDECLARED[table])):
        import_now(folder, StoreOptions(dry_run=True), None, lambda event: None)


def test_a_table_that_may_hold_null_is_refused(folder):
    files = ChromaFiles(folder)
    fill(files, 3)
    files.db.executescript(
        "CREATE TABLE other (id INTEGER, key TEXT, string_value TEXT, int_value, float_value REAL, "
        "bool_value, PRIMARY KEY (id, key)); INSERT INTO other SELECT * FROM embedding_metadata; "
        "INSERT INTO other (id, string_value) VALUES (1, 'a'); "
        "DROP TABLE embedding_metadata; ALTER TABLE other RENAME TO embedding_metadata"
    )
    files.close()
    with pytest.raises(LegacyFileError, match="is not NOT NULL"):
        import_now(folder, StoreOptions(dry_run=True), None, lambda event: None)


def miss_a_row(folder, table, unique, row):
    """A row that the table has and no index: the indexes are away while it is written."""
    path = folder / "chroma.sqlite3"

    def hide(db, sql, indexes):
        version = db.execute("PRAGMA schema_version").fetchone()[0]
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (table,))
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))
        db.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", indexes)
        db.execute(f"PRAGMA schema_version = {version + 1}")
        db.close()

    db = sqlite3.connect(path, isolation_level=None)
    (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    indexes = db.execute(
        "SELECT * FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (table,)
    ).fetchall()
    assert unique in sql
    hide(db, sql.replace(unique, "CHECK (1)"), [])
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(row)
    db.close()
    hide(sqlite3.connect(path, isolation_level=None), sql, indexes)


MISSED = {
    "metadata": (
        "embedding_metadata", "PRIMARY KEY (id, key)",
        "INSERT INTO embedding_metadata (id, key, string_value) VALUES (1, 'added', 'late')",
    ),
    "an id": (
        "embeddings", "UNIQUE (segment_id, embedding_id)",
        "INSERT INTO embeddings (segment_id, embedding_id, seq_id) SELECT segment_id, 'k999', 1 "
        "FROM embeddings LIMIT 1",
    ),
    "an id that is gone from the table": (
        "embeddings", "UNIQUE (segment_id, embedding_id)", "DELETE FROM embeddings WHERE id = 3",
    ),
    "a changed id": (
        "embeddings", "UNIQUE (segment_id, embedding_id)",
        "UPDATE embeddings SET embedding_id = 'k777' WHERE id = 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSED)
def test_rows_are_read_from_the_table(folder, name):
    files = ChromaFiles(folder)
    fill(files, 5)
    files.close()
    miss_a_row(folder, *MISSED[name])
    before = (folder / "chroma.sqlite3").read_bytes()
    result = import_vectors(folder)
    (notice,) = {n for n in result.notices if "disagrees" in n}
    assert f"sqlite_autoindex_{MISSED[name][0]}_1" in notice
    assert f"{folder / 'chroma.sqlite3'}" in notice
    assert "REINDEX on a copy" in notice
    assert result.conserved
    if name == "metadata":
        assert Item.objects.get(embedding_id="k000").metadata["added"] == "late"
    proof = prove_vectors(folder)
    assert any("disagrees" in notice for notice in proof.notices)
    assert {f.kind for f in proof.findings} <= {OPEN}
    assert {line.name for line in open_lines(proof.inventory)} <= {
        "embedding_metadata (of no collection)"
    }
    assert (folder / "chroma.sqlite3").read_bytes() == before
    assert proof.sha256 == VectorStore().digest(folder)


@pytest.mark.parametrize("layout", ["0.4", "1.x"])
def test_a_row_twice_is_one_sentence(folder, layout):
    files = ChromaFiles(folder, layout)
    fill(files, 5)
    files.close()
    miss_a_row(
        folder, "embedding_metadata", "PRIMARY KEY (id, key)",
        "INSERT INTO embedding_metadata (id, key, string_value) VALUES (1, 's', 'again')",
    )  # fmt: skip
    for run in (import_vectors, prove_vectors):
        with pytest.raises(LegacyFileError) as caught:
            run(folder)
        said = str(caught.value)
        assert f"{folder / 'chroma.sqlite3'}: embedding_metadata holds rows" in said
        assert "delete the surplus rows in it until `REINDEX` succeeds" in said
        assert "\n" not in said


def test_the_judge_counts_what_it_read(folder, monkeypatch):
    """Its own full scan: were the index believed all the same, the row would be named."""
    files = ChromaFiles(folder)
    fill(files, 5)
    files.close()
    miss_a_row(folder, *MISSED["metadata"])
    engine = "stillme.transfer.sqlite.copying.snapshot"
    monkeypatch.setattr(f"{engine}.distrust_indexes", lambda *_, **__: ())
    import_vectors(folder)
    (line,) = open_lines(prove_vectors(folder).inventory)
    assert line.name == "embedding_metadata (of the collection stillme_knowledge)"
    assert (line.rows, "20 could be read" in line.why) == (21, True)
    assert names(import_vectors(folder).inventory) == {line.name}


def test_parts_count_their_rows(folder, monkeypatch):
    monkeypatch.setattr("vector.judge.run.PART_ROWS", 4)
    files = ChromaFiles(folder)
    made = fill(files, 20)
    made.write(ADD, "waits", [1.0] * 4, "d", {"a": 1}, apply=False)
    import_vectors(files.close())
    with open_store(folder) as store:
        assert len(store.parts(store.collections[0], 4)) > 2
    assert open_lines(prove_vectors(folder, jobs=1).inventory) == []


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["chroma_mixed", "chroma_0_4", "current", "old"])
def test_samples_have_nothing_open(samples, folder, name):
    shutil.copytree(samples / name / "data" / "vector_db", folder)
    lines = VectorStore().inventory()
    assert open_lines(lines) == []
    assert {line.target for line in lines} == {"", "vector.items", "vector.collections"}
