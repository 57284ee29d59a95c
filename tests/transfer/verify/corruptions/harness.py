"""How a line of the matrix is planted and judged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.tables import table_judge, table_levels
from tests.transfer.load.support import FILES, query, run_import
from tests.transfer.verify.corruptions.case import EVERY_FILE, OnLegacy, Step
from tests.transfer.verify.corruptions.data import make_legacy, settle
from tests.transfer.verify.support import (
    accept_all,
    close_database,
    empty_target,
    judge,
    legacy_folder,
)


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
        patch.setattr(table_judge, "BLOCK_ROWS", 7)
        patch.setattr(table_levels, "PART_ROWS", 20)
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


def do(steps: Iterable[Step], folder: Path) -> None:
    """SQL on the target, or a call."""
    for step in steps:
        if callable(step):
            step(folder)
        else:
            query(step)
