"""Marks that cannot be, and stores of the first releases of 0.4."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vector.chroma_files import ADD, DELETE, UPDATE, UPSERT, ChromaFiles, Made, floats
from tests.vector.test_chroma_reader import filled, read, vector
from vector.chroma import open_store

# What a migration of Chroma's makes of numbers that were integers already, and other nonsense.
MISREAD = 0x1111111111000000
WRONG = [
    lambda last: MISREAD + int(f"{last}".encode().hex(), 16),
    lambda last: last + 1,
    lambda last: 2**63 - 1,
    lambda last: "no number",
]


@pytest.fixture(params=["0.4", "1.x"])
def files(request: pytest.FixtureRequest, tmp_path: Any) -> ChromaFiles:
    """A store in the making, of either layout."""
    return ChromaFiles(tmp_path / "vector_db", request.param)


def with_pending(files: ChromaFiles) -> Made:
    """Six ids that the tables have, and operations that wait."""
    made = filled(files)
    made.write(UPDATE, "k0", None, "late", {"n": None, "more": 1.5}, apply=False)
    made.write(ADD, "k9", vector(9), "new", {"flag": False}, apply=False)
    made.write(DELETE, "k1", apply=False)
    made.write(ADD, "k2", vector(8), "ignored", apply=False)
    made.write(UPSERT, "k3", vector(93), "upserted", apply=False)
    return made


def set_mark(files: ChromaFiles, segment: str, value: object) -> None:
    """Let `max_seq_id` hold this."""
    if isinstance(value, int) and files.layout == "0.4":
        value = value.to_bytes(8, "big")
    files.db.execute("INSERT OR REPLACE INTO max_seq_id VALUES (?, ?)", (segment, value))


@pytest.mark.slow_after(1, by="wrong")
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("flush", ["no", "kept", "purged"])
def test_operations_that_wait_are_read_in_spite_of_the_mark(
    files: ChromaFiles, wrong: Any, flush: str
) -> None:
    made = filled(files)
    if flush != "no":
        made.flush(purge=flush == "purged")
    made.write(UPDATE, "k0", vector(90), "late", {"n": None, "more": 1.5}, apply=False)
    made.write(ADD, "k9", vector(9), "new", {"flag": False}, apply=False)
    made.write(DELETE, "k1", apply=False)
    made.write(ADD, "k2", vector(8), "ignored", apply=False)
    made.write(UPSERT, "k3", vector(93), "upserted", apply=False)
    set_mark(files, made.ids, wrong(files.seq_id))
    if flush != "no":
        set_mark(files, made.vectors, wrong(files.seq_id))
    items, problems = read(files.close())
    assert not problems
    assert set(items) == {"k0", "k2", "k3", "k4", "k5", "k9"}
    assert items["k0"].metadata == {"real": 1.0, "yes": True, "more": 1.5}
    assert [items[key].document for key in ("k0", "k2", "k3", "k9")] == [
        "late", "doc 2", "upserted", "new",
    ]  # fmt: skip
    seeds = {"k0": 90, "k2": 2, "k3": 93, "k4": 4, "k5": 5, "k9": 9}
    assert {key: item.vector for key, item in items.items()} == {
        key: floats(vector(seed)) for key, seed in seeds.items()
    }


def test_a_queue_that_began_again(files: ChromaFiles) -> None:
    """Somebody emptied the queue by hand, so its numbers started at 1; the mark stood at 6."""
    made = filled(files)
    made.flush()
    files.db.execute("DELETE FROM embeddings_queue")
    files.seq_id = 0
    made.write(ADD, "k9", vector(9), "new", apply=False)
    made.write(DELETE, "k1", apply=False)
    items, problems = read(files.close())
    assert not problems
    assert set(items) == {"k0", "k2", "k3", "k4", "k5", "k9"}


def test_a_mark_that_is_not_believed_is_told(files: ChromaFiles) -> None:
    made = with_pending(files)
    set_mark(files, made.ids, MISREAD)
    with open_store(files.close()) as store:
        (notice,) = store.notices
        assert "which cannot be" in notice
        assert len(store.ids(store.collections[0])) == 6
    with open_store(filled(ChromaFiles(files.folder / "sound")).files.close()) as store:
        assert store.notices == ()


def test_applied_operations_above_the_last_id_change_nothing(files: ChromaFiles) -> None:
    """The last operation was a delete: the mark is above every id that is there, and right."""
    made = filled(files)
    made.write(DELETE, "k5")
    set_mark(files, made.ids, MISREAD)
    items, problems = read(files.close())
    assert not problems
    assert set(items) == {"k0", "k1", "k2", "k3", "k4"}
    assert items["k4"].metadata == {"n": 4, "real": 1.0, "yes": True}


def test_tables_without_booleans(tmp_path: Any) -> None:
    """Chroma 0.4.0 to 0.4.2 had no column for them, nor tenants, nor a dimension."""
    files = ChromaFiles(tmp_path / "vector_db", "0.4")
    made = files.collection("knowledge", dimension=None)
    for n in range(3):
        made.write(ADD, f"k{n}", vector(n), f"doc {n}", {"n": n, "real": 1.5})
    made.write(ADD, "k9", vector(9), None, {"later": "x"}, apply=False)
    row = files.db.execute("SELECT id FROM embeddings LIMIT 1").fetchone()[0]
    for statement in (
        "ALTER TABLE embedding_metadata DROP COLUMN bool_value",
        "DROP TABLE tenants",
        "DROP TABLE databases",
        "CREATE TABLE c2 (id TEXT PRIMARY KEY, name TEXT NOT NULL, topic TEXT NOT NULL)",
        "INSERT INTO c2 SELECT id, name, topic FROM collections",
        "DROP TABLE collections",
        "ALTER TABLE c2 RENAME TO collections",
        "DROP TABLE collection_metadata",
    ):
        files.db.execute(statement)
    items, problems = read(files.folder)
    assert not problems
    assert items["k1"].metadata == {"n": 1, "real": 1.5}
    assert (items["k1"].document, items["k9"].metadata) == ("doc 1", {"later": "x"})
    # Two values at once are still no value that Chroma writes.
    files.db.execute(
        "UPDATE embedding_metadata SET int_value = 1 WHERE id = ? AND key = 'real'", (row,)
    )
    items, problems = read(files.close())
    assert [json.dumps(p.raw["metadata"]) for p in problems if "float_value" in p.sentence]
