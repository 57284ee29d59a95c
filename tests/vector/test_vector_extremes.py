"""Vectors whose squares leave float32: no finding that nobody could clear."""

from __future__ import annotations

import random

import pytest

from stillme.transfer.findings import FindingKind
from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import import_vectors, prove_vectors
from vector.models import Item

pytestmark = pytest.mark.django_db
NOT_COMPARED = (
    "search not compared: there is no pgvector",
    "search not compared: pgvector's float32 cannot order some vectors",
)

# How large the components of a third of the vectors are.
SCALES = [1e20, 1e30, 3e38, 1e19, 1e-20, 1e-30, 1e-42, 1e15, 1e-15, 0.0]


def made(folder, space, scale, count=40):
    files = ChromaFiles(folder)
    collection = files.collection("c", space=space)
    rng = random.Random(7)
    for n in range(count):
        size = scale if n % 3 == 0 else 1.0
        collection.write(ADD, f"k{n:02}", [rng.uniform(-1, 1) * size for _ in range(4)], "d")
    return files, collection


@pytest.mark.slow_after(1, by="space")
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_extreme_vectors_are_proven(tmp_path, space, scale):
    files, _ = made(tmp_path / "vector_db", space, scale)
    import_vectors(files.close())
    proof = prove_vectors(files.folder)
    assert proof.findings == []
    (seen,) = proof.collections
    assert seen.queries_equal == seen.queries
    assert seen.queries or seen.search in NOT_COMPARED


@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_all_vectors_extreme(tmp_path, space):
    files = ChromaFiles(tmp_path / "vector_db")
    collection = files.collection("c", space=space)
    rng = random.Random(9)
    for n in range(30):
        scale = rng.choice([1e20, 1e-30, 1e25])
        collection.write(ADD, f"k{n}", [rng.uniform(-1, 1) * scale for _ in range(4)], "d")
    import_vectors(files.close())
    proof = prove_vectors(files.folder)
    assert proof.findings == []
    assert proof.collections[0].search in NOT_COMPARED


def test_a_changed_extreme_vector_is_found(tmp_path):
    files, _ = made(tmp_path / "vector_db", "l2", 1e20)
    import_vectors(files.close())
    item = Item.objects.get(embedding_id="k03")
    item.embedding = [x * 1.000001 for x in item.embedding]
    item.save()
    found = prove_vectors(files.folder).findings
    assert ("vector.items:embedding", "k03", FindingKind.VALUE) in {
        (f.where, f.key, f.kind) for f in found
    }
