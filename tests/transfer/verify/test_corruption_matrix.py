"""The matrix: each planted corruption is found and named.

The tables are in `corruptions/`: a case is one line. The first case of each kind and side runs
always, the whole matrix with `-m "slow or not slow"`. What is planted in the target is rolled back,
what is planted in the legacy files is planted in a copy.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.sorts import one_of_each
from tests.transfer.verify.corruptions import (
    kept_cells,
    legacy_files,
    lines,
    quarantine,
    rows,
    structure,
    texts_and_numbers,
    times_and_documents,
)
from tests.transfer.verify.corruptions.case import EVERY_FILE, Corruption
from tests.transfer.verify.corruptions.harness import do, is_proven, judge_files, plant_in_copy
from tests.transfer.verify.support import legacy_folder, undone

CORRUPTIONS: list[Corruption] = [
    *texts_and_numbers.CASES,
    *times_and_documents.CASES,
    *lines.CASES,
    *rows.CASES,
    *kept_cells.CASES,
    *quarantine.CASES,
    *structure.CASES,
    *legacy_files.CASES,
]


def sort(case: Corruption) -> tuple[object, ...]:
    """What is found, and on which side it is planted."""
    return case.kinds, bool(case.legacy)


@pytest.mark.parametrize("case", one_of_each(CORRUPTIONS, sort, name=lambda case: case.what))
def test_a_corruption_is_found(
    settled: Path, tmp_path: Path, case: Corruption, request: pytest.FixtureRequest
) -> None:
    folder = plant_in_copy(case.legacy, settled, tmp_path / "copy")
    with legacy_folder(folder), undone():
        do(case.plant, folder)
        # The first of each kind is found among all tables of its file.
        result = judge_files(case.judged, case.tables if "slow" in request.keywords else ())
    proven = is_proven(result)
    assert not proven, result.verdict
    said = [
        finding
        for finding in result.findings.kept
        if finding.kind in case.kinds
        and fnmatchcase(finding.where, case.where)
        and (case.key == "*" or finding.key == case.key)
    ]
    assert said, [finding.sentence() for finding in result.findings.kept]


def test_nothing_is_planted(settled: Path) -> None:
    result = judge_files(EVERY_FILE)
    assert [finding.sentence() for finding in result.findings.kept] == []
    assert is_proven(result), result.verdict


def test_the_matrix_is_as_large_as_it_says() -> None:
    names = [case.what for case in CORRUPTIONS]
    assert [name for name, n in Counter(names).items() if n > 1] == []
    assert len(CORRUPTIONS) >= 180
