"""The hostile files: each planted case is stored as it is claimed to be."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from stillme.demo.samples import HostileCase, make_hostile, schema


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[HostileCase]]:
    folder = tmp_path_factory.mktemp("hostile")
    return folder, make_hostile(folder)


@pytest.mark.parametrize("file", schema.FILES)
def test_every_cell_has_the_storage_class_claimed(
    planted: tuple[Path, list[HostileCase]], file: str
) -> None:
    folder, cases = planted
    cells = [case for case in cases if case.file == file and case.rowid is not None]
    assert len(cells) > 50
    with closing(sqlite3.connect(folder / file)) as connection:
        for case in cells:
            sql = f'SELECT typeof("{case.column}") FROM {case.table} WHERE rowid = ?'
            assert connection.execute(sql, (case.rowid,)).fetchone() == (case.storage,), case


@pytest.mark.parametrize("file", schema.FILES)
def test_what_concerns_the_whole_file_is_there(
    planted: tuple[Path, list[HostileCase]], file: str
) -> None:
    folder, cases = planted
    with closing(sqlite3.connect(folder / file)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        marks = Counter(row[0] for row in connection.execute("SELECT name FROM sqlite_sequence"))
    assert {case.table for case in cases if case.file == file} <= names
    for case in cases:
        if case.file == file and case.table == "sqlite_sequence":
            assert marks[str(case.key)] >= (2 if "second" in case.what else 1)


def test_each_case_can_be_looked_up(planted: tuple[Path, list[HostileCase]]) -> None:
    _, cases = planted
    assert len({(c.file, c.table, c.rowid, c.key, c.column, c.what) for c in cases}) == len(cases)
    kinds = {case.what for case in cases}
    for what in (
        "NULL in a TEXT primary key",
        "blob with the bytes of another key",
        "surrogate encoded in UTF-8",
        "word infinity",
        "epoch milliseconds",
        "5000-digit integer",
        "largest possible id: SQLite gives out none after it",
        "a trigger",
    ):
        assert what in kinds


def test_no_other_cell_of_a_case_is_odd(planted: tuple[Path, list[HostileCase]]) -> None:
    """A row with one case is good but for that cell: a table without its cases is a good table."""
    folder, cases = planted
    per_row = Counter((c.table, c.rowid) for c in cases if c.rowid is not None and c.column != "id")
    several = {row for row, count in per_row.items() if count > 1}
    assert several == {("knowledge_items", 3001)}
    for table, file in schema.FILE_OF_TABLE.items():
        odd = [str(rowid) for name, rowid in per_row if name == table]
        with closing(sqlite3.connect(folder / file)) as connection:
            sql = f"SELECT * FROM {table} WHERE rowid NOT IN ({', '.join(odd) or '0'})"
            found = connection.execute(sql).fetchall()
        assert len(found) >= 2
        assert not [value for row in found for value in row if type(value) is bytes]


def test_the_schemas_drift(planted: tuple[Path, list[HostileCase]]) -> None:
    folder, _ = planted
    with closing(sqlite3.connect(folder / schema.CONTINUUM)) as connection:
        assert schema.columns(connection, "tier_metrics")[-1] == "last_update_cycle"
        connection.execute("INSERT INTO tier_metrics (item_id, tier) VALUES ('new', 'L7')")
    with closing(sqlite3.connect(folder / schema.KNOWLEDGE)) as connection:
        assert schema.columns(connection, "knowledge_items")[-1] == "ghi chú"
    with closing(sqlite3.connect(folder / schema.ACCURACY)) as connection:
        assert schema.columns(connection, "accuracy_scores")[0] == "metadata"


def test_sqlite_itself_finds_nothing_wrong(planted: tuple[Path, list[HostileCase]]) -> None:
    folder, _ = planted
    for file in schema.FILES:
        with closing(sqlite3.connect(folder / file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_it_is_the_same_every_time(planted: tuple[Path, list[HostileCase]], tmp_path: Path) -> None:
    folder, cases = planted
    assert make_hostile(tmp_path) == cases
    for table, file in schema.FILE_OF_TABLE.items():
        found = []
        for directory in (folder, tmp_path):
            with closing(sqlite3.connect(directory / file)) as connection:
                connection.text_factory = bytes
                found.append(connection.execute(f"SELECT * FROM {table}").fetchall())
        assert found[0] == found[1], table


def test_one_file_alone_and_no_second_time(tmp_path: Path) -> None:
    cases = make_hostile(tmp_path, files=[schema.ACCURACY])
    assert {case.file for case in cases} == {schema.ACCURACY}
    assert [path.name for path in tmp_path.iterdir()] == [schema.ACCURACY]
    with pytest.raises(FileExistsError, match="choose an empty folder"):
        make_hostile(tmp_path, files=[schema.ACCURACY])
