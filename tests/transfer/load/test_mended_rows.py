"""Rows that SQLite repairs while it hands them over: what comes is the same as cell by cell."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_bulk
from stillme.demo.samples.hostile.files import make_hostile
from stillme.transfer import kinds
from stillme.transfer.kinds import Stamp
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.row_source import SnapshotRows
from stillme.transfer.steps.kinds import convert, documents, loader_of
from stillme.transfer.steps.kinds.base import Refused, RowContext, Table
from stillme.transfer.steps.rows import table_source
from stillme.transfer.steps.rows.unusual_rows import CarefulLoader
from stillme.transfer.verify.kinds import documents as judged_documents
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.made_once import put_samples
from tests.transfer.load.support import change, content, query, run_import
from tests.transfer.verify.support import accept_all, judge

pytestmark = pytest.mark.only_files("knowledge")

SQL, ISO, MIXED = (kinds.Timestamp(stamp) for stamp in (Stamp.SQL, Stamp.ISO, Stamp.MIXED))
TIMES: tuple[Any, ...] = (
    SQL, ISO, MIXED, kinds.Date(), kinds.Moment(), kinds.Moment(zone="Europe/Berlin"),
    kinds.Moment(aware=False, zone="Europe/Berlin"),
)  # fmt: skip
CLOCKS = (
    Clock(),
    Clock(usual=420, evidence={420: 9}),
    Clock(zone="Europe/Berlin"),
    Clock(usual=60, evidence={60: 9, 120: 3}),
)
OTHERS: tuple[Any, ...] = (
    kinds.Integer(), kinds.Integer(-(2**63), 2**63 - 1), kinds.Real(), kinds.Text(),
    kinds.Text(max_length=3), kinds.Text(("a", "17")), kinds.Boolean(), kinds.Uuid(),
    kinds.Duration(), kinds.Json(),
)  # fmt: skip
FORMS = {
    "timestamp": "extract(epoch FROM %s::timestamptz)",
    "date": "extract(epoch FROM %s::timestamptz)",
    "moment": "extract(epoch FROM %s::timestamptz)",
    "integer": "%s::bigint",
    "real": "float8send(%s::float8)",
    "text": "%s::text",
    "boolean": "%s::boolean",
    "uuid": "%s::uuid",
    "duration": "%s::interval",
    "json": "%s::jsonb::text",
}


SENTENCES = (
    'SELECT "table", key, reason, "column", sentence, cells::text FROM transfer.quarantined_row '
    "ORDER BY 1, 2, 3, 4, 5, 6"
)


def times() -> list[Any]:
    """Texts of many shapes near the hours in which clocks are changed, broken ones, numbers."""
    rng = random.Random(1)
    found: list[Any] = []
    for _ in range(1500):
        day = rng.choice(
            ("2025-10-26", "2025-03-30", "2025-07-01", "2024-02-29", "2025-02-29", "0001-01-01",
             "9999-12-31", "2025-13-01", "2075-07-01"),
        )  # fmt: skip
        clock = f"{rng.choice((0, 1, 2, 3, 23, 24)):02d}:{rng.randrange(62):02d}"
        clock += rng.choice((f":{rng.randrange(61):02d}", f":{rng.randrange(60):02d}", ""))
        fraction = rng.choice(("", "", ".5", ".250000", ".000000", ".1234567", ".", ".12a", "."))
        offset = rng.choice(
            ("", "", "", "Z", "+01:00", "-0330", "+05", "+15:59", "+16:00", " Z", "z")
        )
        text = f"{day}{rng.choice('TT  t')}{clock}{fraction}{offset}"
        found += [text, text + rng.choice(("\0", "\0x", "é", " ", "-05:00")), day]
    seconds = [rng.uniform(1e8, 1e11) for _ in range(300)]
    ties = [1_700_000_000 + rng.randrange(2**22) / 2**21 for _ in range(300)]
    return [*found, "", "now", b"2025-01-01", *seconds, *ties, *map(int, seconds), 5, -1.5, 1e300]


def others() -> list[Any]:
    """Numbers and their texts, words, other spellings."""
    rng = random.Random(2)
    numbers: list[Any] = [0, 1, -1, 17, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    numbers += [0.0, -0.0, 1.0, 3.5, 2.0**31, 2.0**63, -(2.0**63), 1e300, float("inf"), 0.1]
    texts = [str(number) for number in numbers]
    texts += [
        "007",
        "+7",
        "-0",
        "+",
        "-",
        "",
        ".",
        "5.",
        ".5",
        "+.5",
        "1.2.3",
        "1e5",
        "7 ",
        " 7",
        "²",
    ]
    texts += ["7\0", "7\0x", "true", "FALSE", "tRue", "true\0", "1_0", "0x10", "nan", "a", "9" * 30]
    texts += ["0." + "1" * 30, "1" * 17 + ".5", "0.1000000000000000055511151231257827"]
    digits = f"{rng.getrandbits(128):032x}"
    dashed = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    texts += [digits, digits.upper(), dashed, dashed.upper(), f"{{{dashed}}}", f"urn:uuid:{dashed}"]
    texts += [dashed + "\0", dashed[:-1] + "g", digits + "0"]
    texts += ["{}", '{"a": NaN}', "[1e999, -Infinity]", '{"a": 1, "b": 2, "a": [3, NaN]}']
    texts += [
        '["\\u0000"]',
        '{"\\ud800": "\\udc00 \x7f"}',
        '["\x01"]',
        '{"a": ',
        "[" * 600 + "]" * 600,
    ]
    return [*numbers, *texts, b"7", *(f"{rng.uniform(-1e9, 1e9):.{n % 12}f}" for n in range(100))]


def mended(
    folder: Path, kind: kinds.Kind, clock: Clock, unit: str | None, values: list[Any]
) -> list[tuple[Any, ...]]:
    """Each value as it is stored, the reason SQL gives for keeping it, and its cell."""
    path = folder / "values.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        db.executemany("INSERT INTO t (v) VALUES (?)", ((value,) for value in values))
    source = SnapshotRows(path)
    mapping: Any = type("Mapping", (), {"clock": None})
    table = Table(mapping, clock, {}, source, units={"v": unit} if unit else {})
    column, loader = MappedColumn("v", "v", kind, required=True), loader_of(kind)
    mends = loader.mends(column, table)
    assert mends
    source.know(loader.functions)
    told = enumerate(mends, start=1)
    reasons = [f"WHEN {number} THEN '{mend.reason}'" for number, mend in told]
    cells = [f"WHEN {n} THEN CAST({mend.cell} AS BLOB)" for n, mend in enumerate(mends, start=1)]
    stored = "typeof(v), iif(typeof(v) = 'text', CAST(v AS BLOB), v)"
    shape = loader.shape(column, table)
    ways = ", ".join(f"CASE {shape} {' '.join(found)} END" for found in (reasons, cells))
    try:
        return list(source.rows(f"SELECT {stored}, {ways} FROM t", ()))
    finally:
        source.close()


def check(kind: kinds.Kind, row: RowContext, found: list[tuple[Any, ...]]) -> int:
    """Compare with the conversion cell by cell; how many values SQL repaired."""
    form, pairs = FORMS[kind.name], []
    for storage, raw, reason, cell in found:
        if reason is None or b"\0" in cell:
            # Lines with U+0000 go cell by cell as well.
            continue
        assert cell is not None, raw
        try:
            careful = convert(kind, True, storage, raw, row)
        except Refused as refused:
            raise AssertionError(f"{raw!r} belongs into quarantine") from refused
        assert (careful.reason, careful.repaired) == (reason, True), raw
        pairs.append((repr(raw), cell.decode().strip("\x01"), careful.text))
    # One statement for all: they are thousands.
    by_sql, by_python = form.replace("%s", "by_sql"), form.replace("%s", "by_python")
    different = query(
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS pair(raw, by_sql, by_python) "
        f"WHERE ({by_sql} = {by_python}) IS NOT TRUE",
        *(list(column) for column in zip(*pairs, strict=True)),
    )
    assert different == []
    return len(pairs)


@pytest.mark.django_db
@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
@pytest.mark.parametrize("kind", TIMES, ids=repr)
def test_times_are_repaired_as_cell_by_cell(tmp_path: Path, kind: Any, clock: Clock) -> None:
    found = mended(tmp_path, kind, clock, "seconds", times())
    assert check(kind, RowContext(clock, None, "seconds"), found) > 900


@pytest.mark.django_db
def test_milliseconds_are_repaired_as_cell_by_cell(tmp_path: Path) -> None:
    rng = random.Random(3)
    values: list[Any] = [rng.uniform(1e11, 1e14) for _ in range(500)]
    values += [1.7e12 + rng.randrange(2**12) / 2**12 for _ in range(500)]
    found = mended(tmp_path, SQL, Clock(), "milliseconds", [*values, *map(int, values), 5])
    assert check(SQL, RowContext(epoch_unit="milliseconds"), found) == 2000


@pytest.mark.django_db
@pytest.mark.parametrize("kind", OTHERS, ids=repr)
def test_values_are_repaired_as_cell_by_cell(tmp_path: Path, kind: Any) -> None:
    if not (kind == kinds.Duration() or getattr(kind, "choices", ())):
        found = mended(tmp_path, kind, Clock(), None, others())
        assert check(kind, RowContext(), found) > 1


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_hostile_files_are_the_same_without(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_hostile(tmp_path)
    use_legacy_files(tmp_path)
    run_import()
    by_sql, sentences = content(), query(SENTENCES)
    query("DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, "
          "tablename), ', ') || ' CASCADE' FROM pg_tables WHERE schemaname IN ('transfer', "
          "'knowledge', 'continuum', 'rss', 'accuracy')); END $$")  # fmt: skip
    monkeypatch.setattr(table_source, "mended_rows", lambda table, run_id: None)
    monkeypatch.setattr(table_source, "faulty_rows", lambda table: None)
    run_import()
    assert query(SENTENCES) == sentences
    assert by_sql["kept"]
    assert content() == by_sql


@pytest.mark.django_db(transaction=True)
def test_usual_repairs_need_no_python(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = "UPDATE knowledge_items SET created_at = replace(created_at, ' ', 'T') || 'Z'"
    change(legacy, "knowledge", again)
    seen: list[Any] = []
    really = CarefulLoader.convert

    def noted(self: CarefulLoader, row: Any) -> Any:
        seen.append(row)
        return really(self, row)

    monkeypatch.setattr(CarefulLoader, "convert", noted)
    run_import()
    kept = query("SELECT reason, count(*) FROM transfer.kept_cell GROUP BY 1 ORDER BY 1")
    assert dict(kept)["time_shape"] >= 50
    assert len([row for row in seen if "retention_score" in row.cells]) < 10
    # Another file, but the same rows in this table: no range of it is touched.
    change(legacy, "knowledge", "UPDATE learning_sessions SET session_type = 'other'")
    items = next(t for t in run_import().tables if t.table == "knowledge_items")
    assert items.skipped_chunks == items.chunks > 0
    assert query("SELECT reason, count(*) FROM transfer.kept_cell GROUP BY 1 ORDER BY 1") == kept


@pytest.mark.django_db(transaction=True)
def test_only_documents_that_are_not_clean_are_asked_for_one_by_one(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the loader and the judge: that costs as much as all else of a repaired row."""
    make_bulk(tmp_path, "knowledge_items", 200)
    change(
        tmp_path,
        "knowledge",
        "UPDATE knowledge_items SET created_at = replace(created_at, ' ', 'T') || 'Z'",
        "UPDATE knowledge_items SET metadata = '{\"a\": NaN, \"id\": ' || id || '}' WHERE id > 150",
    )
    use_legacy_files(tmp_path)
    asked: list[tuple[str, bytes]] = []
    for module, name in ((documents, "_mended"), (judged_documents, "_expectation")):
        really = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda raw, n=name, real=really: (asked.append((n, raw)), real(raw))[1]
        )
    run_import()
    proof = verify(VerifyOptions(jobs=1))
    items = next(table for table in proof.tables if table.table == "knowledge_items")
    assert not proof.findings.total
    assert (items.repaired, items.by_cell) == (200, 0)
    assert {name for name, _ in asked} == {"_mended", "_expectation"}
    assert all(b"NaN" in raw for _, raw in asked)


@pytest.mark.django_db(transaction=True)
def test_undeclared_columns_that_are_called_like_ours(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    """The statements give names of their own to what they work out of each row."""
    put_samples(tmp_path, rows=20)
    names = ("shape 0", "shape 1", "other columns", "mended 0", "mended 1", "mended rest")
    change(
        tmp_path,
        "knowledge",
        *(f'ALTER TABLE knowledge_items ADD COLUMN "{name}"' for name in names),
        *(f'UPDATE knowledge_items SET "{name}" = 1 WHERE id % 2' for name in names),
        "UPDATE knowledge_items SET last_accessed = created_at || 'Z' WHERE id % 3",
    )
    use_legacy_files(tmp_path)
    run_import()
    kept = query("SELECT count(*) FROM knowledge.knowledge_items WHERE legacy_extra IS NOT NULL")
    assert kept[0][0] > 0
    accept_all()
    assert [finding.sentence() for finding in judge().findings.kept] == []
