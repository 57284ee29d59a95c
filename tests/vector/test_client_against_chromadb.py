"""The adapter of ChromaDB's client answers what chromadb answers.

The tables and the random calls are in chroma_calls.py. What chromadb answered is recorded there,
so that this holds without it; where it is installed, the same calls and further random ones are
made on both.
"""

from __future__ import annotations

import pytest
from tests.vector import chroma_calls
from tests.vector.chroma_calls import BEFORE_DIFFERENT, DIFFERENT, play, recorded, same

from vector.client import PersistentClient

RECORDED = recorded()
SCENES = dict(chroma_calls.scenes())


def differences(lines, theirs, ours):
    """The lines that are answered in another way, with both answers."""
    answers = zip(lines, theirs, ours, strict=True)
    return [answer for answer in answers if not same(*answer[1:])]


@pytest.mark.django_db
@pytest.mark.parametrize("scene", SCENES)
def test_the_adapter_answers_as_recorded(scene):
    lines, theirs = zip(*RECORDED[scene], strict=True)
    assert list(lines) == SCENES[scene], "run python tests/vector/chroma_calls.py"
    assert differences(lines, theirs, play(PersistentClient("path"), list(lines))) == []


@pytest.mark.django_db
def test_where_it_differs_it_does_as_documented():
    lines = [*BEFORE_DIFFERENT, *DIFFERENT]
    answers = play(PersistentClient("path"), lines)[len(BEFORE_DIFFERENT) :]
    theirs = [answer for _, answer in RECORDED["different"]][len(BEFORE_DIFFERENT) :]
    for line, answer, other in zip(DIFFERENT, answers, theirs, strict=True):
        found = answer["raises"][0] if isinstance(answer, dict) else answer
        assert found == DIFFERENT[line], line
        assert not same(other, answer), f"no difference any more: {line}"


def test_a_planted_difference_is_seen():
    line, answer = RECORDED["shapes of get"][2]
    assert line == "c.get()"
    assert same(answer, answer)
    for part, wrong in {"ids": ["a", "b"], "documents": ["x", "", ""], "uris": []}.items():
        assert not same(answer, {**answer, part: wrong})
    metadatas = [{"k": 1.0}, *answer["metadatas"][1:]]
    assert not same(answer, {**answer, "metadatas": metadatas}), "1 is not 1.0"
    assert not same(answer, {"raises": ["NotFoundError"]})
    assert not same({"raises": ["NotFoundError"]}, answer)
    assert not same([0.5], [0.5002])


@pytest.fixture
def chroma():
    """A client of chromadb itself."""
    pytest.importorskip("chromadb", reason="the package chromadb is not installed")
    return chroma_calls.chroma_client()


@pytest.mark.parametrize("scene", SCENES)
def test_chromadb_still_answers_so(scene, chroma):
    lines, theirs = zip(*RECORDED[scene], strict=True)
    assert differences(lines, theirs, play(chroma, list(lines))) == []


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(100, 108))
def test_random_calls_on_both(seed, chroma):
    lines = chroma_calls.random_lines(seed, 100)
    ours = play(PersistentClient("path"), lines)
    assert differences(lines, play(chroma, lines), ours) == []
