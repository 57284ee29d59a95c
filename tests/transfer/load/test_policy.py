"""docs/reference/values.md, row by row: what becomes of one stored value."""

from __future__ import annotations

import random
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer import kinds
from stillme.transfer.kinds import Stamp
from stillme.transfer.quarantine.reasons import in_words
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.steps.kinds import convert
from stillme.transfer.steps.kinds.base import Refused, RowContext
from stillme.transfer.verify.kinds import expect, judge_of
from stillme.transfer.verify.kinds.base import Surroundings
from stillme.transfer.verify.kinds.local_clock import LocalClock
from tests.transfer.load import test_field_kinds

HANOI = RowContext(Clock(usual=420, evidence={420: 9}), 420)
BERLIN = RowContext(Clock(zone="Europe/Berlin"))
SECONDS = RowContext(epoch_unit="seconds")
MILLIS = RowContext(epoch_unit="milliseconds")
JULIAN = RowContext(epoch_unit="julian")

TEXT, KEY, TEXT_KEY, REAL = kinds.Text(), kinds.Key(), kinds.TextKey(), kinds.Real()
WHOLE, JSON, DATE = kinds.Integer(), kinds.Json(), kinds.Date()
REFERENCE, TIER = kinds.Reference("p"), kinds.Text(("L0", "L1"))
SQL, ISO, MIXED = (kinds.Timestamp(stamp) for stamp in (Stamp.SQL, Stamp.ISO, Stamp.MIXED))

# kind, storage, stored value -> target text, reason of the kept original ("" = loaded as it is)
ACCEPTED: list[tuple[Any, ...]] = [
    (TEXT, "null", None, None, ""),
    (TEXT, "text", "Trí tuệ 🧠".encode(), "Trí tuệ 🧠", ""),
    (TEXT, "text", b"", "", ""),
    (TEXT, "integer", 17, "17", "number_in_text"),
    (TEXT, "real", 0.1, "0.1", "number_in_text"),
    (TIER, "text", b"L0", "L0", ""),
    (KEY, "integer", -(2**63), str(-(2**63)), ""),
    (REFERENCE, "integer", 2**63 - 1, str(2**63 - 1), ""),
    (TEXT_KEY, "text", b"item", "item", ""),
    (WHOLE, "integer", 2**31 - 1, str(2**31 - 1), ""),
    (WHOLE, "real", 3.0, "3", "real_in_integer"),
    (WHOLE, "text", b"-12", "-12", "numeric_text"),
    (WHOLE, "text", b"-" + b"0" * 60 + b"1", "-1", "numeric_text"),
    (REAL, "real", 0.1 + 0.2, "0.30000000000000004", ""),
    (REAL, "real", float("-inf"), "-inf", ""),
    (REAL, "integer", 2**53, "9007199254740992.0", "integer_in_real"),
    (REAL, "text", b"1e-3", "0.001", "numeric_text"),
    (JSON, "text", b'{"a": 1.0, "b": [true, null]}', '{"a": 1.0, "b": [true, null]}', ""),
    (JSON, "text", b"0e999999", "0e999999", ""),
    (JSON, "text", b'{"a": 1, "a": 2}', '{"a": 2}', "duplicate_keys"),
    (JSON, "text", b'{"a": NaN, "b": -Infinity}', '{"a": null, "b": null}', "not_finite"),
    (JSON, "text", rb'{"k\u0000": "\ud800"}', '{"k�": "�"}', "bad_escape"),
    (JSON, "text", b"not json", '"not json"', "not_json"),
    (JSON, "text", b"a\x00b", '"a�b"', "not_json"),
    (JSON, "text", b"", '""', "not_json"),
    (JSON, "integer", 5, "5", "number_in_json"),
    (JSON, "real", 0.5, "0.5", "number_in_json"),
    (SQL, "text", b"2025-11-20 10:11:12", "2025-11-20 10:11:12+00", ""),
    (SQL, "text", b"2025-11-20T10:11:12", "2025-11-20 03:11:12+00", "time_shape"),
    (SQL, "text", b"2025-11-20 10:11", "2025-11-20 10:11:00+00", "time_shape"),
    (SQL, "text", b"2025-11-20", "2025-11-20 00:00:00+00", "time_shape"),
    (SQL, "text", b"2025-11-20 10:11:12.5", "2025-11-20 10:11:12.500000+00", "time_shape"),
    (SQL, "text", b"2025-11-20 10:11:12Z", "2025-11-20 10:11:12+00", "time_shape"),
    (ISO, "text", b"2025-11-20T10:11:12.000001", "2025-11-20 03:11:12.000001+00", ""),
    (ISO, "text", b"2025-11-20T10:11:12", "2025-11-20 03:11:12+00", ""),
    (ISO, "text", b"2025-11-20T10:11:12.000000", "2025-11-20 03:11:12+00", "time_shape"),
    (ISO, "text", b"2025-11-20T10:11:12.1234560", "2025-11-20 03:11:12.123456+00", "time_shape"),
    (ISO, "text", b"2025-11-20T10:11:12+05:30", "2025-11-20 04:41:12+00", "time_shape"),
    (ISO, "text", b"2025-11-20 10:11:12", "2025-11-20 10:11:12+00", "time_shape"),
    (MIXED, "text", b"2025-11-20 10:11:12", "2025-11-20 10:11:12+00", ""),
    (MIXED, "text", b"2025-11-20T10:11:12.5", "2025-11-20 03:11:12.500000+00", "time_shape"),
    (MIXED, "text", b"2025-11-20T10:11:12.500000", "2025-11-20 03:11:12.500000+00", ""),
    (MIXED, "text", b"2025-11-20T10:11:12", "2025-11-20 03:11:12+00", "time_shape"),
    (DATE, "text", b"2024-02-29", "2024-02-29 00:00:00+00", ""),
    (DATE, "text", b"2024-02-29 01:02:03", "2024-02-29 01:02:03+00", "time_shape"),
]  # fmt: skip

# kind, storage, stored value -> reason
REFUSED: list[tuple[Any, ...]] = [
    (TEXT, "text", b"a\x00b", "nul_in_text"),
    (TEXT, "text", b"\xff", "invalid_utf8"),
    (TEXT, "text", b"\xed\xa0\x80", "invalid_utf8"),
    (TEXT, "blob", b"bytes", "blob"),
    (TIER, "text", b"L9", "not_a_choice"),
    (KEY, "text", b"1", "bad_key"),
    (REFERENCE, "real", 1.0, "bad_key"),
    (TEXT_KEY, "blob", b"x", "blob"),
    (WHOLE, "integer", 2**31, "out_of_range"),
    (WHOLE, "real", 1.5, "not_whole"),
    (WHOLE, "real", 1e300, "out_of_range"),
    (WHOLE, "real", float("inf"), "out_of_range"),
    (WHOLE, "text", b"many", "not_a_number"),
    (WHOLE, "text", b"9" * 50, "out_of_range"),
    (WHOLE, "blob", b"1", "not_a_number"),
    (REAL, "integer", 2**53 + 1, "out_of_range"),
    (REAL, "text", b"high", "not_a_number"),
    (REAL, "text", b"nan", "not_a_number"),
    (REAL, "text", b"1e999", "not_a_number"),
    (REAL, "blob", b"1", "not_a_number"),
    (JSON, "blob", b"{}", "blob"),
    (JSON, "text", b"\xff", "invalid_utf8"),
    (JSON, "text", b'{"n": 1e200000}', "json_too_large"),
    (JSON, "text", b'{"n": 1e-20000}', "json_too_large"),
    (JSON, "text", b"0e-20000", "json_too_large"),
    (JSON, "text", b"0e2147483647", "json_too_large"),
    (JSON, "text", b"[" * 600 + b"]" * 600, "json_too_large"),
    (JSON, "text", b"[" * 100_000, "json_too_large"),
    (JSON, "real", float("inf"), "not_a_number"),
    (SQL, "text", b"", "unreadable_time"),
    (SQL, "text", b"now", "unreadable_time"),
    (SQL, "text", b"infinity", "unreadable_time"),
    (SQL, "text", b"2025-02-30 10:00:00", "unreadable_time"),
    (SQL, "text", b"2025-01-01 24:00:00", "unreadable_time"),
    (SQL, "text", b"2025-01-01 23:59:60", "unreadable_time"),
    (SQL, "text", b"0000-01-01 00:00:00", "unreadable_time"),
    (SQL, "text", b"2025-01-01 10:00:00+16:00", "unreadable_time"),
    (ISO, "text", b"0001-01-01T00:00:00", "unreadable_time"),
    (ISO, "text", b"2025-11-20T10:11:12.1234567", "beyond_microseconds"),
    (SQL, "integer", 1_700_000_000, "unreadable_time"),
    (SQL, "blob", b"2025-11-20 10:11:12", "blob"),
]


@pytest.mark.parametrize(("kind", "storage", "raw", "text", "reason"), ACCEPTED)
def test_accepted(kind: Any, storage: str, raw: Any, text: str | None, reason: str) -> None:
    cell = convert(kind, False, storage, raw, HANOI)
    assert (cell.text, cell.reason, cell.repaired) == (text, reason, bool(reason))


@pytest.mark.parametrize(("kind", "storage", "raw", "reason"), REFUSED)
def test_refused(kind: Any, storage: str, raw: Any, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        convert(kind, False, storage, raw, HANOI)
    assert caught.value.reason == reason
    assert caught.value.sentence.endswith((".", "!"))


@pytest.mark.parametrize("kind", [TEXT, KEY, WHOLE, REAL, JSON, SQL, DATE])
def test_null_where_a_value_is_needed(kind: Any) -> None:
    with pytest.raises(Refused) as caught:
        convert(kind, True, "null", None, HANOI)
    assert caught.value.reason == "null_in_required"


@pytest.mark.parametrize(
    ("row", "raw", "text"),
    [
        (SECONDS, 1_700_000_000, "2023-11-14 22:13:20+00"),
        (SECONDS, 1_700_000_000.25, "2023-11-14 22:13:20.250000+00"),
        (MILLIS, 1_700_000_000_123, "2023-11-14 22:13:20.123000+00"),
        (JULIAN, 2460263.25, "2023-11-14 18:00:00+00"),
    ],
)
def test_epochs(row: RowContext, raw: float, text: str) -> None:
    storage = "real" if isinstance(raw, float) else "integer"
    cell = convert(SQL, False, storage, raw, row)
    assert (cell.text, cell.reason) == (text, "epoch")


def test_a_julian_day_before_the_calendar() -> None:
    with pytest.raises(Refused, match="years 1 to 9999"):
        convert(SQL, False, "real", 1_700_000.0, JULIAN)


@pytest.mark.parametrize(
    ("stored", "text", "reason"),
    [
        ("2025-12-01T12:00:00", "2025-12-01 11:00:00+00", ""),
        ("2025-07-01T12:00:00", "2025-07-01 10:00:00+00", ""),
        ("2025-10-26T02:30:00", "2025-10-26 00:30:00+00", "clock_guess"),  # twice: the first
        ("2025-03-30T02:30:00", "2025-03-30 01:30:00+00", "clock_gap"),  # never
    ],
)
def test_a_zone_with_summer_time(stored: str, text: str, reason: str) -> None:
    cell = convert(ISO, False, "text", stored.encode(), BERLIN)
    assert (cell.text, cell.reason) == (text, reason)
    assert cell.repaired == (reason == "clock_gap")


@pytest.mark.parametrize(
    ("row_offset", "start", "hour", "reason"),
    [
        (120, None, 0, ""),  # the row's twin tells
        (60, None, 1, ""),
        (0, None, 0, "clock_guess"),  # a twin of another clock
        (None, b"2025-10-26T02:50:00", 1, ""),  # it was completed after it started
        (120, b"2025-10-26T02:50:00", 1, ""),
        (None, b"2025-10-26 00:10:00", 0, "clock_guess"),  # either may be meant
        (None, b"2025-10-26 01:10:00", 1, ""),
        (None, b"2025-10-26T04:00:00", 0, "clock_guess"),  # it started after both
        (None, b"soon", 0, "clock_guess"),
    ],
)
def test_the_hour_that_came_twice(
    row_offset: int | None, start: bytes | None, hour: int, reason: str
) -> None:
    earlier = None if start is None else ("text", start)
    row = RowContext(BERLIN.clock, row_offset, None, earlier)
    cell = convert(ISO, False, "text", b"2025-10-26T02:30:00", row)
    assert (cell.text, cell.reason) == (f"2025-10-26 0{hour}:30:00+00", reason)
    around = Surroundings(LocalClock("Europe/Berlin"), row_offset, None, earlier)
    judged = expect(ISO, False, "text", b"2025-10-26T02:30:00", around)
    assert (str(judge_of(ISO).show(judged.value)), judged.kept) == (cell.text, reason)


def test_a_row_of_another_offset_keeps_its_original() -> None:
    row = RowContext(Clock(usual=420, evidence={420: 9, 480: 1}), 480)
    cell = convert(ISO, False, "text", b"2025-11-20T10:11:12", row)
    assert (cell.text, cell.reason, cell.repaired) == (
        "2025-11-20 02:11:12+00",
        "clock_offset",
        False,
    )


def test_without_a_twin_the_commonest_offset_is_a_guess() -> None:
    row = RowContext(Clock(usual=60, evidence={60: 5, 120: 3}))
    cell = convert(ISO, False, "text", b"2025-07-06T12:00:00", row)
    assert (cell.text, cell.reason) == ("2025-07-06 11:00:00+00", "clock_guess")
    assert not cell.repaired


@pytest.mark.parametrize(
    ("evidence", "minutes", "reason"),
    [({60: 5, 120: 3}, 60, ""), ({120: 3}, 120, "clock_offset"), ({120: 1, 180: 1}, 120, "x")],
)
def test_a_completion_before_its_start_was_written_by_another_offset(
    evidence: dict[int, int], minutes: int, reason: str
) -> None:
    """Only by one that the file shows: else the row means what it says."""
    clock = Clock(usual=60, evidence=evidence)
    row = RowContext(clock, 120, None, ("text", b"2025-10-26T02:50:00"))
    cell = convert(ISO, False, "text", b"2025-10-26T02:10:00", row)
    assert cell.text == f"2025-10-26 0{(130 - minutes) // 60}:10:00+00"
    assert bool(cell.reason) == bool(reason)


def random_time(rng: random.Random) -> bytes:
    """A local time, now and then in an hour that is skipped or comes twice."""
    day = rng.choice(("2025-10-26", "2025-03-30", "2025-07-01", "2025-12-01", "2075-07-01"))
    seconds = rng.choice((":00", ":00.5", "", ":00.250000", "+01:00", "Z"))
    return (
        f"{day}{rng.choice('TTT ')}0{rng.randrange(1, 5)}:{rng.randrange(60):02d}{seconds}".encode()
    )


def test_the_loader_and_the_judge_read_local_times_alike() -> None:
    rng = random.Random(20261129)
    for _ in range(2000):
        zone = rng.choice((None, None, "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"))
        offsets = sorted(rng.sample((60, 120, 180), rng.randrange(4)))
        usual = rng.choice(offsets) if offsets else 0
        shown = rng.choice((None, None, 60, 120))
        earlier = rng.choice((None, ("null", None), ("integer", 5), ("text", random_time(rng))))
        stored = random_time(rng)
        clock = Clock(usual, zone, dict.fromkeys(offsets, 1))
        cell = convert(ISO, False, "text", stored, RowContext(clock, shown, None, earlier))
        around = Surroundings(LocalClock(zone, usual, tuple(offsets)), shown, None, earlier)
        judged = expect(ISO, False, "text", stored, around)
        case = (zone, offsets, usual, shown, earlier, stored)
        told = str(judge_of(ISO).show(judged.value))
        assert datetime.fromisoformat(told) == datetime.fromisoformat(cell.text or ""), case
        assert judged.kept == cell.reason, case


def test_every_documented_reason_is_tested() -> None:
    """The reasons in values.md and the reasons these tests produce are the same set."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "values.md").read_text(
        encoding="utf-8"
    )
    documented = {word for word in re.findall(r"`(\w+)`", page) if in_words(word) != word}
    here = {case[4] for case in ACCEPTED} | {case[3] for case in REFUSED}
    here |= {case[3] for case in test_field_kinds.ACCEPTED}
    here |= {case[2] for case in test_field_kinds.REFUSED}
    here |= {"null_in_required", "epoch", "clock_gap", "clock_offset", "clock_guess"}
    # These are about a row, not a cell: test_rows.py.
    rowwise = {"duplicate_key", "no_key", "missing_column", "missing_parent", "refused_by_target"}
    assert documented == (here | rowwise) - {""}
