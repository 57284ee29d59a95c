"""The adapter of ChromaDB's client answers what chromadb answers.

The calls are in client/calls.txt and client/random_calls.py. What chromadb answered is recorded,
so that this holds without it; where it is installed, the same calls and further random ones are
made on both.
"""

from __future__ import annotations

import pytest

from tests.vector.client.play import VERSION, chroma_client, play, recorded, same, scenes
from tests.vector.client.random_calls import random_lines
from tests.vector.moving import import_vectors
from vector.client import PersistentClient

RECORDED = recorded()
SCENES = scenes()
# The scene "different": what the adapter answers there, or the error's name; vectors.md says why.
DIFFERENT = {
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas=[{'gone': None, 'k': 1}])": None,
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas=[{'list': [1, 2]}])": None,
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas={'x': float('nan')})": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas=['word'])": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[1, 2]], documents=['a' + chr(0)])": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[1, 2]], uris=['http://x'])": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[float('nan'), 2]])": "InvalidArgumentError",
    "c.get(limit=-1)": "InvalidArgumentError",
    "c.get(limit=1.0)": "InvalidArgumentError",
    "c.get(where={'$and': [{'k': 'z'}]})['ids']": ["c"],
    "c.get(where={'f': {'$in': [1, 'z']}})['ids']": ["c"],
    "c.query(query_embeddings=[1, 2], ids=['b', 'nobody'])['ids']": [["b"]],
    "c.query(query_embeddings=[1, float('nan')])['ids']": "InvalidArgumentError",
    "c.query(query_embeddings=[[]])": "InvalidArgumentError",
}


def differences(lines, theirs, ours):
    """The lines that are answered in another way, with both answers."""
    answers = zip(lines, theirs, ours, strict=True)
    return [answer for answer in answers if not same(*answer[1:])]


@pytest.mark.django_db
@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene != "different"])
def test_the_adapter_answers_as_recorded(scene):
    lines, theirs = zip(*RECORDED[scene], strict=True)
    assert list(lines) == SCENES[scene], "run python -m tests.vector.client.play"
    assert differences(lines, theirs, play(PersistentClient("path"), list(lines))) == []


@pytest.mark.django_db
def test_where_it_differs_it_does_as_documented():
    lines, theirs = zip(*RECORDED["different"], strict=True)
    assert list(lines) == SCENES["different"], "run python -m tests.vector.client.play"
    answers = list(zip(lines, theirs, play(PersistentClient("path"), list(lines)), strict=True))[2:]
    found = {
        line: answer["raises"][0] if isinstance(answer, dict) else answer
        for line, _, answer in answers
    }
    assert found == DIFFERENT
    assert [line for line, other, answer in answers if same(other, answer)] == []


def test_a_planted_difference_is_seen():
    line, answer = RECORDED["shapes of get"][2]
    assert line == "c.get()"
    assert same(answer, answer)
    for part, wrong in {"ids": ["a", "b"], "documents": ["x", "", ""], "uris": []}.items():
        assert not same(answer, {**answer, part: wrong})
    for wrong in (1.0, True, "1"):
        metadatas = [{"k": wrong}, *answer["metadatas"][1:]]
        assert not same(answer, {**answer, "metadatas": metadatas})
    assert not same(answer, {"raises": ["NotFoundError"]})
    assert not same({"raises": ["NotFoundError"]}, answer)
    assert not same({"raises": ["NotFoundError"]}, {"raises": ["ValueError", "Exception"]})
    assert not same([0.5], [0.5002])


@pytest.fixture
def chroma(tmp_path):
    """A client of chromadb itself."""
    chromadb = pytest.importorskip("chromadb", reason="the package chromadb is not installed")
    if chromadb.__version__ != VERSION:
        pytest.skip(f"compared with chromadb {VERSION}; {chromadb.__version__} is installed")
    return chroma_client(str(tmp_path))


@pytest.mark.parametrize("scene", SCENES)
def test_chromadb_still_answers_so(scene, chroma):
    lines, theirs = zip(*RECORDED[scene], strict=True)
    assert differences(lines, theirs, play(chroma, list(lines))) == []


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(100, 108))
def test_random_calls_on_both(seed, chroma):
    lines = random_lines(seed, 100)
    ours = play(PersistentClient("path"), lines)
    assert differences(lines, play(chroma, lines), ours) == []


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(200, 203))
def test_a_store_that_was_moved_answers_as_before(seed, chroma, tmp_path):
    written = random_lines(seed, 100)
    play(chroma, written)
    assert import_vectors(tmp_path).conserved
    reads = [line for line in written if line.startswith(("c.get", "c.query", "c.peek"))]
    lines = ["(c := client.get_collection('random', embedding_function=embed))", *reads, "c.get()"]
    lines += ["c.metadata", "str(c.id)", "c.count()"]
    ours = play(PersistentClient("path"), lines)
    assert differences(lines, play(chroma, lines), ours) == []
