"""Whatever a column holds: it is loaded or set aside, and the judge, by another road, agrees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from stillme.transfer.inventory.selection import Selection
from tests.campaigns import size
from tests.transfer.load.support import model_of
from tests.transfer.load.test_rows import import_whatever, tables
from tests.transfer.verify.support import empty_target, judge

pytestmark = pytest.mark.django_db(transaction=True)

UseFiles = Callable[[Path], None]


def check_any(directory: Path, made: tuple[str, list[dict[str, Any]]]) -> None:
    table, rows = made
    empty_target()
    result = import_whatever(directory, table, rows)
    proof = judge(selection=Selection(files=(model_of(table).legacy.file,)))
    assert [finding.sentence() for finding in proof.findings.kept] == []
    assert proof.open_rows == sum(t.outcome.quarantined for t in result.tables)


@pytest.mark.long
@given(tables())
@settings(max_examples=4)
def test_some_values_in_any_column(
    tmp_path: Path, use_legacy_files: UseFiles, made: tuple[str, list[dict[str, Any]]]
) -> None:
    use_legacy_files(tmp_path)
    check_any(tmp_path, made)


@pytest.mark.slow(campaign=True)
@given(tables())
@settings(max_examples=size(15, 60))
def test_any_value_in_any_column(
    tmp_path: Path, use_legacy_files: UseFiles, made: tuple[str, list[dict[str, Any]]]
) -> None:
    use_legacy_files(tmp_path)
    check_any(tmp_path, made)
