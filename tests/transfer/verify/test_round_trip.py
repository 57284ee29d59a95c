"""The legacy files rebuilt from PostgreSQL and the ledger: bit-identical, or it says where not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.transfer.findings import FindingKind
from tests.transfer.load.support import query
from tests.transfer.verify.support import judge, undone

UseFiles = Callable[[Path], None]
in_database = pytest.mark.django_db(transaction=True)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("where", "sql"),
    [
        ("knowledge.knowledge_items:source", "source = source || ' '"),
        ("knowledge.knowledge_items:created_at", "created_at = created_at + interval '1 s'"),
        ("knowledge.knowledge_items:metadata", "metadata = '{\"other\": 1}'"),
        ("knowledge.knowledge_items:confidence_score", "confidence_score = 1e-300"),
    ],
)
def test_it_finds_what_cannot_go_back(proven: Path, where: str, sql: str) -> None:
    with undone():
        query(f"UPDATE knowledge.knowledge_items SET {sql} WHERE id = 9")
        found = judge(round_trip=True).findings.kept
        assert (where, "9") in {(f.where, f.key) for f in found if f.kind is FindingKind.ROUND_TRIP}
