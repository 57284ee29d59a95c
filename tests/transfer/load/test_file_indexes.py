"""Rows come from the table: an index of the file may miss some, or hold keys of others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stillme.demo.samples import schema
from stillme.transfer.errors import LegacyFileError, StateError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.sqlite.copying.file_indexes import distrust_indexes
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.install_capture import install_capture
from tests.transfer.load.support import FILES, query, run_import
from tests.transfer.verify.support import accept_all, judge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("continuum", "rss")]


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """Five items in tiers, and five fetched items of one cycle."""
    for name in (schema.CONTINUUM, schema.RSS):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            schema.create(connection, name)
            if name == schema.CONTINUUM:
                connection.executemany(
                    "INSERT INTO tier_metrics (item_id, tier) VALUES (?, 'L1')",
                    [(f"item-{n}",) for n in range(5)],
                )
            else:
                connection.execute(
                    "INSERT INTO rss_fetch_cycles (cycle_number, started_at) "
                    "VALUES (1, '2025-12-01T17:00:00.5')"
                )
                connection.executemany(FETCHED, [(f"title {n}",) for n in range(5)])
            connection.commit()
    use_legacy_files(tmp_path)
    return tmp_path


FETCHED = (
    "INSERT INTO rss_fetch_items (cycle_id, title, source_url, fetch_timestamp, status) "
    "VALUES (1, ?, 'u', '2025-12-01T17:00:00.5', 'Added to RAG')"
)


def without(path: Path, table: str, index: str, *statements: str) -> None:
    """Run statements while the file does not know that it has this index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = connection.execute(
            "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master WHERE name = ?", (index,)
        ).fetchone()
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        bare = sql.replace(" PRIMARY KEY", "") if row[4] is None else sql
        _write_schema(connection, table, bare, index, None)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _write_schema(connection, table, sql, index, row)


def _write_schema(
    connection: sqlite3.Connection, table: str, sql: str, index: str, row: tuple | None
) -> None:
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_master WHERE name = ?", (index,))
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))
    if row is not None:
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    connection.execute(f"PRAGMA schema_version = {version + 1}")


KEY = "sqlite_autoindex_tier_metrics_1"
TIER = "INSERT INTO tier_metrics (item_id, tier) VALUES ('lost', 'L2')"
# file, table, index, what happens behind its back -> rows that the table has then.
DAMAGES: dict[str, tuple[str, str, str, str, int]] = {
    "a key's index misses a row": ("continuum", "tier_metrics", KEY, TIER, 6),
    "a key's index has a row too many": (
        "continuum", "tier_metrics", KEY, "DELETE FROM tier_metrics WHERE item_id = 'item-3'", 4,
    ),
    "a key's index holds a stale key": (
        "continuum", "tier_metrics", KEY,
        "UPDATE tier_metrics SET item_id = 'other' WHERE item_id = 'item-3'", 5,
    ),
    "an index misses a row": (
        "rss", "rss_fetch_items", "idx_status", FETCHED.replace("?", "'lost'"), 6,
    ),
    "an index has a row too many": (
        "rss", "rss_fetch_items", "idx_status", "DELETE FROM rss_fetch_items WHERE id = 3", 4,
    ),
    "an index holds a stale value": (
        "rss", "rss_fetch_items", "idx_fetch_timestamp",
        "UPDATE rss_fetch_items SET fetch_timestamp = '2025-12-02T17:00:00.5' WHERE id = 2", 5,
    ),
}  # fmt: skip
TARGETS = {"tier_metrics": "continuum.tier_metrics", "rss_fetch_items": "rss.fetch_items"}
KEYS = {"tier_metrics": "item_id", "rss_fetch_items": "id"}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("what", DAMAGES)
def test_every_row_of_the_table_is_loaded_and_proven(legacy: Path, what: str) -> None:
    file, table, index, statement, rows = DAMAGES[what]
    path = legacy / FILES[file]
    without(path, table, index, statement)
    result = run_import()
    assert result.exit_status == 0
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute(f"SELECT {KEYS[table]} FROM {table} NOT INDEXED").fetchall()
    loaded = query(f"SELECT {KEYS[table]} FROM {TARGETS[table]}")
    assert sorted(loaded) == sorted(stored)
    assert len(loaded) == rows
    accept_all()
    assert judge().verdict.startswith("PROVEN")
    said = [notice for notice in result.notices if "REINDEX" in notice]
    assert bool(said) == (index == KEY)
    assert all("tier_metrics" in notice and "/tmp" not in notice for notice in said)
    assert [file.notices for file in inspect_files().files if file.notices] == [
        tuple(notice.split(": ", 1)[1].rstrip(".") for notice in said)
    ] * bool(said)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("what", DAMAGES)
def test_such_a_file_is_not_followed(legacy: Path, what: str) -> None:
    """A follower looks rows up in the live file, through its indexes."""
    file, table, index, statement, _ = DAMAGES[what]
    without(legacy / FILES[file], table, index, statement)
    with pytest.raises(StateError, match=r"indexes agree.*REINDEX"):
        install_capture("default", Selection(files=(file,)))


@pytest.mark.slow
def test_a_proof_sees_what_the_index_hid_from_an_older_import(legacy: Path) -> None:
    run_import()
    path = legacy / FILES["continuum"]
    without(path, "tier_metrics", KEY, TIER)
    found = judge().findings.kept
    assert ("continuum.tier_metrics", "lost") in {(f.where, f.key) for f in found}


def test_a_key_that_stands_twice_past_its_index_is_a_sentence(legacy: Path) -> None:
    path = legacy / FILES["continuum"]
    without(
        path, "tier_metrics", KEY,
        "INSERT INTO tier_metrics (item_id, tier) VALUES ('item-3', 'L3')",
    )  # fmt: skip
    with pytest.raises(LegacyFileError, match="forbids") as refused:
        run_import()
    assert str(path) in str(refused.value)
    assert "snapshot" not in str(refused.value)
    with pytest.raises(LegacyFileError, match="forbids"):
        judge()


def test_pages_that_two_places_claim_are_no_rows(tmp_path: Path) -> None:
    """Reading goes through: only SQLite's own check of the table's pages tells."""
    path = tmp_path / "crossed.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA page_size = 512")
        file.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, code TEXT UNIQUE, body TEXT)")
        rows = [(n, f"c{n}", "x" * 200) for n in range(1, 60)]
        file.executemany("INSERT INTO notes VALUES (?, ?, ?)", rows)
        file.commit()
        (root,) = file.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'notes'").fetchone()
    pages = bytearray(path.read_bytes())
    start = (root - 1) * 512
    assert pages[start] == 5  # an interior page of a table
    cells = [int.from_bytes(pages[at : at + 2], "big") for at in (start + 12, start + 14)]
    first, second = (start + cell for cell in cells)
    pages[second : second + 4] = pages[first : first + 4]
    path.write_bytes(pages)
    with closing(sqlite3.connect(path)) as file:
        assert len(file.execute("SELECT * FROM notes NOT INDEXED").fetchall()) > 50
    with pytest.raises(sqlite3.DatabaseError, match="malformed: notes"):
        distrust_indexes(path, path)


def _pages_of(path: Path, table: str) -> tuple[int, int, int]:
    """The root of a table that has two levels, its first leaf, and the size of a page."""
    with closing(sqlite3.connect(path)) as file:
        (size,) = file.execute("PRAGMA page_size").fetchone()
        (root,) = file.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone()
    pages = path.read_bytes()
    start = (root - 1) * size
    assert pages[start] in (2, 5)  # an interior page
    cell = start + int.from_bytes(pages[start + 12 : start + 14], "big")
    return root, int.from_bytes(pages[cell : cell + 4], "big"), size


def _lose_a_leaf(pages: bytearray, root: int, size: int) -> None:
    cells = int.from_bytes(pages[root + 3 : root + 5], "big")
    pages[root + 12 : root + 10 + 2 * cells] = pages[root + 14 : root + 12 + 2 * cells]
    pages[root + 3 : root + 5] = (cells - 1).to_bytes(2, "big")


def _lose_a_row(pages: bytearray, leaf: int, size: int) -> None:
    cells = int.from_bytes(pages[leaf + 3 : leaf + 5], "big")
    pages[leaf + 3 : leaf + 5] = (cells - 1).to_bytes(2, "big")


def _a_row_twice(pages: bytearray, leaf: int, size: int) -> None:
    pages[leaf + 8 : leaf + 10] = pages[leaf + 10 : leaf + 12]


def _rows_swapped(pages: bytearray, leaf: int, size: int) -> None:
    first, second = pages[leaf + 8 : leaf + 10], pages[leaf + 10 : leaf + 12]
    pages[leaf + 8 : leaf + 12] = second + first


# What happens to a page, and whether it is the root.
LOSSES: dict[str, tuple[Callable[[bytearray, int, int], None], bool]] = {
    "a leaf is lost": (_lose_a_leaf, True),
    "a row is lost": (_lose_a_row, False),
    "a row stands twice": (_a_row_twice, False),
    "two rows changed places": (_rows_swapped, False),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_table_that_lost_rows_is_not_read(legacy: Path, loss: str) -> None:
    """SQLite reads over it, in a table without any constraint too."""
    path = legacy / FILES["rss"]
    with closing(sqlite3.connect(path)) as file:
        file.executemany(FETCHED, [(f"title {n} {'x' * 300}",) for n in range(100)])
        file.commit()
    only = Selection(files=("rss",))
    run_import(selection=only)
    assert judge(selection=only).findings.kept == []
    do, is_root = LOSSES[loss]
    root, leaf, size = _pages_of(path, "rss_fetch_items")
    pages = bytearray(path.read_bytes())
    do(pages, ((root if is_root else leaf) - 1) * size, size)
    path.write_bytes(pages)
    with closing(sqlite3.connect(path)) as file:
        assert len(file.execute("SELECT * FROM rss_fetch_items NOT INDEXED").fetchall()) > 90
    for command in (run_import, judge):
        with pytest.raises(LegacyFileError, match="is damaged or truncated"):
            command(selection=only)


@pytest.mark.parametrize("views", [0, 1, 5])
def test_pages_that_nothing_leads_to_are_seen_next_to_views(legacy: Path, views: int) -> None:
    """A view that comes first stops SQLite's own look for them."""
    with closing(sqlite3.connect(legacy / FILES["rss"], isolation_level=None)) as file:
        file.execute("CREATE TABLE lost AS SELECT * FROM rss_fetch_items")
        for number in range(views):
            file.execute(f"CREATE VIEW seen_{number} AS SELECT 1")
        file.execute("PRAGMA writable_schema = ON")
        file.execute("DELETE FROM sqlite_master WHERE name = 'lost'")
    only = Selection(files=("rss",))
    for command in (run_import, judge):
        with pytest.raises(LegacyFileError, match="never used"):
            command(selection=only)


def test_damage_of_an_index_does_not_hide_a_lost_leaf(tmp_path: Path) -> None:
    """Hundreds of pages of an index that nothing leads to, and one of the table."""
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(
            "PRAGMA page_size = 512; CREATE TABLE notes (id INTEGER PRIMARY KEY, text)"
        )
        rows = [(n, f"{n:06d}" * 12) for n in range(6000)]
        file.executemany("INSERT INTO notes VALUES (?, ?)", rows)
        file.execute("CREATE INDEX texts ON notes (text)")
        file.commit()
    pages = bytearray(path.read_bytes())
    for name, cell in (("texts", 0), ("notes", 6)):
        root, _, size = _pages_of(path, name)
        start = (root - 1) * size
        _lose_a_leaf(pages, start, size)
        # The bytes of a table's cell are told as free ones, so that nothing but the pages is odd.
        pages[start + 7] += cell
    path.write_bytes(pages)
    with pytest.raises(LegacyFileError, match="is damaged or truncated"):
        take_snapshot("copied", path, tmp_path)


def test_damaged_pages_of_an_index_are_told(legacy: Path) -> None:
    path = legacy / FILES["rss"]
    with closing(sqlite3.connect(path)) as file:
        file.executemany(FETCHED, [(f"title {n} {'x' * 300}",) for n in range(100)])
        file.execute("CREATE INDEX titles ON rss_fetch_items (title)")
        file.commit()
    _, leaf, size = _pages_of(path, "titles")
    pages = bytearray(path.read_bytes())
    pages[(leaf - 1) * size : leaf * size] = bytes(size)
    path.write_bytes(pages)
    only = Selection(files=("rss",))
    run_import(selection=only)
    result = judge(selection=only)
    assert result.verdict.startswith("PROVEN")
    assert [n for n in result.notices if "pages of an index are damaged" in n]


def test_a_unique_index_of_one_column_is_made_again_from_its_table(tmp_path: Path) -> None:
    """References to such a column are sought by it; what the file's own says does not count."""
    path = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE up (id INTEGER PRIMARY KEY, code TEXT, other TEXT)")
        for name, columns in (("by_code", "code"), ("both", "code, other"), ("part", "other")):
            where = " WHERE id > 1" if name == "part" else ""
            connection.execute(f"CREATE UNIQUE INDEX {name} ON up ({columns}){where}")
        connection.execute("CREATE UNIQUE INDEX by_value ON up (lower(other))")
        connection.commit()
    without(path, "up", "by_code", "INSERT INTO up VALUES (1, 'a', 'x'), (2, 'b', 'y')")
    distrust_indexes(path, path)
    with closing(sqlite3.connect(path)) as connection:
        listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        assert listed.fetchall() == [("by_code",)]
        assert connection.execute("SELECT id FROM up WHERE code = 'b'").fetchall() == [(2,)]
        assert connection.execute("PRAGMA integrity_check(up)").fetchone() == ("ok",)


def test_a_unique_index_that_its_table_contradicts_stays_away(tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE up (id INTEGER PRIMARY KEY, code TEXT)")
        connection.execute("CREATE UNIQUE INDEX by_code ON up (code)")
        connection.execute("INSERT INTO up VALUES (1, 'a')")
        connection.commit()
    without(path, "up", "by_code", "INSERT INTO up VALUES (2, 'a')")
    distrust_indexes(path, path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM up WHERE code = 'a'").fetchone() == (2,)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'index'").fetchall()
