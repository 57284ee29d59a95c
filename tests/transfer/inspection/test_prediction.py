"""inspect_sqlite announces exactly what import_sqlite then does, and writes nothing."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.demo.samples import make_hostile, make_samples
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.inspect_result import Inspection
from stillme.transfer.steps.load import ImportOptions, import_files
from tests.transfer.load.support import change

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)
UseFiles = Callable[[Path], None]


def listing(folder: Path) -> dict[str, bytes]:
    """Name and content of every file but SQLite's own -shm and -wal."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def announced_equals_imported(folder: Path) -> Inspection:
    before = listing(folder)
    inspection = inspect_files()
    assert listing(folder) == before
    result = import_files(ImportOptions(jobs=1, chunk_rows=200))
    said = {t.table: t.prediction for t in inspection.tables}
    stores = {s.table: s.outcome for s in inspection.stores}
    for table in result.tables:
        if table.table in stores:
            told, done = stores[table.table], table.outcome
            assert (told.legacy_rows, told.reasons) == (done.legacy_rows, done.reasons)
            assert (told.loaded, told.repaired) == (done.loaded, done.repaired)
    imported = [t for t in result.tables if t.table not in stores]
    assert {t.table for t in imported} == set(said)
    for table in imported:
        prediction, outcome = said[table.table], table.outcome
        expected = (outcome.legacy_rows, outcome.loaded, outcome.repaired, outcome.quarantined)
        found = (
            prediction.legacy_rows,
            prediction.loaded,
            prediction.repaired,
            prediction.quarantined,
        )
        assert found == expected, (table.table, prediction.reasons, outcome.reasons)
    aside = Counter(QuarantinedRow.objects.filter(table__in=said).values_list("table", "reason"))
    assert aside == Counter(
        {(name, reason): n for name, p in said.items() for reason, n in p.reasons.items()}
    )
    kept = Counter(KeptCell.objects.filter(table__in=said).values_list("table", "column", "reason"))
    assert kept == Counter(
        {(name, *cell): n for name, p in said.items() for cell, n in p.repairs.items()}
    )
    return inspection


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("variant", ["current", "clean", "old", "wal", "disabled"])
def test_made_samples(variant: str, tmp_path: Path, use_legacy_files: UseFiles) -> None:
    summary = make_samples(tmp_path, rows=90, variant=variant)
    use_legacy_files(tmp_path)
    inspection = announced_equals_imported(tmp_path)
    rows = {t.table: t.prediction.legacy_rows for t in inspection.tables}
    assert rows == {table: summary.rows[table] for table in rows}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["clean", "current", "old", "wal", "disabled"])
def test_real_samples(name: str, samples: Path, tmp_path: Path, use_legacy_files: UseFiles) -> None:
    folder = tmp_path / "data"
    shutil.copytree(samples / name / "data", folder)
    use_legacy_files(folder)
    announced_equals_imported(folder)


def test_hostile_files(tmp_path: Path, use_legacy_files: UseFiles) -> None:
    make_hostile(tmp_path)
    use_legacy_files(tmp_path)
    inspection = announced_equals_imported(tmp_path)
    assert not inspection.clean
    assert inspection.quarantined > 20


def test_what_only_postgresql_would_notice(legacy: Path) -> None:
    """Days no calendar has, a year 0, numbers and nesting beyond jsonb: quarantined, foreseen."""
    change(
        legacy,
        "rss",
        "UPDATE rss_fetch_items SET fetch_timestamp = '2025-02-30T10:00:00.123456' WHERE id = 3",
        "UPDATE rss_fetch_items SET added_to_rag_at = '2025-04-31T10:00:00' WHERE id = 4",
        "UPDATE rss_fetch_items SET fetch_timestamp = '2025-13-01T10:00:00.123456' WHERE id = 5",
    )
    change(
        legacy,
        "knowledge",
        "UPDATE knowledge_items SET created_at = '0000-01-01 00:00:00' WHERE id = 7",
        "UPDATE learning_sessions SET metadata = '{\"n\": 1e200000}' WHERE id = 8",
        "UPDATE learning_sessions SET metadata = "
        f"'{{\"n\": {'[' * 600 + ']' * 600}}}' WHERE id = 9",
        "UPDATE learning_sessions SET created_at = '-0001-01-01 00:00:00' WHERE id = 10",
    )
    change(legacy, "accuracy", "UPDATE performance_trends SET measurement_date = '2025-02-30'")
    inspection = announced_equals_imported(legacy)
    reasons = {t.table: t.prediction.reasons for t in inspection.tables}
    assert reasons["rss_fetch_items"]["unreadable_time"] == 3
    assert reasons["learning_sessions"]["json_too_large"] == 2


@pytest.mark.slow
def test_tables_without_the_declared_key(legacy: Path) -> None:
    """A key stored twice: the first row is loaded, and its children with it."""
    change(
        legacy,
        "rss",
        "ALTER TABLE rss_fetch_cycles RENAME TO old",
        "CREATE TABLE rss_fetch_cycles AS SELECT * FROM old",
        "INSERT INTO rss_fetch_cycles SELECT * FROM old WHERE id = 1",
        "INSERT INTO rss_fetch_cycles (id, cycle_number, started_at) VALUES (x'32', 1, NULL)",
        "DROP TABLE old",
    )
    inspection = inspect_files()
    cycles = next(t for t in inspection.tables if t.table == "rss_fetch_cycles").prediction
    items = next(t for t in inspection.tables if t.table == "rss_fetch_items").prediction
    assert cycles.reasons == {"duplicate_key": 1, "bad_key": 1}
    assert "missing_parent" not in items.reasons
    import_files(ImportOptions(jobs=1))
    open_rows = QuarantinedRow.objects.filter(status=QuarantinedRow.Status.OPEN)
    assert open_rows.count() == inspection.quarantined


@pytest.mark.slow
def test_the_hour_24_is_quarantined_even_alone_in_its_chunk(legacy: Path) -> None:
    """PostgreSQL would take it for the next day, and 3.40's datetime() prints it as it is."""
    change(
        legacy,
        "accuracy",
        "UPDATE learning_objectives SET achieved_at = '2025-11-20 24:00:00' WHERE id = 3",
    )
    inspection = announced_equals_imported(legacy)
    goals = next(t for t in inspection.tables if t.table == "learning_objectives").prediction
    assert goals.reasons == {"unreadable_time": 1}


@pytest.mark.slow
def test_nesting_too_deep_is_quarantined_even_alone_in_its_chunk(legacy: Path) -> None:
    deep = '{"n": ' + "[" * 600 + "]" * 600 + "}"
    change(legacy, "accuracy", f"UPDATE learning_objectives SET metadata = '{deep}' WHERE id = 3")
    inspection = announced_equals_imported(legacy)
    goals = next(t for t in inspection.tables if t.table == "learning_objectives").prediction
    assert goals.reasons == {"json_too_large": 1}
