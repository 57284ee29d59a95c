"""Long files begin first, whatever other plugins sort by (`long_files_first`)."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest

from tests.sorts import EARLY


def test_long_files_begin_first(request: pytest.FixtureRequest) -> None:
    items = request.session.items
    order = [path for path, _ in groupby(item.path for item in items)]
    assert len(order) == len(set(order)), "the tests of a file are together"
    campaigns = {item.path for item in items if _is_campaign(item)}
    assert set(order[: len(campaigns)]) == campaigns
    waiting = {item.path for item in items if _waits(item)} - campaigns
    assert set(order[len(campaigns) :][: len(waiting)]) == waiting
    sizes = Counter(item.path for item in items)
    rest = [sizes[path] for path in order[len(campaigns | waiting) :]]
    assert rest == sorted(rest, reverse=True)


def _is_campaign(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("slow")
    return bool(mark and mark.kwargs.get("campaign"))


def _waits(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in EARLY)
