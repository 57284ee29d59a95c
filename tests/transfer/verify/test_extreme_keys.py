"""Rows at both ends of SQLite's 64 bits, at zero and below it: proven and found out like others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import KeptCell, Run
from tests.made_once import put_samples
from tests.transfer.load.support import change, query, run_import
from tests.transfer.verify.support import accept_all, judge, undone

pytestmark = pytest.mark.django_db(transaction=True)

ENDS = (-(2**63), -(2**63) + 1, -1, 0, 2**63 - 1)


@pytest.fixture
def imported(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    put_samples(tmp_path, rows=40, variant="clean", files=["knowledge"])
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


def test_another_value_and_an_original_that_nobody_needs_are_found(imported: Path) -> None:
    of_items = {"selection": Selection(tables=("knowledge_items",))}
    for key in ENDS:
        with undone():
            query("UPDATE knowledge.knowledge_items SET content = 'other' WHERE id = %s", key)
            found = [(f.key, f.found) for f in judge(**of_items).findings.kept]
        assert found == [(str(key), "'other'")]
        with undone():
            KeptCell.objects.create(
                file="knowledge", table="knowledge_items", key=str(key), column="content",
                storage="text", value=b"x", reason="reformatted", run=Run.objects.latest("pk"),
            )  # fmt: skip
            found = [(f.key, f.note) for f in judge(**of_items).findings.kept]
        assert found == [(str(key), "needs none")]
