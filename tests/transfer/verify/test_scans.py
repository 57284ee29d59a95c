"""What the judge finds out about a whole file: its clock and the units of its numbers."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.reading import scan_parts
from stillme.transfer.sqlite.reading.scan_parts import Scan, scan_in_parts, scan_on
from stillme.transfer.sqlite.schema.found import read_schema
from stillme.transfer.verify.kinds.local_clock import find_clock, row_minutes_sql
from stillme.transfer.verify.kinds.number_units import number_units
from tests.made_once import put_samples

ITEMS = "rss_fetch_items"


@pytest.fixture
def rss(tmp_path: Path) -> Path:
    put_samples(tmp_path, rows=400, files=["rss"])
    return tmp_path / "rss_fetch_history.db"


@pytest.fixture(params=["one part", "several parts"])
def scan(rss: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Through the connection that is open, or side by side."""
    if request.param == "one part":
        return request.getfixturevalue("open_file_scan")  # type: ignore[no-any-return]
    monkeypatch.setattr(scan_parts, "_LEAST_ROWIDS", 10)
    return partial(scan_in_parts, rss, threads=3)


@pytest.fixture
def open_file_scan(rss: Path) -> Iterator[Scan]:
    with closing(sqlite3.connect(rss)) as connection:
        yield scan_on(connection)


def mappings(path: Path, file: str = "rss") -> dict[str, TableMapping]:
    with closing(sqlite3.connect(path)) as connection:
        schema = read_schema(connection)
    found = {model._meta.db_table: map_table(model, schema) for model in legacy_models(file)}
    return {name: mapping for name, mapping in found.items() if mapping is not None}


def test_the_scan_counts_what_each_row_shows(rss: Path, scan: Scan) -> None:
    """Twins of every distance, and what is no twin."""
    seeded = random.Random(20261126)
    mapping = mappings(rss)[ITEMS]
    twin = mapping.clock
    assert twin is not None
    with closing(sqlite3.connect(rss)) as connection, connection:
        for (rowid,) in connection.execute(f"SELECT rowid FROM {ITEMS}").fetchall():
            seconds = 1_750_000_000 + seeded.randrange(10**6)
            apart = seeded.choice((0, 25_200, -3_600, 900, 20_700)) + seeded.randrange(-130, 10)
            local, utc = connection.execute(
                "SELECT strftime('%Y-%m-%dT%H:%M:%S', ?, 'unixepoch'), datetime(?, 'unixepoch')",
                (seconds + apart, seconds),
            ).fetchone()
            local += seeded.choice(("", ".123456", ".000000", ".5", "Z"))
            local = seeded.choice((local, local, local, "", b"x", 5, "2025-13-45T99:00:00"))
            connection.execute(
                f'UPDATE {ITEMS} SET "{twin.local}" = ?, "{twin.utc}" = ? WHERE rowid = ?',
                (local, seeded.choice((utc, utc, utc, "", 7)), rowid),
            )
    with closing(sqlite3.connect(rss)) as connection:
        rows = connection.execute(f"SELECT {row_minutes_sql(twin)} FROM {ITEMS}").fetchall()
        one_by_one = Counter(minutes for (minutes,) in rows if minutes is not None)
        found = find_clock([mapping], None, scan, None)
    assert len(one_by_one) > 3
    assert found.offsets == tuple(sorted(one_by_one))
    assert one_by_one[found.usual] == max(one_by_one.values())


@pytest.mark.slow_after(5)
@pytest.mark.parametrize(
    ("numbers", "unit"),
    [
        ([1_750_000_000, 1_750_000_000.5], "seconds"),
        ([1_750_000_000_000], "milliseconds"),
        ([2_460_000.5, 2_460_001], "julian"),
        ([1_750_000_000, 1_750_000_000_000], None),
        ([1_750_000_000, 5], None),
        ([5], None),
        ([], None),
    ],
)
def test_the_unit_in_which_all_numbers_agree(
    rss: Path, scan: Scan, numbers: list[float], unit: str | None
) -> None:
    mapping = mappings(rss)[ITEMS]
    times = [c.legacy for c in mapping.columns if isinstance(c.kind, Timestamp | Date)]
    with closing(sqlite3.connect(rss)) as connection, connection:
        for name in times:
            connection.execute(f"UPDATE {ITEMS} SET \"{name}\" = '2025-01-01 00:00:00'")
        for place, number in enumerate(numbers):
            connection.execute(
                f'UPDATE {ITEMS} SET "{times[-1]}" = ? WHERE rowid % 7 = ?', (number, place)
            )
    assert number_units(scan, mapping) == ({times[-1]: unit} if unit else {})
