"""A loader that converts wrongly is found out: the judge does not share its mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer import kinds
from stillme.transfer.findings import FindingKind
from stillme.transfer.steps.kinds import LOADERS, times
from stillme.transfer.steps.rows.stream import CommonStream
from tests.made_once import put_samples
from tests.transfer.load.support import run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)

UseFiles = Callable[[Path], None]


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: UseFiles) -> Path:
    """The variant "clean": nothing is quarantined."""
    put_samples(tmp_path, rows=40, variant="clean")
    use_legacy_files(tmp_path)
    return tmp_path


def _columns_found() -> set[str]:
    """Import, judge; the columns in which a value is not what it should be."""
    run_import()
    proof = judge()
    assert proof.exit_status == 1
    assert {f.kind for f in proof.findings.kept} == {FindingKind.VALUE}
    return {finding.where for finding in proof.findings.kept}


def _in_cell(
    monkeypatch: pytest.MonkeyPatch, kind: type[kinds.Kind], change: Callable[[str], str]
) -> None:
    """Let the loader spell every cell of a kind another way."""
    original = LOADERS[kind].cell

    def changed(self: Any, *about: Any) -> tuple[str, ...]:
        return tuple(map(change, original(self, *about)))

    monkeypatch.setattr(LOADERS[kind], "cell", changed)


@pytest.mark.slow
def test_an_honest_loader_is_believed(legacy: Path) -> None:
    run_import()
    assert judge().findings.total == 0


def test_a_shifted_hour(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_cell(monkeypatch, kinds.Timestamp, lambda cell: cell.replace("+00", "+01"))
    found = _columns_found()
    assert {"knowledge.knowledge_items:created_at", "accuracy.accuracy_scores:created_at"} <= found


@pytest.mark.slow
def test_a_shifted_local_hour(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "format_offset", lambda minutes: "+08")
    found = _columns_found()
    assert any(where.startswith("rss.fetch_items:") for where in found)


@pytest.mark.slow
def test_dropped_microseconds(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = r"([0-9T: -]{19})\.[0-9]+"
    original = CommonStream._block

    def whole_seconds(self: CommonStream, batch: Any) -> bytes:
        return re.sub(stamps.encode(), rb"\1", original(self, batch))

    monkeypatch.setattr(CommonStream, "_block", whole_seconds)
    assert any(where.startswith("rss.") for where in _columns_found())


@pytest.mark.slow
def test_rounded_floats(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_cell(monkeypatch, kinds.Real, lambda cell: f"round({cell}, 3)")
    assert "accuracy.accuracy_scores:accuracy_score" in _columns_found()


@pytest.mark.slow
def test_swapped_columns(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap = {'"source"': '"knowledge_type"', '"knowledge_type"': '"source"'}
    _in_cell(
        monkeypatch,
        kinds.Text,
        lambda cell: re.sub("|".join(swap), lambda match: swap[match[0]], cell),
    )
    items = "knowledge.knowledge_items"
    assert _columns_found() == {f"{items}:source", f"{items}:knowledge_type"}


def test_a_row_left_out(legacy: Path) -> None:
    run_import()
    from tests.transfer.load.support import query

    query("DELETE FROM accuracy.accuracy_scores WHERE id = 3")
    (finding,) = judge().findings.kept
    assert (finding.kind, finding.key) == (FindingKind.MISSING_ROW, "3")
