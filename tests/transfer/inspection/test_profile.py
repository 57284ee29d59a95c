"""The profile of each column, and the prediction against the loader's policy, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillme.demo.samples import make_hostile
from stillme.transfer.findings import ignore_event
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.keys import whole_key
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.reports.terminal.inspection import clock_sentence
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.sqlite.schema.profile_shapes import json_troubles, text_troubles, time_shape
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.loading.plan import make_plan
from stillme.transfer.steps.loading.predict import predict_table
from stillme.transfer.steps.rows.read_range import RangeReader
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import SetAside, keys_not_taken
from tests.made_once import put_samples
from tests.transfer.inspection.support import column, file, table
from tests.transfer.load.support import FILES, change


def test_storage_classes_bounds_and_lengths(legacy: Path) -> None:
    change(
        legacy,
        "accuracy",
        "DELETE FROM performance_trends",
        "INSERT INTO performance_trends (metric_name, metric_value, measurement_date, context) "
        "VALUES ('a', 1.5, '2025-01-02', NULL), ('ab', -2.5, '2025-01-01', 'xyz'), "
        "('abc', 'high', '2025-02-30', x'00ff'), (7, 3, 1735689600, '')",
    )
    found = inspect_files()

    def profile(name: str) -> dict[str, Any]:
        return column(found, "performance_trends", name).as_dict()

    value = profile("metric_value")
    assert value["storage"] == {"real": 3, "text": 1}
    assert (value["min"], value["max"]) == (-2.5, 3)
    name = profile("metric_name")
    assert name["storage"] == {"text": 4}
    assert name["longest"] == 3
    day = profile("measurement_date")
    assert day["shapes"] == {"date only": 2, "unreadable": 1, "epoch seconds": 1}
    assert (day["min"], day["max"]) == ("2025-01-01", "2025-01-02")
    assert profile("context")["storage"] == {"text": 2, "null": 1, "blob": 1}


def test_shapes_of_times_and_troubles_of_texts(legacy: Path) -> None:
    change(
        legacy,
        "knowledge",
        "DELETE FROM learning_sessions",
        "INSERT INTO learning_sessions (session_type, content_learned, created_at, metadata) "
        "VALUES ('a', 'b', '2025-01-01 00:00:00', '{\"a\": NaN, \"a\": 1}'), "
        "('a', 'b' || char(0), '2025-01-01T00:00:00', 'no'), "
        "('a', CAST(x'ff' AS TEXT), '2025-01-01T00:00:00.5', '{\"a\": \"\\ud800\"}'), "
        "('a', CAST(x'eda080' AS TEXT), '2025-01-01 00:00:00+07:00', '{\"\\u0000\": 1}'), "
        "('a', 'b', '', '{}'), ('a', 'b', 'now', '[1]'), ('a', 'b', 1735689600000, NULL)",
    )
    found = inspect_files()
    shapes = column(found, "learning_sessions", "created_at").shapes
    assert shapes == {
        "sql": 1, "iso": 1, "iso with fraction": 1, "with offset": 1, "empty": 1,
        "unreadable": 1, "epoch milliseconds": 1,
    }  # fmt: skip
    assert column(found, "learning_sessions", "content_learned").troubles == {
        "nul": 1, "invalid utf-8": 1, "surrogate bytes": 1,
    }  # fmt: skip
    assert column(found, "learning_sessions", "metadata").troubles == {
        "NaN or Infinity": 1, "duplicate keys": 1, "not JSON": 1, "lone surrogate": 1, "\\u0000": 1,
    }  # fmt: skip


def test_orphans_and_keys_stored_twice(legacy: Path) -> None:
    change(
        legacy,
        "rss",
        "UPDATE rss_fetch_items SET cycle_id = 999999 WHERE id IN (1, 2, 3)",
    )
    change(
        legacy,
        "continuum",
        "ALTER TABLE tier_metrics RENAME TO old",
        "CREATE TABLE tier_metrics AS SELECT * FROM old",
        "INSERT INTO tier_metrics SELECT * FROM old LIMIT 2",
        "DROP TABLE old",
    )
    found = inspect_files()
    assert column(found, "rss_fetch_items", "cycle_id").orphans == 3
    assert table(found, "rss_fetch_items").prediction.reasons["missing_parent"] == 3
    assert column(found, "tier_metrics", "item_id").repeats == 2
    assert table(found, "tier_metrics").prediction.reasons == {"duplicate_key": 2}


def test_the_clock_and_its_evidence(legacy: Path, settings: Any) -> None:
    found = file(inspect_files(), "rss")
    assert found.clock is not None
    assert found.clock.usual == 420
    assert sum(found.clock.evidence.values()) > 60
    assert not found.open_clock
    assert {"Asia/Bangkok", "Asia/Ho_Chi_Minh"} <= set(found.zones)
    assert not {"UTC", "Europe/Berlin", "Asia/Tokyo"} & set(found.zones)
    assert f"LEGACY_TIME_ZONE fits as {found.zones[0]}, " in clock_sentence(found)
    settings.LEGACY_TIME_ZONE = "Europe/Berlin"
    assert "differs from the evidence" in file(inspect_files(), "rss").open_clock
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    assert not file(inspect_files(), "rss").open_clock


def test_the_zones_that_fit_a_summer_and_a_winter(legacy: Path) -> None:
    change(
        legacy,
        "rss",
        "UPDATE rss_fetch_cycles SET started_at = '2025-07-01T12:00:00', "
        "created_at = '2025-07-01 10:00:00'",
        "UPDATE rss_fetch_items SET fetch_timestamp = '2025-12-01T12:00:00', "
        "created_at = '2025-12-01 11:00:00'",
    )
    found = file(inspect_files(), "rss")
    assert {"Europe/Berlin", "Europe/Paris"} <= set(found.zones)
    assert not {"Africa/Lagos", "Europe/Helsinki"} & set(found.zones)
    change(legacy, "rss", "UPDATE rss_fetch_items SET created_at = '2025-12-01 07:45:00'")
    found = file(inspect_files(), "rss")
    assert found.zones == []
    assert "no time zone fits all of it" in clock_sentence(found)


def test_local_times_without_evidence_are_an_open_question(legacy: Path) -> None:
    change(legacy, "continuum", "DELETE FROM forgetting_metrics")
    found = inspect_files()
    assert len(found.open_questions) == 1
    assert not found.clean
    change(legacy, "continuum", "DELETE FROM tier_metrics", "DELETE FROM tier_audit")
    assert not inspect_files().open_questions


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("2025-02-28 10:00:00", "sql"),
        ("2025-02-29 10:00:00", "unreadable"),
        ("2025-01-01 24:00:00", "unreadable"),
        ("2025-01-01 10:00", "other readable"),
        ("2025-01-01T10:00Z", "with offset"),
        ("2025-01-01", "date only"),
        ("  ", "empty"),
        (1735689600, "epoch seconds"),
        (1735689600000.5, "epoch milliseconds"),
        (2460676.5, "julian day"),
        (7, "unreadable"),
    ],
)
def test_shapes(value: Any, shape: str) -> None:
    assert time_shape(value) == shape


def test_troubles() -> None:
    assert text_troubles(b"fine") == []
    assert text_troubles(b"\0\xff") == ["nul", "invalid utf-8"]
    assert json_troubles('{"a": [1, {"b": "c"}]}') == []
    assert json_troubles("[" * 100_000) == ["not JSON"]
    assert json_troubles('{"a": 1e999999, "b": -Infinity}') == ["NaN or Infinity"]


def every_row_asked(job: TableJob) -> tuple[Outcome, tuple[int, ...]]:
    """The outcome where every row goes the careful way, and the keys of those set aside."""
    source = TableSource(job)
    outcome = Outcome()
    aside: list[int] = []
    try:
        for raw in RangeReader(source, KeyRange(0)).everything():
            row = source.careful.convert(raw)
            outcome.legacy_rows += 1
            if isinstance(row, SetAside):
                outcome.quarantined += 1
                outcome.reasons[row.reason] = outcome.reasons.get(row.reason, 0) + 1
                if (key := _key_taken(job, row)) is not None:
                    aside.append(key)
            else:
                outcome.repaired += row.repaired
                outcome.loaded += not row.repaired
    finally:
        source.close()
    return outcome, tuple(aside)


def _key_taken(job: TableJob, row: SetAside) -> int | None:
    if row.key is None or row.reason in keys_not_taken(job.mapping):
        return None
    return whole_key(row.key)


def agree(folder: Path) -> None:
    """The fast prediction equals the policy asked for every row of every table."""
    plan = make_plan(Selection(), folder, ignore_event)
    aside: dict[str, tuple[int, ...]] = {}
    for planned in plan.tables:
        known = {parent: aside.get(parent, ()) for parent in planned.job.parents}
        job = replace(planned.job, set_aside=known)
        prediction = predict_table(job)
        outcome, keys = every_row_asked(job)
        aside[job.mapping.declared_table] = keys
        # What an index takes is asked of keys by the prediction alone.
        prediction.quarantined -= prediction.reasons.pop("refused_by_target", 0)
        if not job.mapping.key_columns.holds_text:
            # A text key may be spelled like another one that is bytes.
            assert sorted(prediction.aside) == sorted(keys)
        assert dict(prediction.reasons) == outcome.reasons
        assert (prediction.legacy_rows, prediction.repaired, prediction.quarantined) == (
            outcome.legacy_rows,
            outcome.repaired,
            outcome.quarantined,
        )
        rows = sum(prediction.columns[0].storage.values())
        for profile in prediction.columns:
            assert sum(profile.storage.values()) == rows == prediction.legacy_rows


def test_the_fast_road_agrees_with_the_policy_on_hostile_files(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    make_hostile(tmp_path / "data")
    use_legacy_files(tmp_path / "data")
    (tmp_path / "snapshots").mkdir()
    agree(tmp_path / "snapshots")


COLUMNS = [
    ("knowledge", "knowledge_items", "content"),
    ("knowledge", "knowledge_items", "created_at"),
    ("knowledge", "learning_sessions", "metadata"),
    ("knowledge", "learning_sessions", "accuracy_score"),
    ("continuum", "tier_metrics", "updated_at"),
    ("continuum", "tier_metrics", "tier"),
    ("continuum", "forgetting_metrics", "evaluation_timestamp"),
    ("accuracy", "performance_trends", "measurement_date"),
    ("rss", "rss_fetch_cycles", "cycle_number"),
    ("rss", "rss_fetch_items", "cycle_id"),
]
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
DAYS = st.from_regex(r"\A(0000|0001|2025|9999)-[01][0-9]-[0-3][0-9]\Z")
CLOCKS = st.from_regex(r"\A[ T][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?(Z|\+07:00)?\Z")
TIMES = st.builds(lambda day, clock: day + clock, DAYS, CLOCKS | st.just(""))
JSONS = st.sampled_from(
    ['{"a": 1e140000}', '{"a": NaN}', '{"a":1,"a":2}', "[[1]]", '{"a" : 1}', '{"a": "\\ud800"}']
)
VALUES = st.none() | NUMBERS | st.text() | st.binary() | TIMES | DAYS | JSONS


CELLS = st.lists(st.tuples(st.sampled_from(COLUMNS), VALUES), min_size=5, max_size=25)
Cells = list[tuple[tuple[str, str, str], Any]]


def agree_on(cells: Cells, place: pytest.TempPathFactory, use: Callable[[Path], None]) -> None:
    """In sample files with these values."""
    folder = place.mktemp("any")
    put_samples(folder, rows=30)
    use(folder)
    for number, ((name, where, what), value) in enumerate(cells, start=1):
        with closing(sqlite3.connect(folder / FILES[name])) as connection:
            connection.execute("PRAGMA ignore_check_constraints = 1")
            connection.execute(
                f"UPDATE OR IGNORE {where} SET {what} = ? WHERE rowid = ?", (value, number)
            )
            connection.commit()
    agree(place.mktemp("snapshots"))


@pytest.mark.slow
@settings(max_examples=15)
@given(cells=CELLS)
def test_the_fast_road_agrees_with_the_policy_on_any_value(
    cells: Cells,
    tmp_path_factory: pytest.TempPathFactory,
    use_legacy_files: Callable[[Path], None],
) -> None:
    agree_on(cells, tmp_path_factory, use_legacy_files)


@pytest.mark.slow
@settings(max_examples=60)
@given(cells=CELLS)
def test_the_fast_road_agrees_with_the_policy_on_many_values(
    cells: Cells,
    tmp_path_factory: pytest.TempPathFactory,
    use_legacy_files: Callable[[Path], None],
) -> None:
    agree_on(cells, tmp_path_factory, use_legacy_files)
