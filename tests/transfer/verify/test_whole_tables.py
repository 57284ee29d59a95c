"""What reading by key cannot see: the target's tables as a whole, and records of no row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stillme.transfer.findings import FindingKind
from tests.transfer.load.support import query
from tests.transfer.verify.support import close_database, file_of, judge, places, undone

pytestmark = pytest.mark.only_files("knowledge", "continuum", "rss")

ITEMS, TIERS = "knowledge.knowledge_items", "continuum.tier_metrics"
COPY = {
    ITEMS: "SELECT * FROM knowledge.knowledge_items WHERE id = 9",
    TIERS: "SELECT * FROM continuum.tier_metrics ORDER BY item_id LIMIT 1",
}


def behind_the_index(table: str, *statements: str) -> None:
    """Write to a table while PostgreSQL keeps its primary key's index as it is."""
    where = "indrelid = %s::regclass AND indisprimary"
    query(f"UPDATE pg_index SET indisready = false WHERE {where}", table)
    for statement in statements:
        query(statement)
    query(f"UPDATE pg_index SET indisready = true WHERE {where}", table)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("table", COPY)
def test_a_second_row_of_a_key_behind_the_index(proven: Path, table: str) -> None:
    key = query(f"SELECT * FROM ({COPY[table]}) AS c")[0][0]
    with undone():
        behind_the_index(table, f"INSERT INTO {table} {COPY[table]}")
        result = judge()
        assert result.exit_status == 1
        found = [f for f in result.findings.kept if f.where.startswith(table)]
        assert str(key) in {f.key for f in found}


def test_a_row_of_no_legacy_row_behind_the_index(proven: Path) -> None:
    with undone():
        behind_the_index(
            ITEMS,
            f"INSERT INTO {ITEMS} (id, content, source, knowledge_type) VALUES (-7, 'a', 'b', 'c')",
        )
        result = judge()
        found = [f for f in result.findings.kept if f.kind is FindingKind.INDEX]
        assert (f"{ITEMS}:id", "-7") in places(found)


@pytest.fixture(params=[ITEMS, TIERS])
def disordered(proven: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A table whose primary key's index is in another order, as after a change of collations."""
    table = str(request.param)
    index = f"{table}_pkey"
    turn = f"UPDATE pg_index SET indoption = '{{}}' WHERE indexrelid = '{index}'::regclass"
    # A session keeps what it read of an index.
    for option in ("3", "0"):
        query(turn.format(option))
        close_database()
        query(f"REINDEX INDEX {index}" if option == "3" else "SELECT 1")
    close_database()
    yield table
    query(f"REINDEX INDEX {index}")


@pytest.mark.slow_after(1)
def test_an_index_out_of_order(disordered: str) -> None:
    """It holds every row, does not find them, and lets keys in twice."""
    result = judge(selection=file_of(disordered))
    # Where PostgreSQL chooses to look keys up in it, rows are missing besides.
    (found,) = [f for f in result.findings.kept if f.kind is FindingKind.INDEX]
    assert found.where.split(":")[0] == disordered
    assert "out of order" in str(found.found)


def test_level_counts_counts_no_entries_of_an_index(proven: Path) -> None:
    """A page of zeros, which a damaged disk gives, is an empty page: the index has its rows yet."""
    with undone():
        flag = "UPDATE pg_index SET indisready = {} WHERE indrelid = '" + ITEMS + "'::regclass"
        query(flag.format("false"))
        query(f"INSERT INTO {ITEMS} {COPY[ITEMS]}")
        query(flag.format("true"))
        query("SET LOCAL enable_seqscan = off")
        query("SET LOCAL enable_bitmapscan = off")
        result = judge(level="counts", selection=file_of(ITEMS))
        assert FindingKind.COUNT in {finding.kind for finding in result.findings.kept}


@pytest.mark.slow
def test_the_whole_table_doubled_past_its_dropped_key(proven: Path) -> None:
    with undone():
        query("ALTER TABLE rss.fetch_items DROP CONSTRAINT fetch_items_pkey")
        query("INSERT INTO rss.fetch_items SELECT * FROM rss.fetch_items")
        result = judge()
        (table,) = [t for t in result.tables if t.target == "rss.fetch_items"]
        twice = [f for f in table.findings.kept if f.kind is FindingKind.EXTRA_ROW]
        assert len(twice) == query("SELECT count(*) / 2 FROM rss.fetch_items")[0][0]
        assert table.target_rows == query("SELECT count(*) FROM rss.fetch_items")[0][0]


def test_a_row_without_a_key(proven: Path) -> None:
    with undone():
        query(f"ALTER TABLE {TIERS} DROP CONSTRAINT tier_metrics_pkey")
        query(f"ALTER TABLE {TIERS} ALTER item_id DROP NOT NULL")
        query(f"INSERT INTO {TIERS} (item_id, tier) VALUES (NULL, 'L1')")
        extra = [f for f in judge().findings.kept if f.kind is FindingKind.EXTRA_ROW]
        assert [(f.where, f.found) for f in extra] == [(TIERS, "1 row without a key")]


RECORD = (
    'INSERT INTO transfer.quarantined_row (file, "table", key, rowid, cells, reason, "column", '
    "sentence, status, repairs, note, decided_by) "
)
AGAIN = (
    RECORD + 'SELECT file, "table", key, rowid, cells, reason, "column", sentence, status, repairs,'
    " note, decided_by FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' "
    "ORDER BY id LIMIT 1"
)
HEALTHY = (
    RECORD + "SELECT 'knowledge', 'knowledge_items', '9', 9, '{}', %s, '', '', %s, '{}', 'n', 'me'"
)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("reason", ["refused_by_target", "nul_in_text"])
@pytest.mark.parametrize("status", ["accepted", "open"])
def test_a_healthy_row_may_not_be_set_aside(proven: Path, reason: str, status: str) -> None:
    with undone():
        query("DELETE FROM knowledge.knowledge_relationships")
        query(f"DELETE FROM {ITEMS} WHERE id = 9")
        query(HEALTHY, reason, status)
        found = [f for f in judge().findings.kept if f.kind is FindingKind.QUARANTINE_KEPT_ROW]
        assert (ITEMS, "9") in places(found)
        assert any(f.found == reason for f in found)


RECORDS = {
    "a second record": (AGAIN,),
    "without its key": (
        "UPDATE transfer.quarantined_row SET key = NULL WHERE \"table\" = 'knowledge_items'",
    ),
    "another key": (
        "UPDATE transfer.quarantined_row SET key = key || '0' WHERE \"table\" = 'knowledge_items'",
    ),
    "an unknown status": (
        "UPDATE transfer.quarantined_row SET status = 'settled' "
        "WHERE \"table\" = 'knowledge_items'",
    ),
    "a cell that the row has not": (
        'UPDATE transfer.quarantined_row SET cells = cells || \'{"x": ["null", null]}\' '
        "WHERE \"table\" = 'knowledge_items'",
    ),
    "a cell less": (
        "UPDATE transfer.quarantined_row SET cells = cells - 'source' "
        "WHERE \"table\" = 'knowledge_items'",
    ),
    "no cells": (
        "UPDATE transfer.quarantined_row SET cells = '[]' WHERE \"table\" = 'knowledge_items'",
    ),
    "a record of a healthy, loaded row": (HEALTHY.replace("%s", "'nul_in_text'"),),
}


@pytest.mark.slow_after(3)
@pytest.mark.parametrize("what", RECORDS)
def test_a_record_belongs_to_a_row_that_may_not_be_loaded(proven: Path, what: str) -> None:
    with undone():
        for statement in RECORDS[what]:
            query(statement)
        result = judge()
        found = [f for f in result.findings.kept if f.kind is FindingKind.QUARANTINE_KEPT_ROW]
        assert any(f.where.startswith(ITEMS) for f in found), result.findings.kept


ORIGINALS = {
    "of a row that is set aside": (
        'INSERT INTO transfer.kept_cell (file, "table", key, "column", storage, value, reason) '
        "SELECT 'knowledge', 'knowledge_items', key, 'source', 'text', 'x', 'numeric_text' "
        "FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' ORDER BY id LIMIT 1",
    ),
    "of a column that is not there": (
        "UPDATE transfer.kept_cell SET \"column\" = 'no_such' "
        "WHERE \"table\" = 'knowledge_items' AND key = '7'",
    ),
    "of a healthy row": (
        'INSERT INTO transfer.kept_cell (file, "table", key, "column", storage, value, reason) '
        "VALUES ('knowledge', 'knowledge_items', '9', 'source', 'text', 'x', 'numeric_text')",
    ),
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("what", ORIGINALS)
def test_an_original_belongs_to_a_loaded_row_that_needs_it(proven: Path, what: str) -> None:
    with undone():
        for statement in ORIGINALS[what]:
            query(statement)
        found = [f for f in judge().findings.kept if f.kind is FindingKind.KEPT_CELL]
        assert any(f.where.startswith(ITEMS) for f in found)


UNKNOWN = {
    "a table of no model": ("knowledge", "no_such_table"),
    "a file of no setting": ("no_such_file", "knowledge_items"),
    "another file's table": ("rss", "knowledge_items"),
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("what", UNKNOWN)
@pytest.mark.parametrize("table", ["quarantined_row", "kept_cell"])
def test_records_of_what_nobody_declares(proven: Path, what: str, table: str) -> None:
    with undone():
        changed = f'UPDATE transfer.{table} SET file = %s, "table" = %s WHERE id = '
        query(f"{changed} (SELECT min(id) FROM transfer.{table})", *UNKNOWN[what])
        found = {finding.where for finding in judge().findings.kept}
        assert ".".join(UNKNOWN[what]) in found
