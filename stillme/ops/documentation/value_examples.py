"""Stored values for docs/reference/values.md: what becomes of each, the loader itself says there.

`tests/transfer/load/test_policy.py` holds loader and judge to many more.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from stillme.transfer import kinds
from stillme.transfer.kinds import Kind, Stamp
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.steps.kinds.base import RowContext

Value = int | float | str | bytes
HEX = "0123456789abcdef0123456789abcdef"
DASHED = "01234567-89ab-cdef-0123-456789abcdef"


class Examples(NamedTuple):
    """Columns of a kind, in words; values stored in them, each odd; what else decides."""

    column: str
    kind: Kind
    stored: tuple[Value, ...]
    row: RowContext = RowContext()


HANOI = RowContext(Clock(usual=420, evidence={420: 9}))
ODD = (
    Examples("text", kinds.Text(), (17, 0.1, "a\0b")),
    Examples("text with choices `L0`, `L1`", kinds.Text(("L0", "L1")), ("L9",)),
    Examples("text or text key of at most 4", kinds.Text(max_length=4), ("abcd ",)),
    Examples("key, or reference to one", kinds.Key(), ("7", 7.0)),
    Examples(
        "whole number of 32 bits",
        kinds.Integer(),
        (3.0, "7", "-012", 2**31, "9999999999", 3.7, "seven", b"7"),
    ),
    Examples("double", kinds.Real(), (7, "1e-3", 2**53 + 1, "high", "nan")),
    Examples(
        "JSON",
        kinds.Json(),
        (
            '{"a": 1, "a": 2}',
            '{"a": NaN}',
            r'{"a": "\u0000 \ud800"}',
            "not JSON",
            "",
            5,
            '{"a": 1e200000}',
            float("inf"),
        ),
    ),
    Examples(
        "timestamp, sql stamp",
        kinds.Timestamp(),
        (
            "2025-11-20",
            "2025-11-20 10:11",
            "2025-11-20 10:11:12.5",
            "2025-11-20 10:11:12+05:30",
            "2025-11-20 10:11:12.1234567",
            1700000000,
            "now",
            "",
            "2025-02-30 10:00:00",
            "2025-11-20 24:00:00",
        ),
    ),
    Examples(
        "timestamp, all numbers seconds",
        kinds.Timestamp(),
        (1700000000, 1700000000.25),
        RowContext(epoch_unit="seconds"),
    ),
    Examples(
        "timestamp, sql stamp, in a file at +07:00",
        kinds.Timestamp(),
        ("2025-11-20T10:11:12",),
        HANOI,
    ),
    Examples(
        "timestamp, iso stamp, in a file at +07:00, a row at +08:00",
        kinds.Timestamp(Stamp.ISO),
        ("2025-11-20T10:11:12",),
        RowContext(HANOI.clock, 480),
    ),
    Examples(
        "timestamp, iso stamp, in a file that shows +01:00 and +02:00",
        kinds.Timestamp(Stamp.ISO),
        ("2025-07-06T12:00:00",),
        RowContext(Clock(usual=60, evidence={60: 5, 120: 3})),
    ),
    Examples(
        "timestamp or moment, zone Europe/Berlin",
        kinds.Timestamp(Stamp.ISO),
        ("2025-03-30T02:30:00", "2025-10-26T02:30:00"),
        RowContext(Clock(zone="Europe/Berlin")),
    ),
    Examples("`Date()`", kinds.Date(), ("2024-02-29 01:02:03",)),
    Examples("boolean", kinds.Boolean(), (1.0, "0", "TRUE", 2, "yes")),
    Examples(
        "decimal of 10 digits, 2 places",
        kinds.Decimal(10, 2),
        (12.0, -0.0, "12.500", 100_000_000, 0.125, 0.1 + 0.2, "NaN"),
    ),
    Examples(
        "decimal with `rounded=True`", kinds.Decimal(10, 2, rounded=True), (0.1 + 0.2, "0.135")
    ),
    Examples(
        "moment",
        kinds.Moment(),
        ("2025-11-20T10:11:12", "2025-11-20 10:11:12.5", "2025-11-20 10:11:12+02:00", "infinity"),
    ),
    Examples("day", kinds.Day(), ("2024-02-29 00:00:00", "2024-02-29 01:02:03", 20240229)),
    Examples("time of day", kinds.TimeOfDay(), ("10:11", "10:11:12.5", "10:11:12+01:00")),
    Examples("duration", kinds.Duration(), ("86400000000", 1e6, 0.5, "1 day")),
    Examples("UUID", kinds.Uuid(), (DASHED, HEX.upper(), "{" + DASHED + "}", HEX[:31], 5)),
    Examples(
        "IP address", kinds.Address(), ("2001:DB8:0:0:0:0:0:1", "10.0.0.1/24", "10.0.0.010", 1)
    ),
    Examples("bytes", kinds.Binary(), ("abc", 5)),
)
# Columns of a kind, and what PostgreSQL holds there, as the way back reads it.
WRITTEN_BACK: tuple[tuple[str, Kind, tuple[Any, ...]], ...] = (
    (
        "timestamp, sql stamp",
        kinds.Timestamp(),
        ("2025-11-20 10:11:12", "2025-11-20 10:11:12.5", "infinity"),
    ),
    (
        "timestamp, iso stamp, in a file at +07:00",
        kinds.Timestamp(Stamp.ISO),
        ("2025-11-20 03:11:12", "2025-11-20 03:11:12.5"),
    ),
    (
        "timestamp, mixed stamp, in a file at +07:00",
        kinds.Timestamp(Stamp.MIXED),
        ("2025-11-20 03:11:12", "2025-11-20 03:11:12.5"),
    ),
    ("JSON", kinds.Json(), ('{"a": 2.50, "é": null}',)),
    ("double", kinds.Real(), (0.1, -0.0, float("nan"))),
    (
        "decimal of 20 digits, 2 places",
        kinds.Decimal(20, 2),
        (Decimal("12.50"), Decimal("123456789012345678.90")),
    ),
    ("time of day", kinds.TimeOfDay(), ("10:11:12.5", "24:00:00")),
    ("IP address", kinds.Address(), ("10.0.0.1/32", "10.0.0.0/8")),
)
