"""One odd value in a store: it is imported, repaired or set aside, and the judge agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.models import KeptCell, QuarantinedRow
from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import import_vectors, prove_vectors, verify_vectors
from tests.vector.test_vector_import import fill, vector
from vector import services
from vector.chroma import open_store
from vector.models import Collection, Item
from vector.serving.given_values import VectorError

pytestmark = pytest.mark.django_db
QUEUED = (
    '{"n": 1e5000}', '{"n": 1e400}', '{"n": -1e999999999999999999999}', f'{{"n": {"9" * 5000}}}',
    f'{{"n": {"9" * 131_072}}}', f'{{"n": {"9" * 131_073}}}', '{"n": [[1e999999999999999999999]]}',
    "[" * 300 + "]" * 300, '{"a":' * 499 + "1" + "}" * 499, '{"a":' * 20_000, '{"n": NaN}', "٣",
    '{"\\ud800": 1}', '{"a": "\\udc00"}', '{"a": "\\u0000", "\\u0000": 1}', '{"n": -0.0}', "{",
    f'{{"{"k" * 100_000}": 1}}', '{"a": 1, "a": 2}', '{"n": 18446744073709551616}', "null", "1",
    '{"n": 1}}',
)  # fmt: skip


def test_metadata_that_is_queued(tmp_path: Path) -> None:
    files = ChromaFiles(tmp_path / "vector_db")
    made = fill(files, 3, "odd", space="cosine")
    for number, text in enumerate(QUEUED):
        made.write(ADD, f"id-{number}", vector(40 + number), "d", {"x": 1}, apply=False)
        files.db.execute(
            "UPDATE embeddings_queue SET metadata = ? WHERE id = ?", (text, f"id-{number}")
        )
    import_vectors(files.close())
    QuarantinedRow.objects.update(status="accepted")
    assert verify_vectors(files.folder) == []
    assert Item.objects.count() + QuarantinedRow.objects.count() == 3 + len(QUEUED)
    found = dict(Item.objects.values_list("embedding_id", "metadata"))
    assert found["id-3"] == {"n": int("9" * 5000)}


def test_an_id_that_is_a_blob(tmp_path: Path) -> None:
    files = ChromaFiles(tmp_path / "vector_db")
    fill(files, 30, "odd")
    files.db.execute("UPDATE embeddings SET embedding_id = CAST(embedding_id AS BLOB) WHERE id = 4")
    assert import_vectors(files.close(), jobs=1).conserved
    (row,) = QuarantinedRow.objects.all()
    assert row.reason == "bad_metadata"
    QuarantinedRow.objects.update(status="accepted")
    for level in ("counts", "full"):
        assert prove_vectors(files.folder, level=level).findings == []
    with open_store(files.folder) as store:
        (collection,) = store.collections
        parts = [r for part in store.parts(collection, 10) for r in store.items(collection, part)]
        assert sorted(map(repr, parts)) == sorted(map(repr, store.items(collection)))


# What is stored elsewhere than Chroma would -> what is open in quarantine, or kept, then.
STORED: dict[str, tuple[str, str]] = {
    "a queued operation with metadata that is a blob": (
        "UPDATE embeddings_queue SET metadata = CAST(metadata AS BLOB)", "bad_metadata",
    ),
    "a number that is none": ("UPDATE embeddings SET seq_id = 'x' WHERE id = 1", "bad_metadata"),
    "a number of more than 64 bits": (
        "UPDATE embeddings SET seq_id = x'80000000000000000000' WHERE id = 1", "bad_metadata",
    ),
    "a time that is a number": ("UPDATE embeddings SET created_at = 5", "unreadable_time"),
    "a time that is a blob": ("UPDATE embeddings SET created_at = x'ff'", "unreadable_time"),
}  # fmt: skip


@pytest.mark.parametrize("name", STORED)
def test_another_storage_class(tmp_path: Path, name: str) -> None:
    statement, reason = STORED[name]
    files = ChromaFiles(tmp_path / "vector_db")
    made = files.collection("odd")
    made.write(ADD, "a", vector(1), "d", {"x": 1})
    made.write(ADD, "b", vector(2), "d", {"x": 1}, apply=False)
    files.db.execute(statement)
    import_vectors(files.close())
    aside = QuarantinedRow.objects.values_list("reason", flat=True)
    kept = KeptCell.objects.values_list("reason", flat=True)
    assert set(aside) | set(kept) == {reason}
    QuarantinedRow.objects.update(status="accepted")
    assert verify_vectors(files.folder) == []


REFUSED = {
    "UPDATE embeddings_queue SET id = CAST(id AS BLOB)": "an id that is no text",
    "UPDATE collections SET name = x'ff'": "a name that is no text",
    "UPDATE collections SET dimension = 'x'": "a dimension that is no whole number",
    "UPDATE collections SET database_id = CAST(x'ff' AS TEXT)": "The vector store's chroma.sqlite3",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path, statement: str) -> None:
    files = ChromaFiles(tmp_path / "vector_db")
    files.collection("odd").write(ADD, "a", vector(1), "d", {"x": 1}, apply=False)
    files.db.execute(statement)
    with pytest.raises(LegacyFileError, match=REFUSED[statement]):
        import_vectors(files.close())


@pytest.mark.parametrize("text", ["[" * 5000, '{"hnsw": ' * 5000, "1e5000", "9" * 5000, "٣"])
def test_the_configuration_of_a_collection(tmp_path: Path, text: str) -> None:
    files = ChromaFiles(tmp_path / "vector_db")
    made = files.collection("odd", config=text)
    made.write(ADD, "a", vector(1), "d", {"x": 1})
    import_vectors(files.close())
    assert verify_vectors(files.folder) == []


ODD = (
    {"ids": ["a\ud800"]},
    {"documents": ["half \udfff"]},
    {"metadatas": [{"k": "\ud83d"}]},
    {"metadatas": [{"k": ["x", "\ud83d"]}]},
    {"metadatas": [{"\udc00": 1}]},
    {"metadatas": [{"n": 10**131_073}]},
)


@pytest.mark.parametrize("odd", ODD)
def test_what_postgresql_cannot_hold_is_refused_in_a_sentence(
    collection: Collection, odd: dict[str, list[object]]
) -> None:
    given = {"ids": ["new"], "documents": ["d"], "metadatas": [{"n": 10**5000}]}
    with pytest.raises(VectorError):
        services.add(collection, embeddings=[[1.0, 2.0, 3.0]], **{**given, **odd})
    services.add(collection, embeddings=[[1.0, 2.0, 3.0]], **given)
    assert Item.objects.get(embedding_id="new").metadata == {"n": 10**5000}
