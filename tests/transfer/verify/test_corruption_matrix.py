"""The matrix: each planted corruption is found and named, each lawful difference is let pass.

The tables are in `corruptions/`: a case is one line. What is planted in the target is rolled back,
what is planted in the legacy files is planted in a copy.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from stillme.transfer.selection import Selection
from stillme.transfer.verify import table, tables
from stillme.transfer.verify.result import VerifyResult
from tests.transfer.load.support import FILES, query, run_import
from tests.transfer.verify.corruptions import (
    kept_cells,
    lawful,
    lawful_files,
    legacy_files,
    quarantine,
    rows,
    structure,
    texts_and_numbers,
    times_and_documents,
)
from tests.transfer.verify.corruptions.case import EVERY_FILE, Corruption, Lawful, OnLegacy, Step
from tests.transfer.verify.corruptions.data import make_legacy, settle
from tests.transfer.verify.support import (
    accept_all,
    close_database,
    empty_target,
    judge,
    legacy_folder,
    undone,
)

CORRUPTIONS: list[Corruption] = [
    *texts_and_numbers.CASES,
    *times_and_documents.CASES,
    *rows.CASES,
    *kept_cells.CASES,
    *quarantine.CASES,
    *structure.CASES,
    *legacy_files.CASES,
]
LAWFUL: list[Lawful] = [*lawful.CASES, *lawful_files.CASES]


@pytest.fixture(scope="module")
def settled(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Path]:
    """The files of the matrix, imported, every question answered.

    Blocks and parts are so small that each table has edges of them.
    """
    folder = tmp_path_factory.mktemp("matrix")
    make_legacy(folder)
    with (
        pytest.MonkeyPatch.context() as patch,
        django_db_blocker.unblock(),
        legacy_folder(folder),
    ):
        patch.setattr(table, "BLOCK_ROWS", 7)
        patch.setattr(tables, "PART_ROWS", 20)
        empty_target()
        run_import()
        settle()
        accept_all()
        yield folder
        empty_target()
        close_database()


def is_proven(result: VerifyResult) -> bool:
    """Whether the judge is content, in its sentence and in its status alike."""
    proven = result.verdict.startswith("PROVEN")
    assert proven == (result.exit_status == 0), result.verdict
    return proven


def plant_in_copy(done: OnLegacy, folder: Path, copy: Path) -> Path:
    """The folder itself, or a copy in which something was done."""
    if not done:
        return folder
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    if callable(done):
        done(copy)
        return copy
    file, *statements = done
    with closing(sqlite3.connect(copy / FILES[file], isolation_level=None)) as legacy:
        for statement in statements:
            legacy.execute(statement)
    return copy


def judge_files(files: tuple[str, ...], tables: tuple[str, ...] = ()) -> VerifyResult:
    """Judge at level full; every file named means all, stores too."""
    files = () if set(files) >= set(EVERY_FILE) else files
    return judge(selection=Selection(files=files, tables=tables))


@pytest.mark.parametrize("case", CORRUPTIONS, ids=[case.what for case in CORRUPTIONS])
def test_a_corruption_is_found(settled: Path, tmp_path: Path, case: Corruption) -> None:
    folder = plant_in_copy(case.legacy, settled, tmp_path / "copy")
    with legacy_folder(folder), undone():
        do(case.plant, folder)
        result = judge_files(case.judged, case.tables)
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


@pytest.mark.parametrize("case", LAWFUL, ids=[case.what for case in LAWFUL])
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


def do(steps: Iterable[Step], folder: Path) -> None:
    """SQL on the target, or a call."""
    for step in steps:
        if callable(step):
            step(folder)
        else:
            query(step)


def test_nothing_is_planted(settled: Path) -> None:
    result = judge_files(EVERY_FILE)
    assert [finding.sentence() for finding in result.findings.kept] == []
    assert is_proven(result), result.verdict


def test_the_matrix_is_as_large_as_it_says() -> None:
    names = [case.what for case in (*CORRUPTIONS, *LAWFUL)]
    assert [name for name, n in Counter(names).items() if n > 1] == []
    assert len(CORRUPTIONS) >= 180
    assert len(LAWFUL) >= 40
