"""What somebody changed in a shard, on its node, is found: the coordinator shows nothing of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from rss.models import FetchItem
from stillme.transfer.errors import TargetError
from stillme.transfer.findings import Finding
from stillme.transfer.identity import TableId
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.registry import legacy_model
from stillme.transfer.sqlite.schema.found import read_schema
from stillme.transfer.verify.structure import shards as shards_module
from stillme.transfer.verify.structure.shards import check_shards
from stillme.transfer.verify.structure.table_structure import check_structure
from stillme.transfer.verify.tables.full_scans import check_target_table
from stillme.transfer.verify.tables.shard_scans import all_wrong_indexes
from tests.made_once import put_samples
from tests.ops.citus import cluster

assert cluster
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("cluster")]

CYCLES, ITEMS = "rss.fetch_cycles_102017", "rss.fetch_items_102018"
OTHER, COPY = "rss.fetch_cycles_102019", "rss.copy_102017"
_LIKE = "CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY)"


def query(sql: str, *params: Any) -> None:
    """As on a node: past the stand-in, which knows what the coordinator refuses."""
    connections["default"].ensure_connection()
    connections["default"].connection.execute(sql, params or None)


def take_shard(relation: str, shard: str, node: int, low: int | None, high: int | None) -> None:
    """Let a table stand for a shard's copy on a node, of these hashes."""
    number = int(shard.rpartition("_")[2])
    port = node - 1
    query(
        "INSERT INTO public.pg_dist_shard VALUES (%s::text::regclass, %s, %s, %s, %s, %s)",
        *(relation, number, low, high, port, shard),
    )


@pytest.fixture
def shards(cluster: list[str]) -> Iterator[None]:
    """Both tables of the feeds, in a shard each on node 2."""
    try:
        query(_LIKE.format(CYCLES, "rss.fetch_cycles"))
        query(_LIKE.format(ITEMS, "rss.fetch_items"))
        query(
            f"ALTER TABLE {ITEMS} ADD CONSTRAINT cycle FOREIGN KEY (cycle_id) "
            f"REFERENCES {CYCLES} (id) DEFERRABLE INITIALLY DEFERRED"
        )
        query("CREATE FUNCTION rss.spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'")
        take_shard("rss.fetch_cycles", CYCLES, 2, None, None)
        take_shard("rss.fetch_items", ITEMS, 2, None, None)
        yield
    finally:
        query(f"DROP TABLE IF EXISTS {CYCLES}, {ITEMS}, {OTHER}, {COPY} CASCADE")
        query("DROP FUNCTION IF EXISTS rss.spoil")


def told(findings: Iterator[Finding]) -> str:
    """All sentences."""
    return "\n".join(finding.sentence() for finding in findings)


@pytest.mark.usefixtures("shards")
def test_a_shard_as_its_table_is_no_finding() -> None:
    for table in ("fetch_cycles", "fetch_items", "never"):
        assert told(check_shards("default", "rss", table)) == ""


PLANTS = {
    "index": (
        f"DROP INDEX {ITEMS}_fetch_timestamp_id_idx",
        "index USING btree (fetch_timestamp DESC, id DESC)",
    ),
    "key": (f"ALTER TABLE {ITEMS} DROP CONSTRAINT cycle", "FOREIGN KEY (cycle_id) REFERENCES rss."),
    "primary key": (f"ALTER TABLE {ITEMS} DROP CONSTRAINT fetch_items_102018_pkey", "PRIMARY KEY"),
    "its triggers": (f"ALTER TABLE {ITEMS} DISABLE TRIGGER ALL", '"RI_FKey_check_ins" 5 D'),
    "trigger": (
        f"CREATE TRIGGER spoil BEFORE INSERT ON {ITEMS} EXECUTE FUNCTION rss.spoil()",
        "trigger spoil, ",
    ),
    "row security": (f"ALTER TABLE {ITEMS} ENABLE ROW LEVEL SECURITY", "row-level security"),
    "rule": (f"CREATE RULE r AS ON INSERT TO {ITEMS} DO INSTEAD NOTHING", "rule r"),
    "column": (f"ALTER TABLE {ITEMS} ALTER feed_url DROP NOT NULL", "column feed_url text "),
    "type": (f"ALTER TABLE {ITEMS} ALTER status TYPE varchar(9)", "status character varying(9)"),
    "check": (f"ALTER TABLE {ITEMS} ADD CHECK (id < 7) NOT VALID", "CHECK ((id < 7)) NOT VALID"),
    "child": (f"CREATE TABLE rss.child () INHERITS ({ITEMS})", "parent or child"),
    "unlogged": (f"ALTER TABLE {ITEMS} SET UNLOGGED", "UNLOGGED"),
}


@pytest.mark.parametrize("planted", PLANTS)
@pytest.mark.usefixtures("shards")
def test_what_differs_in_a_shard_is_found(planted: str) -> None:
    statement, words = PLANTS[planted]
    query(statement)
    found = told(check_structure("default", FetchItem))
    assert words in found
    assert "the shard 102018 on node 2" in found


@pytest.mark.usefixtures("shards")
def test_functions_before_postgresql_s_own_on_a_node_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shards_module, "_RESET_PATH", "SELECT 'rss, pg_catalog'")
    found = told(check_shards("default", "rss", "fetch_items"))
    assert "pg_catalog first in the shard 102018 on node 2" in found
    assert "the search path rss, pg_catalog of its sessions" in found


@pytest.mark.usefixtures("shards")
def test_a_node_that_is_away_is_no_proof() -> None:
    query("UPDATE public.pg_dist_shard SET name = 'away'")
    with pytest.raises(
        TargetError, match=r"102018 on node 2 of the cluster .* cannot be"
    ) as raised:
        told(check_shards("default", "rss", "fetch_items"))
    assert "host" not in str(raised.value)


@pytest.fixture
def cycles(tmp_path: Path) -> TableMapping:
    """The table of the feed's cycles, 40 rows of it, as found."""
    query(
        "INSERT INTO rss.fetch_cycles (id, cycle_number, started_at, status) "
        "SELECT n, n, now(), 's' FROM generate_series(1, 40) n"
    )
    put_samples(tmp_path, rows=10, files=["rss"])
    with closing(sqlite3.connect(tmp_path / "rss_fetch_history.db")) as connection:
        schema = read_schema(connection)
    mapping = map_table(legacy_model(*TableId("rss", "rss_fetch_cycles")), schema)
    assert mapping is not None
    return mapping


def copy_rows(shard: str, where: str = "TRUE") -> None:
    """A shard gets rows of its table."""
    query(f"INSERT INTO {shard} SELECT * FROM rss.fetch_cycles WHERE {where}")


@pytest.mark.usefixtures("shards")
def test_an_index_of_a_shard_that_misses_a_row(cycles: TableMapping) -> None:
    copy_rows(CYCLES, "id < 40")
    assert told(check_target_table("default", cycles)) == ""
    ready = f"UPDATE pg_index SET indisready = %s WHERE indexrelid = '{CYCLES}_pkey'::regclass"
    query(ready, False)
    copy_rows(CYCLES, "id = 40")
    query(ready, True)
    found = told(check_target_table("default", cycles))
    assert "40 rows by a full scan found 39 rows by the index" in found
    assert "in the shard 102017 on node 2" in found


@pytest.mark.usefixtures("shards")
def test_an_index_of_a_shard_that_is_out_of_order(cycles: TableMapping) -> None:
    copy_rows(CYCLES)
    query(f"UPDATE pg_index SET indoption = '3' WHERE indexrelid = '{CYCLES}_pkey'::regclass")
    assert "40 of them out of order" not in told(check_target_table("default", cycles))
    assert "39 of them out of order" in told(check_target_table("default", cycles))


@pytest.mark.usefixtures("shards")
def test_a_column_whose_name_has_a_percent_sign() -> None:
    query("CREATE UNIQUE INDEX odd ON rss.fetch_cycles ((cycle_number))")
    query('ALTER TABLE rss.fetch_cycles RENAME cycle_number TO "50%"')
    query(f'ALTER TABLE {CYCLES} RENAME cycle_number TO "50%"')
    try:
        assert list(all_wrong_indexes("default", '"rss"."fetch_cycles"')) == []
    finally:
        query("DROP INDEX rss.odd")
        query('ALTER TABLE rss.fetch_cycles RENAME "50%" TO cycle_number')


@pytest.mark.usefixtures("shards")
def test_copies_of_a_shard_are_compared(cycles: TableMapping) -> None:
    copy_rows(CYCLES)
    query(_LIKE.format(COPY, "rss.fetch_cycles"))
    take_shard("rss.fetch_cycles", COPY, 3, None, None)
    copy_rows(COPY)
    # A type of another number, as those of extensions have on another node.
    query(f"ALTER TABLE {COPY} ALTER status TYPE varchar")
    assert told(check_target_table("default", cycles)) == ""
    query(f"UPDATE {COPY} SET status = 'another' WHERE id = 7")
    found = told(check_target_table("default", cycles))
    assert "40 rows in the shard 102017 on node 2; 40 rows in the shard 102017 on node 3" in found


@pytest.mark.usefixtures("shards")
def test_a_row_in_another_shard_than_its_key_s(cycles: TableMapping) -> None:
    query(_LIKE.format(OTHER, "rss.fetch_cycles"))
    query("UPDATE public.pg_dist_shard SET shardminvalue = 1, shardmaxvalue = 20")
    take_shard("rss.fetch_cycles", OTHER, 3, 21, 40)
    copy_rows(CYCLES, "id <= 20")
    copy_rows(OTHER, "id > 20")
    assert told(check_target_table("default", cycles)) == ""
    query(f"UPDATE {OTHER} SET id = 10 WHERE id = 30")
    found = told(check_target_table("default", cycles))
    assert "1 of the shard 102019 on node 3 belong in other shards" in found
