"""A named zone with summer time: common rows for the loader, plain rows for the judge."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rss.legacy import LegacyFetchCycle
from stillme.transfer.checks import mappings_have_targets
from stillme.transfer.kinds import Stamp, Timestamp
from stillme.transfer.models import KeptCell
from tests.transfer.load.support import FILES, change, query, run_import
from tests.transfer.verify.support import judge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("rss")]


def local(utc: str) -> str:
    """What a clock in Berlin shows."""
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    return f"{moment.replace(tzinfo=None).isoformat()}.250000"


@pytest.fixture
def berlin(legacy: Path, settings: Any) -> Path:
    """A year of cycles and items, nine days apart, in the afternoon."""
    settings.LEGACY_TIME_ZONE = "Europe/Berlin"
    with closing(sqlite3.connect(legacy / FILES["rss"])) as connection, connection:
        connection.create_function("local", 1, local, deterministic=True)
        for table, columns in (
            ("rss_fetch_cycles", ("started_at", "completed_at")),
            ("rss_fetch_items", ("fetch_timestamp", "added_to_rag_at")),
        ):
            connection.execute(
                f"UPDATE {table} SET created_at = datetime('2025-01-01 15:00:00', "
                "(id * 9) || ' days')"
            )
            stamps = ", ".join(f"{name} = local(created_at)" for name in columns)
            connection.execute(f"UPDATE {table} SET {stamps}")
    return legacy


def test_a_year_with_a_summer_is_proven_by_digest(berlin: Path) -> None:
    run_import()
    found = {table.table: table for table in judge().tables if table.file == "rss"}
    assert all(table.legacy_rows for table in found.values())
    # One item may be of a day on which clocks are changed.
    assert all(table.by_cell <= 1 for table in found.values())
    assert not KeptCell.objects.filter(file="rss").exists()
    [(summers,)] = query(
        "SELECT count(*) FROM rss.fetch_items WHERE fetch_timestamp - interval '0.25 s' "
        "<> created_at"
    )
    assert summers == 0
    assert judge(round_trip=True).findings.counts.keys() == set()


def test_an_hour_off_in_the_summer_is_found(berlin: Path) -> None:
    run_import()
    query(
        "UPDATE rss.fetch_items SET fetch_timestamp = fetch_timestamp + interval '1 hour' "
        "WHERE id = 20"
    )
    found = [f for f in judge().findings.kept if f.where.endswith("fetch_timestamp")]
    assert [f.key for f in found] == ["20"]


@pytest.mark.slow
def test_cycles_across_the_hour_that_comes_twice(berlin: Path) -> None:
    """Started at 02:50 summer time, completed at 02:10 winter time; one of them without a twin."""
    change(
        berlin,
        "rss",
        "UPDATE rss_fetch_cycles SET created_at = '2025-10-26 00:50:00', "
        "started_at = '2025-10-26T02:49:59.900000', completed_at = '2025-10-26T02:10:00.500000' "
        "WHERE id <= 3",
        "UPDATE rss_fetch_cycles SET created_at = '2020-01-01 00:00:00' WHERE id = 2",
    )
    run_import()
    rows = query(
        "SELECT id, completed_at - started_at = '20 min 0.6 s' FROM rss.fetch_cycles WHERE id < 4"
    )
    assert sorted(rows) == [(1, True), (2, True), (3, True)]
    guesses = KeptCell.objects.filter(file="rss", reason="clock_guess")
    assert list(guesses.values_list("key", "column")) == [("2", "started_at")]
    proof = judge()
    assert proof.findings.counts.keys() == set()
    assert [table.guessed for table in proof.tables if table.table == "rss_fetch_cycles"] == [1]


@pytest.mark.slow
def test_cycles_across_that_hour_without_a_zone(berlin: Path, settings: Any) -> None:
    """The rows show both offsets: the end is read by the one that puts it after the start."""
    settings.LEGACY_TIME_ZONE = "auto"
    change(
        berlin,
        "rss",
        "UPDATE rss_fetch_cycles SET created_at = '2025-10-26 00:50:00', "
        "started_at = '2025-10-26T02:49:59.900000', completed_at = '2025-10-26T02:10:00.500000' "
        "WHERE id <= 3",
    )
    run_import()
    rows = query(
        "SELECT completed_at - started_at = '20 min 0.6 s' FROM rss.fetch_cycles WHERE id < 4"
    )
    assert rows == [(True,)] * 3
    assert judge(round_trip=True).findings.counts.keys() == set()


@pytest.mark.slow
def test_a_time_that_comes_after_no_column_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mappings_have_targets() == []
    column = LegacyFetchCycle._meta.get_field("completed_at")
    monkeypatch.setattr(column, "kind", Timestamp(Stamp.ISO, after="begun_at"))
    (error,) = mappings_have_targets()
    assert (error.id, "'begun_at'" in error.msg) == ("transfer.E006", True)
