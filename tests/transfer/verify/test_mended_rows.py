"""Rows that were repaired in a well-known way: judged many at a time, as strictly as by cell."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_bulk
from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.snapshot_reader import open_reader
from stillme.transfer.verify.kinds import expect, json_documents, judge_of
from stillme.transfer.verify.kinds.base import MustBeSetAside, Surroundings, Table
from stillme.transfer.verify.kinds.local_clock import LocalClock
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.sides import legacy_blocks
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.load.support import change, query, run_import
from tests.transfer.load.test_mended_rows import CLOCKS, OTHERS, TIMES, others, times
from tests.transfer.verify.support import close_database, empty_target, legacy_folder, undone

TYPES = {
    "timestamp": "timestamptz", "date": "timestamptz", "moment": "timestamptz", "text": "text",
    "integer": "bigint", "real": "float8",
}  # fmt: skip


def mended(
    folder: Path, kind: Any, clock: LocalClock, unit: str, values: list[Any]
) -> list[tuple[Any, ...]]:
    """Each value as it is stored, the reason for keeping it, its part of the line, its double."""
    path = folder / "values.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        db.executemany("INSERT INTO t (v) VALUES (?)", ((value,) for value in values))
    mapping: Any = type("Mapping", (), {"clock": None})
    table = Table(mapping, clock, {}, units={"v": unit})
    column, judge = MappedColumn("v", "v", kind, required=True), judge_of(kind)
    plain = f"WHEN {judge.plain_test(column, table)} THEN NULL"
    mends = judge.mends(column, table)
    reasons = " ".join(f"WHEN {mend.test} THEN '{mend.reason}'" for mend in mends)
    pieces = " ".join(f"WHEN {mend.test} THEN CAST({mend.piece} AS BLOB)" for mend in mends)
    stored = "typeof(v), iif(typeof(v) = 'text', CAST(v AS BLOB), v)"
    with closing(open_reader(path)) as db:
        return list(
            db.execute(
                f"SELECT {stored}, CASE {plain} {reasons} END, CASE {plain} {pieces} END, "
                "CAST(v AS REAL) FROM t"
            )
        )


def check(kind: Any, around: Surroundings, found: list[tuple[Any, ...]]) -> int:
    """Compare with what is expected cell by cell; how many values SQL told of."""
    judge, told, values = judge_of(kind), [], []
    for storage, raw, reason, piece, double in found:
        if reason is None:
            continue
        try:
            expected = expect(kind, True, storage, raw, around)
        except MustBeSetAside as aside:
            raise AssertionError(f"{raw!r} belongs into quarantine") from aside
        assert expected.kept == reason, raw
        told.append((raw, bytes(piece).decode()))
        values.append(judge.parameter(expected.value))
        if kind.name == "real":
            assert double == values[-1], raw
    # One statement for all: they are thousands.
    held = query(
        f"SELECT {judge.target_piece('v')} FROM unnest(%s::{TYPES[kind.name]}[]) "
        "WITH ORDINALITY AS t(v, n) ORDER BY n",
        values,
    )
    assert [(raw, piece) for (raw, _), (piece,) in zip(told, held, strict=True)] == told
    return len(told)


@pytest.mark.django_db
@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
@pytest.mark.parametrize("kind", TIMES, ids=repr)
def test_times_are_told_as_by_cell(tmp_path: Path, kind: Any, clock: Clock) -> None:
    own = LocalClock(clock.zone, clock.usual, tuple(sorted(clock.evidence)))
    found = mended(tmp_path, kind, own, "seconds", times())
    assert check(kind, Surroundings(own, None, "seconds"), found) > 700


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [k for k in OTHERS if k.name in TYPES], ids=repr)
def test_values_are_told_as_by_cell(tmp_path: Path, kind: Any) -> None:
    if not getattr(kind, "choices", ()):
        found = mended(tmp_path, kind, LocalClock(), "", others())
        assert check(kind, Surroundings(LocalClock()), found) > 1


def test_documents_are_told_as_by_cell(tmp_path: Path) -> None:
    kind = kinds.Json()
    judge, column = judge_of(kind), MappedColumn("v", "v", kind, required=True)
    path = tmp_path / "values.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        db.executemany("INSERT INTO t (v) VALUES (?)", ((value,) for value in others()))
    mapping: Any = type("Mapping", (), {"clock": None})
    table = Table(mapping, LocalClock(), {})
    whens = [f"WHEN {n} THEN {m.document}" for n, m in enumerate(judge.mends(column, table), 1)]
    with closing(open_reader(path)) as db:
        for name, function in judge.functions.items():
            db.create_scalar_function(name, function, 1)
        stored = "typeof(v), iif(typeof(v) = 'text', CAST(v AS BLOB), v)"
        shape = judge.shape(column, table)
        found = db.execute(f"SELECT {stored}, {shape}, CASE {shape} {' '.join(whens)} END FROM t")
        seen = set()
        for storage, raw, number, document in found:
            try:
                expected = expect(kind, True, storage, raw, Surroundings(LocalClock()))
            except MustBeSetAside:
                assert number is None, raw
                continue
            reason = "" if number == 0 else judge.mends(column, table)[number - 1].reason
            assert reason == expected.kept, raw
            seen.add(reason)
            if number:
                tree = json_documents.target_tree(document.decode())
                assert json_documents.is_same_tree(tree, expected.value), raw
    assert len(seen) == len(whens) + 1


ROWS = 300
CELL = 'file, "table", key, storage, value, reason'
RECORD = 'file, "table", cells, reason, "column", sentence, status, repairs, note, decided_by'
KEPT = "transfer.kept_cell WHERE key = '7'"


@pytest.fixture(scope="module")
def repaired(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """Knowledge items of which every second has a time in another shape, some another value."""
    folder = tmp_path_factory.mktemp("repaired")
    make_bulk(folder, "knowledge_items", ROWS)
    change(
        folder,
        "knowledge",
        "UPDATE knowledge_items SET created_at = replace(created_at, ' ', 'T') || 'Z' "
        "WHERE id % 2 = 1",
        "UPDATE knowledge_items SET last_accessed = '2025-01-01', metadata = '{\"a\": 1}' "
        "WHERE id % 50 = 7",
        "UPDATE knowledge_items SET metadata = '{\"b\": [NaN, ' || id || ']}' WHERE id % 50 = 13",
        "UPDATE knowledge_items SET last_accessed = 'never' WHERE id = 9",
    )
    with django_db_blocker.unblock(), legacy_folder(folder):
        empty_target()
        run_import()
        yield
        empty_target()
        close_database()


def judge_items() -> TableProof:
    proof = verify(VerifyOptions(jobs=1))
    return next(table for table in proof.tables if table.table == "knowledge_items")


def test_they_are_not_asked_one_by_one(repaired: None) -> None:
    proof = judge_items()
    assert not proof.findings.total
    assert (proof.legacy_rows, proof.target_rows, proof.repaired) == (ROWS, ROWS - 1, ROWS // 2 - 1)
    assert (proof.by_digest, proof.by_cell, proof.open) == (ROWS - 1, 1, 1)


def test_few_are_asked_one_by_one_where_their_sql_is_long(
    repaired: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy_blocks, "_SQL_BYTES", 1)
    proof = judge_items()
    assert not proof.findings.total
    assert (proof.repaired, proof.by_cell, proof.open) == (ROWS // 2 - 1, ROWS // 2, 1)


@pytest.mark.parametrize(
    ("statement", "keys"),
    [
        ("UPDATE knowledge.knowledge_items SET created_at = created_at + '1us' WHERE id = 7", 1),
        ("UPDATE knowledge.knowledge_items SET access_count = 3 WHERE id = 7", 1),
        ("UPDATE knowledge.knowledge_items SET metadata = '{\"a\": 2}' WHERE id = 7", 1),
        ("UPDATE knowledge.knowledge_items SET metadata = '{\"b\": [0, 13]}' WHERE id = 13", 1),
        ("UPDATE knowledge.knowledge_items SET metadata = '{\"b\": [null, 14]}' WHERE id = 13", 1),
        ("DELETE FROM transfer.kept_cell WHERE key = '13' AND \"column\" = 'metadata'", 1),
        ("UPDATE transfer.kept_cell SET reason = 'not_json' WHERE key = '13' AND \"column\" = "
         "'metadata'", 1),
        ("UPDATE knowledge.knowledge_items SET confidence_score = 0.123 WHERE id = 7", 1),
        ("UPDATE knowledge.knowledge_items SET content = 'other' WHERE id = 8", 1),
        ("DELETE FROM knowledge.knowledge_items WHERE id IN (7, 11)", 2),
        ("UPDATE knowledge.knowledge_items SET id = 9 WHERE id = 11", 2),
        (f"DELETE FROM {KEPT}", 2),
        (f"DELETE FROM {KEPT} AND \"column\" = 'created_at'", 1),
        ("UPDATE transfer.kept_cell SET value = 'x' WHERE key = '7'", 2),
        ("UPDATE transfer.kept_cell SET value = NULL WHERE key = '11'", 1),
        ("UPDATE transfer.kept_cell SET storage = 'blob' WHERE key = '11'", 1),
        ("UPDATE transfer.kept_cell SET reason = 'epoch' WHERE key = '11'", 1),
        ("UPDATE transfer.kept_cell SET \"column\" = 'last_accessed' WHERE key = '11'", 2),
        ("UPDATE transfer.kept_cell SET key = '13', \"column\" = 'content' WHERE key = '11'", 2),
        ("UPDATE transfer.kept_cell SET key = '12' WHERE key = '11'", 2),
        (f"INSERT INTO transfer.kept_cell ({CELL}, \"column\") SELECT {CELL}, 'content' "
         "FROM transfer.kept_cell WHERE key = '11'", 1),
        (f"INSERT INTO transfer.quarantined_row ({RECORD}, key, rowid) SELECT {RECORD}, '11', 11 "
         "FROM transfer.quarantined_row WHERE key = '9'", 1),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_found(repaired: None, statement: str, keys: int) -> None:
    with undone():
        query(statement)
        proof = judge_items()
    assert proof.findings.total >= keys
    assert proof.by_cell >= 1
