"""Damaged files: copied as they are, and what can still be read is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stillme.demo.samples import make_samples
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying.backup_check import check_copy, open_copy, readable
from stillme.transfer.steps.back_up import back_up
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.restore_backup import restore_backup

PAGE = 4096
LEAF = 0x0D


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """1,000 rows on some dozen leaf pages."""
    path = tmp_path / "rows.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
        values = [(n, f"row {n} " * 20) for n in range(1, 1001)]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?)", values)
        connection.execute("COMMIT")
    return path


def destroy(path: Path, which: list[int]) -> None:
    """Overwrite the n-th leaf pages of the file's tables with bytes that are no page."""
    data = bytearray(path.read_bytes())
    leaves = [at for at in range(PAGE, len(data), PAGE) if data[at] == LEAF]
    for number in which:
        data[leaves[number] : leaves[number] + PAGE] = b"\xff" * PAGE
    path.write_bytes(data)


def test_a_sound_table_is_one_range(rows: Path) -> None:
    found = check_copy(rows)
    assert found.sound
    assert found.rows == {"t": 1000}
    with closing(open_copy(rows)) as connection:
        assert readable(connection, "t").ranges == [(1, 1000)]


@pytest.mark.parametrize("which", [[10], [5, 6, 20], [0], [-1], [0, -1, 15]])
def test_rows_around_damaged_pages_are_read(rows: Path, which: list[int]) -> None:
    destroy(rows, which)
    found = check_copy(rows)
    assert not found.sound
    (table,) = found.readable
    assert table.error
    # A leaf of this table holds 20 to 30 rows, the last one less.
    assert 1000 - 31 * len(which) <= table.rows <= 1000 - 5 * len(which)
    assert sum(high - low + 1 for low, high in table.ranges) == table.rows
    ordered = [bound for pair in table.ranges for bound in pair]
    assert ordered == sorted(ordered)


def test_a_table_that_cannot_be_read_at_all(rows: Path) -> None:
    data = bytearray(rows.read_bytes())
    data[PAGE : 2 * PAGE] = b"\xff" * PAGE
    rows.write_bytes(data)
    (table,) = check_copy(rows).readable
    assert (table.rows, table.ranges) == (0, [])
    assert table.error


def test_a_damaged_legacy_file_is_backed_up_and_explained(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    make_samples(tmp_path / "data", rows=300)
    use_legacy_files(tmp_path / "data")
    destroy(tmp_path / "data" / "knowledge_retention.db", [3])
    manifest = back_up(tmp_path / "backup")
    damaged = {entry.name: entry for entry in manifest.files if not entry.sound}
    assert list(damaged) == ["knowledge_retention.db"]
    tables = {table.table: table for table in damaged["knowledge_retention.db"].readable}
    assert any(table.error for table in tables.values())
    assert sum(table.rows for table in tables.values()) > 500
    with pytest.raises(LegacyFileError, match="not sound"):
        restore_backup(tmp_path / "backup", tmp_path / "elsewhere")
    with pytest.raises(LegacyFileError, match="damaged"):
        inspect_files()


@pytest.mark.parametrize("vacuum", ["NONE", "FULL", "INCREMENTAL"])
def test_pages_that_nothing_leads_to_are_told_next_to_views(tmp_path: Path, vacuum: str) -> None:
    """SQLite's own check does not look for them where a view comes first."""
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA page_size = 512")
        file.execute(f"PRAGMA auto_vacuum = {vacuum}")
        for table in ("t", "lost"):
            file.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, text TEXT)")
        file.execute("CREATE VIEW seen AS SELECT 1")
        file.execute("BEGIN")
        for table in ("t", "t", "lost"):
            texts = [("text " * 40,)] * 500
            file.executemany(f"INSERT INTO {table} (text) VALUES (?)", texts)
        file.execute("DELETE FROM t WHERE id > 700")
        file.execute("COMMIT")
        assert check_copy(path).sound
        file.execute("PRAGMA writable_schema = ON")
        file.execute("DELETE FROM sqlite_master WHERE name = 'lost'")
    before = path.read_bytes()
    found = check_copy(path)
    assert not found.sound
    assert "nothing leads to" in found.integrity[0]
    assert path.read_bytes() == before


def test_a_truncated_file_is_backed_up_as_it_is(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    make_samples(tmp_path / "data", rows=300)
    use_legacy_files(tmp_path / "data")
    path = tmp_path / "data" / "accuracy_scores.db"
    path.write_bytes(path.read_bytes()[: 10 * PAGE + 100])
    manifest = back_up(tmp_path / "backup")
    entry = next(e for e in manifest.files if e.name == path.name)
    assert not entry.sound
    assert entry.readable or entry.integrity
