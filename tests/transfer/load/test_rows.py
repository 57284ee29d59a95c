"""Whatever is in the files, every row ends loaded, repaired or quarantined, and is kept whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from stillme.demo.samples.hostile.files import make_hostile
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_cell
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps.load import ImportResult
from tests.transfer.load.support import FILES, content, model_of, query, run_import, schema

pytestmark = pytest.mark.django_db(transaction=True)

UseFiles = Callable[[Path], None]


@pytest.fixture
def hostile(tmp_path: Path, use_legacy_files: UseFiles) -> Any:
    cases = make_hostile(tmp_path)
    use_legacy_files(tmp_path)
    return cases


@pytest.mark.slow
def test_the_hostile_files_are_accounted_for(hostile: Any) -> None:
    declared = schema()
    result = run_import()
    assert result.conserved
    assert schema() == declared
    aside = {(row.table, row.key) for row in QuarantinedRow.objects.all()}
    for case in hostile:
        if case.column and isinstance(case.key, int) and case.table in _tables():
            assert (case.table, str(case.key)) in aside or _in_target(case.table, case.key), case


@pytest.mark.slow
def test_the_hostile_files_twice_are_the_same(hostile: Any) -> None:
    run_import()
    before = content()
    result = run_import()
    assert content() == before
    assert all(t.outcome.inserted == t.outcome.updated == 0 for t in result.tables)


def _tables() -> set[str]:
    return {model._meta.db_table for model in legacy_models()}


def _in_target(table: str, key: int) -> bool:
    model = model_of(table).target_model()
    return model._default_manager.filter(pk=key).exists()


def make_untyped(path: Path, table: str, rows: list[dict[str, Any]]) -> None:
    """A legacy table whose columns have no types at all: SQLite stores what it is given."""
    model = model_of(table)
    names = [str(column.column) for column in model.columns()]
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table} ({', '.join(names)})")
        for row in rows:
            marks = ", ".join(_mark(row[name]) for name in names)
            values = [_bare(row[name]) for name in names]
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        connection.commit()


def _mark(value: Any) -> str:
    return "CAST(? AS TEXT)" if isinstance(value, RawText) else "?"


def _bare(value: Any) -> Any:
    return bytes(value) if isinstance(value, RawText) else value


class RawText(bytes):
    """Bytes to be stored as TEXT, whatever they are."""


GOOD: dict[str, Any] = {
    "TextKey": st.uuids().map(str),
    "Key": st.integers(1, 10**6),
    "Reference": st.integers(1, 9),
    "Text": st.sampled_from(["L0", "xin chào", "🧠"]),
    "Integer": st.integers(0, 99),
    "Real": st.floats(0, 1),
    "Json": st.sampled_from(["{}", '{"a": 1}', None]),
    "Timestamp": st.sampled_from(["2025-11-20 10:00:00", "2025-11-20T17:00:00.000001"]),
    "Date": st.just("2025-11-20"),
}
ANYTHING = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=12),
    st.binary(max_size=12).map(RawText),
    st.text(max_size=20).map(lambda text: RawText(text.encode("utf-8", "surrogatepass"))),
    st.sampled_from(
        ["", "now", "2025-02-30 10:00:00", "NaN", "1e400", '{"a":1,"a":2}', "[NaN]", "\\.", '"']
    ),
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    model = draw(st.sampled_from(sorted(legacy_models(), key=lambda m: m._meta.db_table)))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        row = {str(c.column): draw(GOOD[type(c.kind).__name__]) for c in model.columns()}
        for name in draw(st.lists(st.sampled_from(sorted(row)), max_size=2)):
            row[name] = draw(ANYTHING)
        rows.append(row)
    return model._meta.db_table, rows


def import_whatever(directory: Path, table: str, rows: list[dict[str, Any]]) -> ImportResult:
    """Import one file with these rows alone; every row is loaded or set aside, whole."""
    model = model_of(table)
    path = directory / FILES[model.legacy.file]
    make_untyped(path, table, rows)
    result = run_import(selection=Selection(files=(model.legacy.file,)))
    assert result.conserved
    outcome = next(t.outcome for t in result.tables if t.table == table)
    assert outcome.legacy_rows == len(rows)
    stored = query(f"SELECT count(*) FROM {model.target_model()._meta.db_table}")[0][0]
    assert stored == outcome.loaded + outcome.repaired
    _set_aside_rows_are_whole(path, table)
    _kept_cells_are_exact(path, model)
    return result


def _raw(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return connection.execute(sql, values).fetchall()


def _set_aside_rows_are_whole(path: Path, table: str) -> None:
    for row in QuarantinedRow.objects.filter(table=table):
        for column, packed in row.cells.items():
            cast = f'CASE typeof("{column}") WHEN \'text\' THEN CAST("{column}" AS BLOB) '
            found = _raw(
                path,
                f'SELECT typeof("{column}"), {cast} ELSE "{column}" END FROM {table} '
                "WHERE rowid = ?",
                row.rowid,
            )
            assert unpack_cell(packed) == found[0]


def _kept_cells_are_exact(path: Path, model: Any) -> None:
    key = str(model._meta.pk.column)
    for kept in KeptCell.objects.filter(table=model._meta.db_table):
        # A real is loaded as Python spells it; SQLite's own CAST has 1.0e+16 for 1e+16.
        (rowid, *_) = [
            rowid
            for rowid, storage, raw in _raw(
                path, f"SELECT rowid, typeof({key}), {key} FROM {model._meta.db_table}"
            )
            if storage != "blob" and str(raw) == kept.key
        ]
        found = _raw(
            path,
            f'SELECT typeof("{kept.column}"), CAST("{kept.column}" AS BLOB) '
            f"FROM {model._meta.db_table} WHERE rowid = ?",
            rowid,
        )
        assert found[0][0] == kept.storage
        if kept.storage in ("text", "blob"):
            assert bytes(kept.value) == found[0][1]


def test_each_set_aside_row_keeps_its_own_record(hostile: Any) -> None:
    """Keys that read alike (text and blob, two texts that are no UTF-8) are still two rows."""
    run_import()
    before = QuarantinedRow.objects.count()
    with closing(sqlite3.connect(hostile_path())) as connection:
        connection.execute("UPDATE tier_metrics SET surprise_score = 0.123")
        connection.commit()
    run_import()
    assert QuarantinedRow.objects.count() == before
    kept = {repr(row.cells["item_id"]) for row in QuarantinedRow.objects.filter(key="twin")}
    assert len(kept) == QuarantinedRow.objects.filter(key="twin").count()


def hostile_path() -> Path:
    from django.conf import settings as project

    return Path(project.TRANSFER["FILES"]["continuum"]["path"])
