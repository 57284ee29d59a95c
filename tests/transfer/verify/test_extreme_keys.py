"""Rows at both ends of SQLite's 64 bits, at zero and below it: proven and found out like others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.demo.samples import make_samples
from stillme.transfer.models import KeptCell
from tests.transfer.load.support import change, query, run_import
from tests.transfer.verify.support import accept_all, judge

pytestmark = pytest.mark.django_db(transaction=True)

ENDS = (-(2**63), -(2**63) + 1, -1, 0, 2**63 - 1)


@pytest.fixture
def imported(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    make_samples(tmp_path, rows=40, variant="clean")
    for key in ENDS:
        change(
            tmp_path,
            "knowledge",
            "INSERT INTO knowledge_items (id, content, source, knowledge_type, created_at) "
            f"VALUES ({key}, 'end', 's', 't', '2025-01-01 00:00:00')",
            "INSERT INTO knowledge_relationships (id, source_id, target_id, relationship_type) "
            f"VALUES ({key}, {key}, {key}, 'itself')",
            "INSERT INTO learning_sessions (id, session_type, content_learned, created_at) "
            f"VALUES ({key}, 's', 'c', 'no time')",
        )
    use_legacy_files(tmp_path)
    run_import()
    accept_all()
    return tmp_path


def test_they_are_proven_at_every_level(imported: Path) -> None:
    whole = judge()
    assert whole.findings.total == 0
    assert judge(round_trip=True).findings.total == 0
    assert judge(level="sample", sample=10).findings.total == 0
    assert judge(level="counts").findings.total == 0


@pytest.mark.parametrize("key", ENDS)
def test_another_value_is_found(imported: Path, key: int) -> None:
    query("UPDATE knowledge.knowledge_items SET content = 'other' WHERE id = %s", key)
    assert [(f.key, f.found) for f in judge().findings.kept] == [(str(key), "'other'")]


@pytest.mark.parametrize("key", ENDS)
def test_an_original_that_nobody_needs_is_found(imported: Path, key: int) -> None:
    cell = KeptCell.objects.create(
        file="knowledge", table="knowledge_items", key=str(key), column="content", storage="text",
        value=b"x", reason="reformatted", run_id=query("SELECT max(id) FROM transfer.run")[0][0],
    )  # fmt: skip
    (finding,) = judge().findings.kept
    assert (finding.key, finding.note) == (str(key), "needs none")
    cell.delete()
