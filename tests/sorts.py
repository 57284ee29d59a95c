"""Long tables of cases: one case of each sort in the default run, every case with the slow ones.

@pytest.mark.slow_after(2)                  # the first two cases run always
@pytest.mark.slow_after(1, by="reason")     # the first one of each reason
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case")
# Marks of tests whose files begin early.
EARLY = ("browser", "embedded", "long")


def one_of_each(
    cases: Iterable[Case], sort: Callable[[Case], Hashable], name: Callable[[Case], str]
) -> list[Any]:
    """Parameters of a test: the first case of each sort runs always, the others with `-m slow`.

    Cases are of one sort where they take the same way through the code: the 56 spellings of a
    text that are all found by comparing one column's bytes, the pages of eleven models with one
    class of page between them.
    """
    seen: set[Hashable] = set()
    parameters = []
    for case in cases:
        marks = [pytest.mark.slow(later=True)] if sort(case) in seen else []
        seen.add(sort(case))
        parameters.append(pytest.param(case, id=name(case), marks=marks))
    return parameters


def mark_later_cases(items: Iterable[pytest.Item]) -> None:
    """Mark as slow what `slow_after` leaves out of the default run."""
    seen: Counter[tuple[object, ...]] = Counter()
    for item in items:
        mark = item.get_closest_marker("slow_after")
        if mark is None:
            continue
        values = item.callspec.params  # type: ignore[attr-defined]
        by = mark.kwargs.get("by", "")
        sort = (_test(item), *(str(values[name]) for name in by.split()))
        seen[sort] += 1
        if seen[sort] > mark.args[0]:
            item.add_marker(pytest.mark.slow(later=True))


def later_cases(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """All but the first case of each test, or but those of its long table that run always."""
    with_rest = {_test(item) for item in items if item.get_closest_marker("slow")}
    seen: set[str] = set()
    later = []
    for item in items:
        if _test(item) in seen and _test(item) not in with_rest:
            later.append(item)
        seen.add(_test(item))
    return later


def not_drawn(items: Iterable[pytest.Item], seed: int) -> list[pytest.Item]:
    """The later cases of long tables that a sample of a third of each leaves out.

    They take the same way through the code as a case that runs always.
    """
    later: dict[str, list[pytest.Item]] = {}
    for item in items:
        slow = item.get_closest_marker("slow")
        if slow and slow.kwargs.get("later"):
            later.setdefault(_test(item), []).append(item)
    left = []
    for test, cases in later.items():
        left += random.Random(f"{seed} {test}").sample(cases, len(cases) * 2 // 3)
    return left


def long_files_first(items: list[pytest.Item]) -> None:
    """Campaigns, then long stories, browsers and servers, then the files with the most tests.

    A story of one test is the last of them by its number, and one process would wait for it.
    """
    long: dict[Path, list[int]] = {}
    for item in items:
        of_file = long.setdefault(item.path, [0, 0, 0])
        slow = item.get_closest_marker("slow")
        of_file[0] |= bool(slow and slow.kwargs.get("campaign"))
        of_file[1] |= any(item.get_closest_marker(name) for name in EARLY)
        of_file[2] += 1
    # By name where nothing else tells two files apart: the tests of a file stay together.
    items.sort(key=lambda item: (long[item.path], item.path), reverse=True)


def _test(item: pytest.Item) -> str:
    return item.nodeid.split("[")[0]
