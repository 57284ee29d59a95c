"""The next id is worked out from the sequence; nothing is written and no lock is waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from knowledge.models import KnowledgeItem
from stillme.transfer.verify.structure.sequences import check_sequence
from tests.made_once import put_samples
from tests.transfer.load.support import change, query, run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = "knowledge.knowledge_items"


@pytest.fixture
def imported(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> None:
    put_samples(tmp_path, rows=20, variant="clean", files=["knowledge"])
    use_legacy_files(tmp_path)
    run_import()


def last_value() -> int:
    return int(query("SELECT last_value FROM knowledge.knowledge_items_id_seq")[0][0])


def state() -> list[tuple[Any, ...]]:
    last = query("SELECT last_value, is_called FROM knowledge.knowledge_items_id_seq")
    return [*last, *query(f"SELECT count(*), max(id) FROM {ITEMS}")]


def test_a_look_leaves_nothing_behind(imported: None) -> None:
    before = state()
    assert list(check_sequence("default", KnowledgeItem, 0)) == []
    assert state() == before
    key = KnowledgeItem.objects.create(content="next", source="s", knowledge_type="t").pk
    assert key == before[0][0] + 1


@pytest.mark.slow
def test_an_empty_table_gives_an_id_too(imported: None) -> None:
    query(f"TRUNCATE {ITEMS} RESTART IDENTITY CASCADE")
    before = state()
    assert list(check_sequence("default", KnowledgeItem, 0)) == []
    assert state() == before


def test_a_sequence_that_begins_again_is_found(imported: None) -> None:
    query("ALTER SEQUENCE knowledge.knowledge_items_id_seq CYCLE")
    try:
        (finding,) = check_sequence("default", KnowledgeItem, 0)
    finally:
        query("ALTER SEQUENCE knowledge.knowledge_items_id_seq NO CYCLE")
    assert finding.found == "a sequence that begins again"


def test_an_id_that_is_given_backwards_is_found(imported: None) -> None:
    last = last_value()
    query(f"ALTER TABLE {ITEMS} ALTER COLUMN id SET INCREMENT BY -1")
    try:
        (finding,) = check_sequence("default", KnowledgeItem, last)
    finally:
        query(f"ALTER TABLE {ITEMS} ALTER COLUMN id SET INCREMENT BY 1")
    assert finding.found == "a sequence that goes down"


def test_a_standby_is_not_written_to(imported: None) -> None:
    before = state()
    with connections["default"].cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            assert list(check_sequence("default", KnowledgeItem, 0)) == []
        finally:
            cursor.execute("SET default_transaction_read_only = off")
    assert state() == before


@pytest.mark.slow
def test_a_locked_table_is_not_waited_for(imported: None) -> None:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {ITEMS} IN SHARE ROW EXCLUSIVE MODE")
            assert list(check_sequence("default", KnowledgeItem, 0)) == []
            cursor.execute("ROLLBACK")
    finally:
        other.close()


def _free_the_mark(folder: Path) -> None:
    """As in a table that is not AUTOINCREMENT."""
    change(folder, "knowledge", "DELETE FROM sqlite_sequence WHERE name = 'knowledge_items'")


@pytest.fixture
def at_the_end(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """The greatest id of 64 bits was imported."""
    put_samples(tmp_path, rows=20, variant="clean", files=["knowledge"])
    change(
        tmp_path,
        "knowledge",
        "INSERT INTO knowledge_items (id, content, source, knowledge_type) "
        f"VALUES ({2**63 - 1}, 'end', 's', 't')",
    )
    _free_the_mark(tmp_path)
    use_legacy_files(tmp_path)
    run_import()
    assert last_value() == 2**63 - 1
    change(tmp_path, "knowledge", f"DELETE FROM knowledge_items WHERE id = {2**63 - 1}")
    _free_the_mark(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_sequence_at_its_end_goes_back_when_the_row_is_pruned(at_the_end: Path) -> None:
    run_import(prune=True)
    assert judge().findings.total == 0
    assert last_value() == query(f"SELECT max(id) FROM {ITEMS}")[0][0]
    KnowledgeItem.objects.create(content="next", source="s", knowledge_type="t")


def test_an_exhausted_sequence_is_named_with_the_way_out(at_the_end: Path) -> None:
    query(f"DELETE FROM {ITEMS} WHERE id = {2**63 - 1}")
    (finding,) = judge().findings.kept
    assert finding.found == "no id left in the sequence"
    assert "import_sqlite sets it back" in finding.note
    run_import()
    assert judge().findings.total == 0


@pytest.mark.slow
def test_it_goes_back_behind_the_ids_in_quarantine(at_the_end: Path) -> None:
    change(
        at_the_end,
        "knowledge",
        "INSERT INTO knowledge_items (id, content, source, knowledge_type) "
        "VALUES (70000, x'00', 's', 't')",
    )
    _free_the_mark(at_the_end)
    run_import(prune=True)
    assert last_value() == 70000


@pytest.mark.slow
def test_it_stays_while_the_legacy_gives_no_id_either(at_the_end: Path) -> None:
    change(
        at_the_end,
        "knowledge",
        f"INSERT INTO sqlite_sequence (name, seq) VALUES ('knowledge_items', {2**63 - 1})",
    )
    run_import(prune=True)
    assert last_value() == 2**63 - 1
    assert judge().findings.total == 0
