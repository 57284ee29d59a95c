"""Long tables of cases: one case of each sort in the default run, every case with the slow ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case")


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
        marks = [pytest.mark.slow] if sort(case) in seen else []
        seen.add(sort(case))
        parameters.append(pytest.param(case, id=name(case), marks=marks))
    return parameters
