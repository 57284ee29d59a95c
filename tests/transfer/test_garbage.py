"""Thousands of parsed documents start no search for reference cycles, and it goes on after."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from stillme.transfer.plumbing.garbage import no_search_for_cycles
from stillme.transfer.steps.kinds.json_policy import all_clean
from stillme.transfer.verify.sides.json_blocks import DocumentBlock

DOCUMENTS = [b'{"a": [%d, {}]}' % number for number in range(5_000)]


@pytest.fixture
def searches() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        seen.append(phase)

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


@pytest.mark.parametrize(
    "work",
    [
        lambda: all_clean(DOCUMENTS),
        lambda: DocumentBlock(DOCUMENTS).is_same(b"[" + b",".join(DOCUMENTS) + b"]"),
    ],
)
def test_documents_start_none(work: Callable[[], bool], searches: list[str]) -> None:
    gc.collect()
    searches.clear()
    assert work()
    assert len(searches) <= 2
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="x"), no_search_for_cycles():
        assert not gc.isenabled()
        raise ValueError("x")
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off() -> None:
    with no_search_for_cycles():
        with no_search_for_cycles():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
