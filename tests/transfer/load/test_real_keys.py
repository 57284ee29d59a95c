"""A text key that is stored as a real: its row and what is kept of it belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.transfer.keys import real_key
from stillme.transfer.models import KeptCell
from tests.made_once import put_samples
from tests.transfer.load.support import FILES, change, content, query, run_import
from tests.transfer.load.test_rows import make_untyped
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)

TABLE, OTHER = "tier_metrics", "SELECT item_id FROM continuum.tier_metrics"
# SQLite's CAST to text has 1.0e+16, -0.0 as 0.0, Inf, 4.94065645841247e-324, 1.0e-05, ...
REALS = [0.1, 1e16, 1000000333949560.0, 1.5e300, 1e-05, 5e-324, -0.0, float("inf"), float("-inf")]


def row(key: object) -> dict[str, object]:
    """A row without anything unusual but its key."""
    return {
        "item_id": key,
        "tier": "L0",
        "surprise_score": 0.5,
        **dict.fromkeys(("retrieval_count_7d", "retrieval_count_30d", "last_update_cycle"), 1),
        "validator_overlap": 0.5,
        **dict.fromkeys(("last_promoted_at", "last_demoted_at"), "2025-11-20 10:00:00"),
        **dict.fromkeys(("created_at", "updated_at"), "2025-11-20 10:00:00"),
    }


@pytest.fixture
def untyped(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    put_samples(tmp_path, rows=5, variant="clean", files=["continuum"])
    make_untyped(tmp_path / FILES["continuum"], TABLE, [row(key) for key in REALS])
    use_legacy_files(tmp_path)
    return tmp_path


def test_the_judge_finds_the_row_of_every_kept_cell(untyped: Path) -> None:
    assert run_import().conserved
    assert {key for (key,) in query(OTHER)} == {repr(key) for key in REALS}
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []
    change(untyped, "continuum", f"DELETE FROM {TABLE} WHERE item_id = 1e16")
    assert "1e+16" in {f.key for f in judge().findings.kept}


def test_prune_keeps_what_is_kept_of_a_row_that_is_there(untyped: Path) -> None:
    run_import()
    before = content()
    assert KeptCell.objects.filter(table=TABLE, column="item_id").count() == len(REALS)
    run_import(prune=True)
    assert content() == before
    change(untyped, "continuum", f"DELETE FROM {TABLE} WHERE item_id IN (1e16, 0.1)")
    run_import(prune=True)
    gone = {"1e+16", "0.1"}
    assert {key for (key,) in query(OTHER)} == {repr(key) for key in REALS} - gone
    assert not KeptCell.objects.filter(table=TABLE, key__in=gone).exists()
    assert KeptCell.objects.filter(table=TABLE, column="item_id").count() == len(REALS) - 2


@pytest.mark.parametrize("text", ["1.0e+16", "1e16", "text", "", "0.10", "1", "nan ", "Inf"])
def test_a_text_that_no_real_is_spelled_as(text: str) -> None:
    assert real_key(text) is None
