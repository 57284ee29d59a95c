"""The other half of the matrix: each lawful difference is let pass, without a false alarm.

One case of each sort runs always, the others with `-m slow`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from django.db import connection

from tests.sorts import one_of_each
from tests.transfer.verify.corruptions import lawful, lawful_files
from tests.transfer.verify.corruptions.case import Lawful
from tests.transfer.verify.corruptions.harness import do, is_proven, judge_files, plant_in_copy
from tests.transfer.verify.support import legacy_folder, undone

LAWFUL: list[Lawful] = [*lawful.CASES, *lawful_files.CASES]


def sort(case: Lawful) -> tuple[object, ...]:
    """The files, and where and by which statement or function they are made to differ."""
    steps = case.legacy[1:] if isinstance(case.legacy, tuple) else (case.legacy,)
    first = (case.plant or case.once or steps)[0]
    done = tuple(first.split()[:2]) if isinstance(first, str) else first.__name__
    return case.judged, bool(case.plant), bool(case.once), done


@pytest.mark.slow_after(10)
@pytest.mark.parametrize("case", one_of_each(LAWFUL, sort, name=lambda case: case.what))
def test_a_lawful_difference_passes(settled: Path, tmp_path: Path, case: Lawful) -> None:
    folder = plant_in_copy(case.legacy, settled, tmp_path / "copy")
    with legacy_folder(folder):
        try:
            if case.once:
                do(case.once, folder)
                # What was set for a database counts from the next session.
                connection.close()
            with undone():
                do(case.plant, folder)
                result = judge_files(case.judged)
        finally:
            do(case.undo, folder)
            if case.once:
                connection.close()
    assert [finding.sentence() for finding in result.findings.kept] == []
    assert is_proven(result), result.verdict


def test_the_list_is_as_large_as_it_says() -> None:
    names = [case.what for case in LAWFUL]
    assert [name for name, n in Counter(names).items() if n > 1] == []
    assert len(LAWFUL) >= 40
