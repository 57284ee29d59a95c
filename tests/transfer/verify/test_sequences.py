"""The next id is tried with an insert that leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from knowledge.models import KnowledgeItem
from stillme.demo.samples import make_samples
from stillme.transfer.verify.sequences import check_sequence
from tests.transfer.load.support import query, run_import

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = "knowledge.knowledge_items"


@pytest.fixture
def imported(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> None:
    make_samples(tmp_path, rows=20, variant="clean")
    use_legacy_files(tmp_path)
    run_import()


def last_value() -> int:
    return int(query("SELECT last_value FROM knowledge.knowledge_items_id_seq")[0][0])


def state() -> list[tuple[Any, ...]]:
    last = query("SELECT last_value, is_called FROM knowledge.knowledge_items_id_seq")
    return [*last, *query(f"SELECT count(*), max(id) FROM {ITEMS}")]


def test_a_trial_leaves_nothing_behind(imported: None) -> None:
    before = state()
    assert list(check_sequence("default", KnowledgeItem, 0)) == []
    assert state() == before
    key = KnowledgeItem.objects.create(content="next", source="s", knowledge_type="t").pk
    assert key == before[0][0] + 1


def test_an_empty_table_gives_an_id_too(imported: None) -> None:
    query(f"TRUNCATE {ITEMS} RESTART IDENTITY CASCADE")
    before = state()
    assert list(check_sequence("default", KnowledgeItem, 0)) == []
    assert state() == before


def test_an_id_that_is_given_backwards_is_found(imported: None) -> None:
    last = last_value()
    query(f"ALTER TABLE {ITEMS} ALTER COLUMN id SET INCREMENT BY -1")
    try:
        (finding,) = check_sequence("default", KnowledgeItem, last)
    finally:
        query(f"ALTER TABLE {ITEMS} ALTER COLUMN id SET INCREMENT BY 1")
    assert finding.found == f"an insert was given {last - 1}"


def test_a_standby_is_not_written_to(imported: None) -> None:
    before = state()
    with connections["default"].cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            assert list(check_sequence("default", KnowledgeItem, 0)) == []
        finally:
            cursor.execute("SET default_transaction_read_only = off")
    assert state() == before


def test_a_locked_table_is_not_waited_for(imported: None) -> None:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {ITEMS} IN ROW EXCLUSIVE MODE")
            assert list(check_sequence("default", KnowledgeItem, 0)) == []
            cursor.execute("ROLLBACK")
    finally:
        other.close()
