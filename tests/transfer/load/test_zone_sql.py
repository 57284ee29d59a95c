"""A zone's offset in SQL: the loader's ranges, and the judge's runs, against Python's zoneinfo."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stillme.transfer.sqlite.clock.time_spans import Span
from stillme.transfer.sqlite.clock.zone_sql import offset_in_zone_sql, zone_ranges
from stillme.transfer.verify.kinds.local_clock import (
    _END,
    _FIRST,
    LocalClock,
    quiet_runs,
    shift_modifier_sql,
)

ZONES = (
    "Europe/Berlin",
    "America/Sao_Paulo",  # changed at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # left out a day
    "America/Havana",  # the hour after midnight came twice
    "Africa/Casablanca",  # four changes a year
    "Asia/Ho_Chi_Minh",  # none
)


# The years in which most stamps lie: one, many, more than all ranges, those before and after them.
SPANS: tuple[Span | None, ...] = (
    None,
    ("2024-01-01", "2025-01-01"),
    ("1995-01-01", "2031-01-01"),
    ("0001-01-01", "9999-01-01"),
    ("1900-01-01", "1980-01-01"),
    ("2055-01-01", "2075-01-01"),
)


def is_told(text: str, span: Span | None) -> bool:
    """Whether the stamp is of a year that SQL knows."""
    first, after = span or ("0001", "9999")
    return max(first, "1990-01-03") < text < min(after, "2059-12-30")


def stamps(zone: str) -> list[str]:
    """Local times of many years; half of them within a day of a change."""
    rng = random.Random(zone)
    starts = [datetime.fromisoformat(start) for start, _ in zone_ranges(zone)]
    found = []
    for _ in range(800):
        near = rng.choice(starts) + timedelta(seconds=rng.randrange(-90_000, 90_000))
        far = datetime(1970, 1, 1) + timedelta(seconds=rng.randrange(4 * 10**9))
        found += [near.isoformat(), f"{far.isoformat()}.{rng.randrange(1, 10**6):06d}"]
    return found


def offsets(zone: str, text: str) -> set[timedelta | None]:
    both = (
        datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)
    )
    return {aware.utcoffset() for aware in both}


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("zone", ZONES)
def test_the_ranges_give_the_zones_offset(zone: str, span: Span | None) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        query = f"SELECT {offset_in_zone_sql('t', zone, str, span=span)} FROM (SELECT ? AS t)"
        for text in stamps(zone):
            (minutes,) = db.execute(query, (text,)).fetchone()
            expected = offsets(zone, text)
            if minutes is not None:
                assert expected == {timedelta(minutes=minutes)}, text
            elif is_told(text, span):
                assert len(expected) == 2, text


@pytest.mark.slow_after(1, by="zone")
@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("zone", ZONES)
def test_the_judges_runs_give_the_zones_offset(zone: str, span: Span | None) -> None:
    modifier = shift_modifier_sql("t", LocalClock(zone), span=span)
    with closing(sqlite3.connect(":memory:")) as db:
        query = f"SELECT datetime(substr(t, 1, 19), {modifier}) FROM (SELECT ? AS t)"
        for text in stamps(zone):
            (told,) = db.execute(query, (text,)).fetchone()
            if told is not None:
                aware = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
                assert told == f"{aware.astimezone(UTC):%Y-%m-%d %H:%M:%S}", text
            elif is_told(text, span):
                # Not beyond the hours before and after the one in which clocks are changed.
                near = [
                    (datetime.fromisoformat(text) + timedelta(hours=hours)).isoformat()
                    for hours in (-1, 0, 1)
                ]
                assert len(set().union(*(offsets(zone, each) for each in near))) > 1, text
    # Those of all years, kept from above: to look for them takes most of this test's time.
    assert [offset for _, offset in quiet_runs(zone, "T", _FIRST, _END) if offset is not None]


def test_the_judge_sets_few_hours_apart() -> None:
    runs = quiet_runs("Europe/Berlin", "T")
    loud = [i for i, (_, offset) in enumerate(runs[:-1]) if offset is None]
    hours = [
        datetime.fromisoformat(runs[i + 1][0]) - datetime.fromisoformat(runs[i][0]) for i in loud
    ]
    # The skipped hour and the one before it, the hour that comes twice and the one before it.
    assert sum(hours, timedelta()) <= timedelta(hours=4 * 70)


def test_the_judge_looks_at_the_years_of_the_file_only() -> None:
    runs = quiet_runs("Europe/Berlin", "T", "2023-01-01", "2025-01-01")
    assert (runs[0][0], runs[-1]) == ("2023-01-01", ("2025-01-01", None))
    whole = quiet_runs("Europe/Berlin", "T")
    assert runs[1:-1] == tuple(run for run in whole if "2023-01-01" < run[0] < "2025-01-01")
    assert "1990" not in shift_modifier_sql("t", LocalClock("Europe/Berlin"), "T", SPANS[1])
