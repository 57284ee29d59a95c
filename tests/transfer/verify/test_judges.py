"""One process or several: the same proof, every table in its order, a sentence when one dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer.errors import TransferError
from stillme.transfer.verify import judged_files
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.sides import target_blocks
from stillme.transfer.verify.tables import judge_processes
from tests.made_once import put_samples
from tests.transfer.load.support import query, run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def loaded(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dirty samples, imported; every table falls into several parts."""
    put_samples(tmp_path, rows=60)
    use_legacy_files(tmp_path)
    run_import()
    monkeypatch.setattr("stillme.transfer.verify.tables.table_levels.PART_ROWS", 10)


def said(result: VerifyResult) -> dict[str, Any]:
    """All that does not depend on the clock."""
    return {
        "verdict": result.verdict,
        "findings": [finding.sentence() for finding in result.findings.kept],
        "tables": [
            (t.table, t.legacy_rows, t.target_rows, t.by_digest, t.by_cell, t.digest)
            for t in result.tables
        ],
        "files": result.files,
        "notices": result.notices,
    }


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("level", ["full", "sample", "counts"])
def test_several_processes_say_what_one_says(loaded: None, level: str) -> None:
    query("UPDATE knowledge.knowledge_items SET source = source || '!' WHERE id % 7 = 0")
    query("DELETE FROM continuum.tier_audit WHERE id IN (SELECT min(id) FROM continuum.tier_audit)")
    # A sample as large as every table: which rows a smaller one takes is chance.
    alone = judge(level=level, sample=10**6)
    assert said(judge(level=level, sample=10**6, jobs=3)) == said(alone)
    assert alone.exit_status == 1
    assert len(alone.files) == 4


@pytest.mark.slow
def test_the_next_file_is_handed_out_before_one_is_judged(
    loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("begin", "end"):
        monkeypatch.setattr(
            judged_files.FileWork, name, noted(getattr(judged_files.FileWork, name), order)
        )
    judge(jobs=2)
    assert [each[0] for each in order] == list("bbebebee")


def noted(original: Callable[..., Any], order: list[str]) -> Callable[..., Any]:
    """The function, and its name in `order` when it is called."""

    def wrapped(*args: Any) -> Any:
        order.append(original.__name__)
        return original(*args)

    return wrapped


def test_a_killed_process_ends_the_run_with_a_sentence(
    loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(judge_processes.TableJudge, "judge", die)
    before = query("SELECT count(*) FROM transfer.proof")
    with pytest.raises(TransferError, match="killed"):
        judge(jobs=2)
    assert query("SELECT count(*) FROM transfer.proof") == before


@pytest.mark.slow
def test_a_far_server_tells_the_hash_of_its_lines(
    loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    query("UPDATE knowledge.knowledge_items SET source = source || '!' WHERE id % 7 = 0")
    near = judge()
    asked: list[bool] = []
    monkeypatch.setattr(target_blocks, "is_near", lambda alias: bool(asked.append(True)))
    assert said(judge()) == said(near)
    assert asked
    assert near.findings.total


@pytest.mark.slow
def test_lines_that_are_too_many_bytes_stay_where_they_are(
    loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a block is judged cell by cell."""
    usual = judge()
    monkeypatch.setattr(target_blocks, "_MOST_BYTES", 100)
    monkeypatch.setattr(target_blocks, "is_near", lambda alias: True)
    careful = judge()
    assert (careful.verdict, careful.findings.total) == (usual.verdict, usual.findings.total)
    assert sum(t.by_digest for t in careful.tables) < sum(t.by_digest for t in usual.tables)
