"""Rows that are set aside for a reason that SQLite tells: the same as cell by cell, without it.

That reasons, sentences and records are the same on the hostile files, tests `test_mended_rows`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_bulk
from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.row_source import SnapshotRows
from stillme.transfer.steps.kinds import convert, loader_of
from stillme.transfer.steps.kinds.base import Refused, RowContext, Table
from stillme.transfer.steps.loading import load_range
from stillme.transfer.steps.rows import faulty_rows, read_range
from stillme.transfer.steps.rows.mended_rows import Rowids
from stillme.transfer.steps.rows.unusual_rows import CarefulLoader
from stillme.transfer.verify.kinds import base as verify_base
from stillme.transfer.verify.kinds import expect, judge_of
from stillme.transfer.verify.kinds.local_clock import LocalClock
from stillme.transfer.verify.sides import legacy_blocks
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.load.support import change, query, run_import
from tests.transfer.load.test_mended_rows import OTHERS, TIMES, others, times

pytestmark = pytest.mark.django_db(transaction=True)
KINDS: tuple[Any, ...] = (
    *OTHERS, *TIMES, kinds.Binary(), kinds.Address(), kinds.Day(), kinds.TimeOfDay(),
    kinds.Decimal(10, 2), kinds.Decimal(20, 15), kinds.Decimal(10, 2, rounded=True), kinds.Key(),
    kinds.TextKey(),
)  # fmt: skip
REASONS = (
    'SELECT reason, count(*) FROM transfer.quarantined_row WHERE "table" = %s GROUP BY 1 ORDER BY 1'
)
RECORDS = (
    'SELECT key, rowid, cells::text, reason, "column", sentence FROM transfer.quarantined_row '
    'WHERE "table" = %s ORDER BY id'
)


def values() -> list[Any]:
    """Values of every kind, in usual shapes, in odd ones, and broken."""
    addresses = ["192.0.2.7", "192.0.2.07", "2001:db8::1", "2001:DB8::1", "::1/64", "1.2.3.4.5"]
    days = ["2025-02-28", "2025-02-29", "2025-02-30", "12:30:00", "24:00:00", "12:30:00.000000"]
    broken = [b"\x80", "ä" * 3, "abc\0d", "", 12.5, 0.1 + 0.2, 1e17, -0.0, None]
    found = [*others(), *times()[::7], *addresses, *days, *broken]
    return found + [f"{text}\0" for text in (*addresses, *days)]


def asked(folder: Path, kind: Any, sql: Callable[[Table], list[str]]) -> list[tuple[Any, ...]]:
    """Storage class and value of each value, and what some SQL of the loader says of it."""
    path = folder / "values.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        db.executemany("INSERT INTO t (v) VALUES (?)", ((value,) for value in values()))
        db.execute("INSERT INTO t (v) VALUES (CAST(x'c328' AS TEXT))")
    source = SnapshotRows(path)
    source.know(loader_of(kind).functions)
    mapping: Any = type("Mapping", (), {"clock": None, "key_is_rowid": False})
    try:
        parts = ", ".join(sql(Table(mapping, Clock(), {}, source)))
        stored = "typeof(v), iif(typeof(v) = 'text', CAST(v AS BLOB), v)"
        return list(source.rows(f"SELECT {stored}, {parts} FROM t", ()))
    finally:
        source.close()


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_sql_says_the_same_as_the_conversion(tmp_path: Path, kind: Any) -> None:
    """What SQL takes for usual is not refused; where it knows a fault, it is refused for that."""
    for required in (True, False):
        column = MappedColumn("v", "v", kind, required=required)
        faults: list[Any] = []

        def sql(table: Table, column: MappedColumn = column, faults: Any = faults) -> list[str]:
            faults += faulty_rows._faults(column, table)
            tests = [f"WHEN {fault.test} THEN {n}" for n, fault in enumerate(faults)]
            usual = faulty_rows._usual(column, table)
            number = f"CASE WHEN 0 THEN 0 {' '.join(tests)} END"
            return [usual, faulty_rows._usual_key(column, table), number]

        known = 0
        for storage, raw, unusual, other_key, number in asked(tmp_path, kind, sql):
            reason = sentence = ""
            try:
                convert(kind, required, storage, raw, RowContext())
            except Refused as refused:
                reason, sentence = refused.reason, refused.sentence
            if number is not None:
                told = faults[number]
                assert (told.reason, told.told(raw)) == (reason, sentence), raw
            elif unusual == 0 or (other_key == 0 and not kind.is_document):
                assert not reason, raw
                known += 1
        assert known


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_the_judge_takes_nothing_for_usual_that_is_not(tmp_path: Path, kind: Any) -> None:
    """Nor for a fault that `expect` does not see."""
    judge, column = judge_of(kind), MappedColumn("v", "v", kind, required=True)
    faults: list[Any] = []

    def sql(table: Table) -> list[str]:
        told: Any = verify_base.Table(table.mapping, LocalClock(), {})
        table.source.know(judge.functions)
        faults.extend(judge.faults(column, told))
        tests = " ".join(f"WHEN {fault.test} THEN {n}" for n, fault in enumerate(faults))
        return [judge.is_usual(column, told), f"CASE WHEN 0 THEN 0 {tests} END"]

    seen = 0
    for storage, raw, usual, number in asked(tmp_path, kind, sql):
        reason = ""
        try:
            expect(kind, True, storage, raw, verify_base.Surroundings(LocalClock()))
        except verify_base.MustBeSetAside as why:
            reason = why.reason
        if number is not None:
            assert faults[number].reason == reason, raw
        elif usual and storage != "null":
            assert not reason, raw
            seen += 1
    assert seen


@pytest.fixture
def items(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """Fifty usual knowledge items."""
    make_bulk(tmp_path, "knowledge_items", 50)
    use_legacy_files(tmp_path)
    return tmp_path


@pytest.fixture
def converted(items: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rows that were converted cell by cell."""
    seen: list[Any] = []
    really = CarefulLoader.convert

    def noted(self: CarefulLoader, row: Any) -> Any:
        seen.append(row)
        return really(self, row)

    monkeypatch.setattr(CarefulLoader, "convert", noted)
    return seen


def test_usual_faults_need_no_python(items: Path, converted: list[Any]) -> None:
    change(
        items,
        "knowledge",
        "UPDATE knowledge_items SET content = 'a' || char(0) || 'b' WHERE id % 5 = 0",
        "UPDATE knowledge_items SET source = x'ff' WHERE id % 5 = 1",
        "UPDATE knowledge_items SET metadata = '{\"a\": NaN}', source = source || char(0) "
        "WHERE id % 5 = 2",
        "INSERT INTO knowledge_relationships (source_id, target_id, relationship_type) "
        "SELECT id, id + 1000, 'of' FROM knowledge_items WHERE id % 5 = 3",
    )
    run_import()
    assert dict(query(REASONS, "knowledge_items")) == {"blob": 10, "nul_in_text": 20}
    assert query(REASONS, "knowledge_relationships") == [("missing_parent", 10)]
    assert not [row for row in converted if "relationship_type" in row.cells]
    assert not [row for row in converted if "retention_score" in row.cells]
    told = next(record for record in query(RECORDS, "knowledge_items") if record[0] == "5")
    assert told[3:] == ("nul_in_text", "content", "U+0000 at character 1 of the text.")


def test_an_earlier_fault_that_sql_does_not_know_counts(items: Path, converted: list[Any]) -> None:
    change(
        items,
        "knowledge",
        "DELETE FROM knowledge_items WHERE id > 4",
        "UPDATE knowledge_items SET metadata = '{}', last_accessed = created_at, "
        "source = 'x' || char(0)",
        "UPDATE knowledge_items SET content = CAST(x'c328' AS TEXT) WHERE id = 1",
        "UPDATE knowledge_items SET source = 'x', access_count = 'seven', created_at = x'00' "
        "WHERE id = 2",
        "UPDATE knowledge_items SET source = 'x', last_accessed = '2025-02-30 00:00:00', "
        "created_at = x'00' WHERE id = 3",
    )
    run_import()
    found = query(
        'SELECT key, reason, "column" FROM transfer.quarantined_row '
        "WHERE \"table\" = 'knowledge_items' ORDER BY 1"
    )
    assert found == [
        ("1", "invalid_utf8", "content"),
        ("2", "not_a_number", "access_count"),
        ("3", "unreadable_time", "last_accessed"),
        ("4", "nul_in_text", "source"),
    ]


def test_a_second_import_finds_the_same(items: Path) -> None:
    change(
        items,
        "knowledge",
        "UPDATE knowledge_items SET content = content || char(0) WHERE id % 2 = 0",
    )
    first = run_import()
    records = query(RECORDS, "knowledge_items")
    assert records
    # Another file, but the same rows in this table: no range of it is touched.
    change(items, "knowledge", "UPDATE learning_sessions SET session_type = 'other'")
    again = next(t for t in run_import().tables if t.table == "knowledge_items")
    assert again.skipped_chunks == again.chunks > 0
    # One row in addition: the range is merged, and the records stay as they are.
    change(items, "knowledge", "UPDATE knowledge_items SET content = 'fine' WHERE id = 2")
    after = next(t for t in run_import().tables if t.table == "knowledge_items")
    before = next(t for t in first.tables if t.table == "knowledge_items")
    assert after.outcome.quarantined == before.outcome.quarantined - 1
    assert [r for r in records if r[0] != "2"] == [
        r for r in query(RECORDS, "knowledge_items") if r[0] != "2"
    ]


def test_rows_with_u0000_are_read_once(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL need not refuse them, and no SQL is asked how to repair them."""
    make_bulk(tmp_path, "knowledge_items", 120)
    change(
        tmp_path,
        "knowledge",
        "UPDATE knowledge_items SET source = source || char(0) WHERE id <> 60",
        "UPDATE knowledge_items SET created_at = created_at || 'Z' WHERE id IN (60, 61)",
    )
    use_legacy_files(tmp_path)
    ways: list[bool] = []
    repaired: list[tuple[int, ...]] = []
    direct = load_range.load_direct

    def noted(*given: Any, trusting: bool) -> Any:
        ways.append(trusting)
        return direct(*given, trusting=trusting)

    def asked_for(number: int, *, rowids: tuple[int, ...]) -> Rowids:
        repaired.append(rowids)
        return Rowids(number, rowids=rowids)

    monkeypatch.setattr(load_range, "load_direct", noted)
    monkeypatch.setattr(read_range, "Rowids", asked_for)
    assert run_import().conserved
    assert set(ways) == {True}
    assert repaired == [(60, 61)]
    assert query(REASONS, "knowledge_items") == [("nul_in_text", 119)]


def test_records_of_cells_of_every_class(items: Path, converted: list[Any]) -> None:
    """A column that no model declares may have any name; both sides spell all of its values."""
    change(
        items,
        "knowledge",
        'ALTER TABLE knowledge_items ADD COLUMN "100 % of ""%s"" Ồ"',
        "UPDATE knowledge_items SET source = source || char(0)",
        'UPDATE knowledge_items SET "100 % of ""%s"" Ồ" = CASE id % 5 WHEN 0 THEN -7 '
        "WHEN 1 THEN -0.0 WHEN 2 THEN 9e999 WHEN 3 THEN x'00ff' WHEN 4 THEN 'Ồ ''\"%d' END",
    )
    run_import()
    assert not converted
    found = {
        int(key) % 5: json.loads(cells)['100 % of "%s" Ồ']
        for key, _, cells, *_ in query(RECORDS, "knowledge_items")
    }
    assert found == {
        0: ["integer", -7],
        1: ["real", "-0x0.0p+0"],
        2: ["real", "inf"],
        3: ["blob", "AP8="],
        4: ["text", "4buSICciJWQ="],
    }
    proof = next(t for t in verify(VerifyOptions()).tables if t.table == "knowledge_items")
    assert (proof.findings.total, proof.by_digest, proof.open) == (0, 50, 50)


def test_a_column_may_have_the_name_of_the_helper(items: Path) -> None:
    for name in ("first fault", "why aside"):
        change(items, "knowledge", f'ALTER TABLE knowledge_items ADD COLUMN "{name}" DEFAULT 99')
    change(items, "knowledge", "UPDATE knowledge_items SET source = source || char(0) WHERE id = 7")
    assert run_import().conserved
    assert query(REASONS, "knowledge_items") == [("nul_in_text", 1)]
    proof = next(t for t in verify(VerifyOptions()).tables if t.table == "knowledge_items")
    assert (proof.findings.total, proof.open, proof.target_rows) == (0, 1, 49)


def test_large_rows_are_read_one_by_one(items: Path, converted: list[Any]) -> None:
    """Thousands of records are kept at a time: only those of usual size."""
    change(
        items,
        "knowledge",
        "UPDATE knowledge_items SET source = source || char(0)",
        "UPDATE knowledge_items SET content = hex(zeroblob(16000)), metadata = NULL, "
        "knowledge_type = hex(zeroblob(17000)) WHERE id = 7",
    )
    run_import()
    assert len(converted) == 1
    proof = next(t for t in verify(VerifyOptions()).tables if t.table == "knowledge_items")
    assert (proof.findings.total, proof.by_digest, proof.by_cell) == (0, 49, 1)


def test_lines_of_a_block_are_bounded(items: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_blocks, "_BLOCK_BYTES", 10_000)
    monkeypatch.setattr("stillme.transfer.sqlite.reading.snapshot_reader.FEW", 4)
    change(items, "knowledge", "UPDATE knowledge_items SET source = source || char(0)")
    run_import()
    proof = next(t for t in verify(VerifyOptions()).tables if t.table == "knowledge_items")
    assert proof.findings.total == 0
    assert 0 < proof.by_digest < 50
    assert proof.by_digest + proof.by_cell == 50


def test_many_combinations_of_classes(items: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillme.transfer.verify.sides.aside_lines._MOST_FORMS", 2)
    change(items, "knowledge", "UPDATE knowledge_items SET source = source || char(0)")
    for number in range(3):
        change(
            items,
            "knowledge",
            f"ALTER TABLE knowledge_items ADD COLUMN c{number}",
            f"UPDATE knowledge_items SET c{number} = 'a' WHERE id >> {number} & 1",
        )
    run_import()
    proof = next(t for t in verify(VerifyOptions()).tables if t.table == "knowledge_items")
    assert (proof.findings.total, proof.by_digest) == (0, 50)
