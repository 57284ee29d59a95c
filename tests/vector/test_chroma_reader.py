"""The Chroma reader on files of both layouts: what it reads, and what it says of what it can't."""

from __future__ import annotations

import math
import random
import sqlite3
from array import array

import pytest

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.inventory.entries import open_lines
from tests.vector.chroma_files import ADD, DELETE, UPDATE, UPSERT, ChromaFiles, floats
from vector.chroma import Item, Metric, Origin, Problem, Reason, open_store
from vector.chroma.segment import close_enough, scaled

LAYOUTS = ["0.4", "1.x"]


def vector(seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(0, 2) for _ in range(4)]


def read(folder) -> tuple[dict[str, Item], list[Problem]]:
    with open_store(folder) as store:
        records = [r for c in store.collections for r in store.items(c)]
        pieces = [(c, part) for c in store.collections for part in store.parts(c, 2)]
        parted = [r for c, part in pieces for r in store.items(c, part)]
        assert sorted(map(repr, parted)) == sorted(map(repr, records))
    items = {r.embedding_id: r for r in records if isinstance(r, Item)}
    return items, [r for r in records if isinstance(r, Problem)]


@pytest.fixture(params=LAYOUTS)
def files(request, tmp_path):
    return ChromaFiles(tmp_path / "vector_db", request.param)


def filled(files, count=6, **options):
    made = files.collection("knowledge", **options)
    for n in range(count):
        made.write(ADD, f"k{n}", vector(n), f"doc {n}", {"n": n, "real": 1.0, "yes": True})
    return made


def test_queue_only(files):
    filled(files, 3)
    items, problems = read(files.close())
    assert not problems
    assert list(items) == ["k0", "k1", "k2"]
    first = items["k0"]
    assert (first.document, first.origin, first.vector) == (
        "doc 0", Origin.QUEUE, floats(vector(0)),
    )  # fmt: skip
    assert [(k, type(v)) for k, v in first.metadata.items()] == [
        ("n", int), ("real", float), ("yes", bool),
    ]  # fmt: skip


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("space", "origin"),
    [(None, "segment_l2"), ("ip", "segment_ip"), ("cosine", "segment_cosine")],
)
def test_purged_queue_reads_all_from_the_segment(files, space, origin):
    made = filled(files, space=space)
    made.flush(purge=True)
    files.db.execute("DELETE FROM embeddings_queue")
    items, problems = read(files.close())
    assert not problems
    assert {item.origin for item in items.values()} == {Origin(origin)}
    for n in range(6):
        found, exact = items[f"k{n}"].vector, floats(vector(n))
        assert close_enough(exact, found)
        assert origin == "segment_cosine" or found == exact


def test_both_and_the_unpurged_queue_gives_the_exact_bits(files):
    made = filled(files, space="cosine")
    made.flush(purge=False)
    made.write(ADD, "later", vector(50))
    items, problems = read(files.close())
    assert not problems
    assert {item.origin for item in items.values()} == {Origin.QUEUE}
    assert items["k3"].vector == floats(vector(3))


def test_queue_that_disagrees_with_the_segment_is_not_believed(files):
    """An add that was ignored stays in the queue with a vector that nobody has."""
    made = filled(files)
    made.flush(purge=False)
    files.db.execute("UPDATE embeddings_queue SET vector = ? WHERE id = 'k2'", (floats([9] * 4),))
    items, _ = read(files.close())
    assert items["k2"].origin is Origin.SEGMENT_L2
    assert items["k2"].vector == floats(vector(2))


def test_operations_after_the_flush(files):
    made = filled(files)
    made.flush()
    made.write(ADD, "k0", vector(90), "ignored", {"n": -1})
    made.write(UPDATE, "k1", vector(91), "updated")
    made.write(UPDATE, "k2", None, None, {"n": 22})
    made.write(UPSERT, "k3", vector(93), "upserted")
    made.write(UPSERT, "fresh", vector(94), "new")
    made.write(DELETE, "k4")
    made.write(DELETE, "k5")
    made.write(ADD, "k5", vector(95), "again")
    made.write(UPDATE, "nobody", vector(96), "nothing")
    made.write(DELETE, "nobody")
    items, problems = read(files.close())
    assert not problems
    assert {key: item.document for key, item in items.items()} == {
        "k0": "doc 0", "k1": "updated", "k2": "doc 2", "k3": "upserted", "fresh": "new",
        "k5": "again",
    }  # fmt: skip
    seeds = {"k0": 0, "k1": 91, "k2": 2, "k3": 93, "fresh": 94, "k5": 95}
    assert {key: item.vector for key, item in items.items()} == {
        key: floats(vector(seed)) for key, seed in seeds.items()
    }
    assert items["k2"].metadata["n"] == 22
    assert items["k0"].metadata["n"] == 0


def test_metadata_that_chroma_has_not_applied_yet(files):
    made = filled(files, 3)
    made.write(UPDATE, "k0", None, "late", {"n": None, "more": 1.5}, apply=False)
    made.write(ADD, "k9", vector(9), "late too", {"flag": False}, apply=False)
    made.write(DELETE, "k1", apply=False)
    made.write(ADD, "k2", vector(8), "ignored", apply=False)
    items, problems = read(files.close())
    assert not problems
    assert set(items) == {"k0", "k2", "k9"}
    assert items["k0"].document == "late"
    assert items["k0"].metadata == {"real": 1.0, "yes": True, "more": 1.5}
    assert items["k9"].metadata == {"flag": False}
    assert items["k2"].document == "doc 2"


def test_deleted_elements_are_not_vectors_without_id(files):
    made = filled(files)
    made.flush(purge=True, deleted={"gone": floats(vector(99))})
    assert not read(files.close())[1]


def test_id_without_vector(files):
    made = filled(files, 2)
    files.db.execute("DELETE FROM embeddings_queue WHERE id = 'k1'")
    items, problems = read(files.close())
    assert set(items) == {"k0"}
    (problem,) = problems
    assert (problem.reason, problem.embedding_id, problem.collection) == (
        Reason.NO_VECTOR, "k1", made.name,
    )  # fmt: skip
    assert problem.raw["metadata"]["chroma:document"] == "doc 1"
    assert "k1" in problem.sentence


def test_vector_without_id_in_queue_and_segment(files):
    made = filled(files, 3)
    made.flush(purge=True)
    files.db.execute("DELETE FROM embedding_metadata WHERE id = 2")
    files.db.execute("DELETE FROM embeddings WHERE embedding_id = 'k1'")
    made.state["nameless"] = floats(vector(7))
    folder = made.flush(purge=True)
    rewrite_labels(folder, drop="nameless", old=files.layout == "0.4")
    _, problems = read(files.close())
    assert {(p.reason, p.embedding_id) for p in problems} == {
        (Reason.NO_ID, "k1"), (Reason.NO_ID, None),
    }  # fmt: skip
    assert all(p.raw["vector"] for p in problems)


def rewrite_labels(folder, *, drop: str, old: bool) -> None:
    from tests.vector.chroma_files import label_pickle
    from vector.chroma.segment import read_label_map

    path = folder / "index_metadata.pickle"
    labels = read_label_map(path)
    kept = {key: label for label, key in labels.id_of.items() if key != drop}
    path.write_bytes(label_pickle(kept, 4, labels.max_seq_id if old else None))


def test_truncated_segment_names_the_ids(files):
    made = filled(files, space="cosine")
    folder = made.flush(purge=True)
    files.db.execute("DELETE FROM embeddings_queue")
    whole = (folder / "data_level0.bin").read_bytes()
    (folder / "data_level0.bin").write_bytes(whole[: 156 * 4 + 10])
    items, problems = read(files.close())
    assert set(items) == {"k0", "k1", "k2", "k3"}
    assert [p.embedding_id for p in problems] == [None, "k4", "k5"]
    assert {p.reason for p in problems} == {Reason.TRUNCATED}
    assert "4 of 6" in problems[0].sentence


def test_truncated_norms_name_the_ids(files):
    made = filled(files, space="cosine")
    folder = made.flush(purge=True)
    files.db.execute("DELETE FROM embeddings_queue")
    (folder / "length.bin").write_bytes((folder / "length.bin").read_bytes()[:14])
    items, problems = read(files.close())
    assert set(items) == {"k0", "k1", "k2"}
    assert [p.embedding_id for p in problems[1:]] == ["k3", "k4", "k5"]


def test_truncated_segment_loses_nothing_that_the_queue_still_has(files):
    made = filled(files)
    folder = made.flush(purge=False)
    (folder / "data_level0.bin").write_bytes(b"")
    items, problems = read(files.close())
    assert [p.embedding_id for p in problems] == [None]
    assert {key: item.vector for key, item in items.items()} == {
        f"k{n}": floats(vector(n)) for n in range(6)
    }


@pytest.mark.parametrize("name", ["header.bin", "index_metadata.pickle", "data_level0.bin"])
def test_a_segment_file_that_is_missing_or_rubbish(files, name):
    made = filled(files, 2)
    folder = made.flush(purge=True)
    files.db.execute("DELETE FROM embeddings_queue")
    if name == "data_level0.bin":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(b"rubbish")
    items, problems = read(files.close())
    assert not items
    assert problems[0].embedding_id is None
    assert [p.embedding_id for p in problems[1:]] == ["k0", "k1"]


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch /tmp/owned'\ntR.",
        b"cbuiltins\neval\n(S'1/0'\ntR.",
        b"",
        b"\x80\x05N.",
        b"\x80\x05}\x8c\x0bid_to_label]s.",
        b"\x80\x05}\x8c\x0bid_to_label}\x8c\x01aGs.",
    ],
)
def test_a_pickle_that_is_no_label_map_is_refused(files, content):
    made = filled(files, 1)
    folder = made.flush(purge=True)
    (folder / "index_metadata.pickle").write_bytes(content)
    _, problems = read(files.close())
    assert problems[0].reason is Reason.BAD_PICKLE
    assert "refused" in problems[0].sentence


def test_wrong_dimension_and_unknown_encoding(files):
    made = filled(files, 1)
    made.write(ADD, "short", [1.0, 2.0], "three")
    made.write(ADD, "ints", [1.0] * 4, "four", encoding="INT32")
    items, problems = read(files.close())
    assert set(items) == {"k0"}
    assert {(p.embedding_id, p.reason) for p in problems} == {
        ("short", Reason.WRONG_DIMENSION), ("ints", Reason.UNKNOWN_ENCODING),
    }  # fmt: skip
    assert all(p.raw["vector"] for p in problems)


def test_values_that_are_hard(files):
    made = files.collection("hard")
    made.write(ADD, "nul", vector(1), "a\0b", {"t": "c\0d"})
    made.write(ADD, "none", vector(2), None, {"x": 1})
    made.write(ADD, "empty", vector(3), "", {})
    made.write(ADD, "nan", [math.nan, math.inf, -0.0, 1e-45], "x", {"score": math.nan})
    items, problems = read(files.close())
    assert not problems
    assert (items["nul"].document, items["nul"].metadata) == ("a\0b", {"t": "c\0d"})
    assert items["none"].document is None
    assert items["empty"].document == ""
    assert items["nan"].metadata == {"score": None}
    assert items["nan"].vector == floats([math.nan, math.inf, -0.0, 1e-45])


def test_text_that_is_not_utf8_is_a_problem(files):
    filled(files, 2)
    files.db.execute(
        "UPDATE embedding_metadata SET string_value = CAST(x'66ff' AS TEXT) "
        "WHERE id = 1 AND key = 'chroma:document'"
    )
    items, problems = read(files.close())
    assert set(items) == {"k1"}
    assert problems[0].reason is Reason.INVALID_UTF8
    assert problems[0].raw["metadata"]["chroma:document"] == "f\\xff"


SCHEMA = '{"keys": {"#embedding": {"float_list": {"vector_index": {"config": {"space": "ip"}}}}}}'


@pytest.mark.parametrize(
    ("space", "config", "schema", "expected"),
    [
        (None, "{}", None, Metric.L2),
        ("cosine", "{}", None, Metric.COSINE),
        (None, '{"hnsw": {"space": "cosine"}}', None, Metric.COSINE),
        ("ip", '{"hnsw": {"space": "l2"}}', None, Metric.IP),
        (None, '{"hnsw_configuration": {"space": "ip"}}', None, Metric.IP),
        ("cosine", "{}", SCHEMA, Metric.IP),
        (None, "not json", '{"defaults": []}', Metric.L2),
    ],
)
def test_the_metric_is_what_the_store_says(tmp_path, space, config, schema, expected):
    files = ChromaFiles(tmp_path / "db")
    files.collection("c", space=space, config=config, schema=schema)
    with open_store(files.close()) as store:
        (collection,) = store.collections
        assert collection.metric is expected
        assert (collection.tenant, collection.database) == ("default_tenant", "default_database")
        assert collection.metadata["description"] == "about c"


def test_leftovers_are_open(files):
    filled(files, 2)
    files.db.execute("DELETE FROM collections")
    files.db.execute("DELETE FROM segments")
    files.db.execute("CREATE TABLE strange (a)")
    files.db.execute("INSERT INTO strange VALUES (1)")
    with open_store(files.close()) as store:
        found = {line.name: line.rows for line in open_lines(store.inventory(files.folder))}
    assert found == {
        "collection_metadata (of no collection)": 1, "embeddings (of no collection)": 2,
        "embeddings_queue (of no collection)": 2, "strange": 1,
    }  # fmt: skip


def test_reading_leaves_the_folder_as_it_was(files):
    filled(files).flush()
    folder = files.close()
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    read(folder)
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    assert after == before


def test_refuses_a_store_that_moves_under_the_copy(files, tmp_path, monkeypatch):
    made = filled(files)
    made.flush()
    from vector.chroma import snapshot

    take_snapshot = snapshot.take_snapshot

    def write_meanwhile(*arguments):
        copy = take_snapshot(*arguments)
        made.write(ADD, "late", vector(1))
        return copy

    monkeypatch.setattr(snapshot, "take_snapshot", write_meanwhile)
    with pytest.raises(LegacyFileError, match="changed while it was copied"):
        snapshot.copy_store(files.folder, tmp_path / "copy")


def test_a_transaction_that_a_writer_died_in_is_rolled_back_in_the_copy(files):
    made = files.collection("c")
    made.write(ADD, "a", [1.0, 2.0, 3.0, 4.0], "before")
    folder = files.close()
    database = folder / "chroma.sqlite3"
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE embedding_metadata SET string_value = 'amid'")
    writer.execute("UPDATE embeddings_queue SET metadata = ?", ("x" * 100_000,))
    journal = folder / "chroma.sqlite3-journal"
    left = [(path, path.read_bytes()) for path in (database, journal)]
    writer.execute("ROLLBACK")
    writer.close()
    for path, content in left:
        path.write_bytes(content)
    with open_store(folder) as store:
        (item,) = store.items(store.collections[0])
    assert item.document == "before"
    assert [path.read_bytes() for path, _ in left] == [content for _, content in left]


def test_refuses_what_is_no_store(tmp_path):
    with pytest.raises(LegacyFileError, match=r"no file .*chroma\.sqlite3"):
        read(tmp_path)
    (tmp_path / "chroma.sqlite3").write_bytes(b"something else, long enough")
    with pytest.raises(LegacyFileError, match="not a SQLite database"):
        read(tmp_path)
    (tmp_path / "chroma.sqlite3").unlink()
    sqlite3.connect(tmp_path / "chroma.sqlite3").execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(LegacyFileError, match="not of a layout"):
        read(tmp_path)


def test_unknown_operation_is_refused(files):
    made = filled(files, 1)
    made.write(7, "k0", apply=False)
    with pytest.raises(LegacyFileError, match="unknown code 7"):
        read(files.close())


def test_a_vector_times_its_norm_is_rounded_once():
    rng = random.Random(3)
    cases = [([rng.gauss(0, 1) for _ in range(50)], rng.uniform(1e-3, 9)) for _ in range(200)]
    cases.append(([1e-40, -0.0, 3e38, math.inf], 1e-3))
    for numbers, norm in cases:
        vector, (factor,) = array("f", numbers), array("f", [norm])
        expected = array("f", [x * factor for x in vector]).tobytes()
        assert scaled(vector.tobytes(), factor) == expected
