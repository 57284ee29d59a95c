"""Files with collations and functions that only the program has which wrote them: all is read."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from stillme.demo.samples import schema
from stillme.transfer.errors import StateError
from stillme.transfer.findings import FindingKind
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.inventory.taking import leave
from stillme.transfer.sqlite.copying.backup_check import check_copy
from stillme.transfer.sqlite.schema.foreign_names import names_of
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.install_capture import install_capture
from tests.transfer.load.support import FILES, query, run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 40
TIERS = ("CREATE TABLE tier_metrics (", "item_id TEXT PRIMARY KEY")
OTHER_KEY = "item_id TEXT COLLATE vi_icu PRIMARY KEY"


def with_the_programs_own(connection: sqlite3.Connection) -> None:
    """Backwards, so that an index by it is in no order that anybody else would look for."""
    connection.create_collation("vi_icu", lambda one, other: (one < other) - (one > other))
    connection.create_function("slug", 1, lambda text: str(text).lower(), deterministic=True)


def key_of(collation: str, ending: str = "") -> Callable[[str], str]:
    return lambda sql: sql.replace("TEXT PRIMARY KEY", f"TEXT {collation} PRIMARY KEY") + ending


def more(column: str) -> Callable[[str], str]:
    return lambda sql: f"{sql[: sql.rindex(')')]}, {column})"


def with_index(statement: str) -> tuple[Callable[[str], str], str]:
    return (lambda sql: sql), statement


COLLATE = "COLLATE vi_icu"
CASES: dict[str, tuple[Callable[[str], str], str]] = {
    "key": (key_of(COLLATE), ""),
    "quoted": (key_of('collate  "vi_icu"'), ""),
    "key, no rowids": (key_of(COLLATE, " WITHOUT ROWID"), ""),
    "column": (lambda sql: sql.replace("tier TEXT", f"tier TEXT {COLLATE}"), ""),
    "unique": (more(f"mine TEXT {COLLATE} UNIQUE"), ""),
    "index": with_index(f"CREATE INDEX mine ON tier_metrics (tier {COLLATE}, item_id {COLLATE})"),
    "view": with_index("CREATE VIEW mine AS SELECT slug(tier) AS t FROM tier_metrics"),
    "index of a function": with_index("CREATE INDEX mine ON tier_metrics (slug(item_id))"),
    "partial": with_index("CREATE INDEX mine ON tier_metrics (tier) WHERE slug(tier) = 'l1'"),
    "trigger": with_index(
        "CREATE TRIGGER mine AFTER INSERT ON tier_metrics BEGIN SELECT slug(new.item_id); END"
    ),
    "check": (more("CHECK (slug(item_id) <> 'x')"), ""),
    "default": (more("mine TEXT DEFAULT (slug('X'))"), ""),
    "stored": (more("mine TEXT AS (slug(item_id)) STORED UNIQUE"), ""),
    "virtual": (more("mine TEXT AS (slug(item_id)) VIRTUAL UNIQUE"), ""),
    "virtual in an index": (
        more("mine TEXT AS (slug(item_id)) VIRTUAL"), "CREATE INDEX m ON tier_metrics (mine)"
    ),
}  # fmt: skip


def make(folder: Path, case: str) -> Path:
    changed, statement = CASES[case]
    path = folder / FILES["continuum"]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with_the_programs_own(connection)
        schema.create(connection, schema.CONTINUUM)
        found = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'tier_metrics'")
        [sql] = found.fetchone()
        connection.execute("DROP TABLE tier_metrics")
        connection.execute(changed(re.sub(r"--[^\n]*", "", sql)))
        if statement:
            connection.execute(statement)
        connection.executemany(
            "INSERT INTO tier_metrics (item_id, tier, retrieval_count_7d) VALUES (?, 'L1', ?)",
            [(f"{'Mm'[n % 2]}{n:03}", "x" if n == 7 else n) for n in range(ROWS)],
        )
    return path


@pytest.fixture(params=CASES)
def case(request: Any, tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> str:
    make(tmp_path, request.param)
    use_legacy_files(tmp_path)
    return str(request.param)


@pytest.mark.slow_after(3)
def test_every_row_is_loaded_and_proven(case: str, tmp_path: Path, admin_client: Client) -> None:
    path = tmp_path / FILES["continuum"]
    before = path.read_bytes()
    assert [f.error for f in inspect_files().files if getattr(f, "error", "")] == []
    result = run_import(chunk_rows=7)
    assert result.conserved
    assert not [notice for notice in result.notices if "disagrees" in notice]
    found = query("SELECT item_id, retrieval_count_7d FROM continuum.tier_metrics")
    wanted = [(f"{'Mm'[n % 2]}{n:03}", n) for n in range(ROWS) if n != 7]
    assert sorted(found) == sorted(wanted)
    if case.startswith("virtual"):
        leave("default", ["continuum.tier_metrics.mine"], "computed by the application")
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []
    again = run_import(chunk_rows=7)
    assert all(t.outcome.inserted == t.outcome.updated == 0 for t in again.tables)
    page = admin_client.get(reverse("admin:continuum_tiermetric_change", args=["M002"]))
    assert "No cell differs." in page.content.decode()
    assert check_copy(path).sound
    assert path.read_bytes() == before


@pytest.mark.slow_after(3)
def test_following_says_what_is_in_the_way(case: str, tmp_path: Path) -> None:
    """What our SQLite cannot write, the way back could not either."""
    if case == "view":
        install_capture("default", Selection())
        return
    before = (tmp_path / FILES["continuum"]).read_bytes()
    with pytest.raises(StateError, match="Only the program that wrote the file") as refused:
        install_capture("default", Selection())
    assert re.search(r"vi_icu|slug", str(refused.value))
    assert (tmp_path / FILES["continuum"]).read_bytes() == before


@pytest.mark.slow
def test_a_column_whose_expression_fails(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    """`json_extract` of a text that is not JSON ended the import of the whole file."""
    path = make(tmp_path, "view")
    use_legacy_files(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE tier_metrics ADD COLUMN js AS (upper(item_id)) VIRTUAL")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'upper(item_id)', "
            "'json_extract(item_id, ''$.a'')') WHERE name = 'tier_metrics'"
        )
    result = run_import()
    assert result.conserved
    assert query("SELECT count(*) FROM continuum.tier_metrics") == [(ROWS - 1,)]
    [finding] = judge().findings.kept
    assert (finding.kind, finding.where) == (FindingKind.INVENTORY, "continuum.tier_metrics.js")


@pytest.mark.slow
def test_a_trigger_that_came_since_is_seen_on_the_same_connection(tmp_path: Path) -> None:
    """A compiled EXPLAIN must not be used again: its table may have been freed (a crash)."""
    declared = "CREATE TABLE t (a)"
    with closing(sqlite3.connect(tmp_path / "f.db")) as reader:
        with closing(sqlite3.connect(tmp_path / "f.db")) as writer:
            writer.execute(declared)
            assert names_of(reader, "t", declared, ["a"]) == ""
            writer.execute("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT slug(NEW.a); END")
        reader.execute("SELECT name FROM sqlite_master").fetchall()
        assert names_of(reader, "t", declared, ["a"]) == "the function slug()"
