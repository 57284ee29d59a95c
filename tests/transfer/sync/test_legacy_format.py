"""Target values in the legacy's own formats."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from stillme.transfer import kinds
from stillme.transfer.kinds import Stamp
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.base import Rendered
from stillme.transfer.steps.kinds.documents import ascii_json
from stillme.transfer.steps.switching.legacy_rows import extra_cells

HANOI = Clock(usual=420, evidence={420: 5})
SQL, ISO, MIXED = (kinds.Timestamp(s) for s in (Stamp.SQL, Stamp.ISO, Stamp.MIXED))


def shown(kind, value, clock=HANOI, *, required=False, explicit=False):
    if value is None:
        return Rendered(None)
    return loader_of(kind).spell_back(value, clock, required=required, explicit=explicit)


@pytest.mark.parametrize(
    ("kind", "target", "stored", "lost"),
    [
        (SQL, "2026-05-06 07:08:09.000000", "2026-05-06 07:08:09", ""),
        (SQL, "2026-05-06 07:08:09.999999", "2026-05-06 07:08:09", "finer_than_seconds"),
        (ISO, "2026-05-06 07:08:09.000000", "2026-05-06T14:08:09", ""),
        (ISO, "2026-05-06 07:08:09.000001", "2026-05-06T14:08:09.000001", ""),
        (ISO, "2026-12-31 20:00:00.500000", "2027-01-01T03:00:00.500000", ""),
        (MIXED, "2026-05-06 07:08:09.000000", "2026-05-06 07:08:09", ""),
        (MIXED, "2026-05-06 07:08:09.120000", "2026-05-06T14:08:09.120000", ""),
        (SQL, "infinity", "infinity", "beyond_the_calendar"),
        (kinds.Date(), "2026-05-06 00:00:00.000000", "2026-05-06", ""),
        (kinds.Date(), "2026-05-06 01:00:00.000000", "2026-05-06 01:00:00", ""),
        (kinds.Real(), float("inf"), float("inf"), ""),
        (kinds.Real(), float("nan"), None, "not_a_number"),
        (kinds.Integer(), 5, 5, ""),
        (kinds.Text(), "a\nb", "a\nb", ""),
        (SQL, None, None, ""),
    ],
)
def test_formats(kind, target, stored, lost):
    assert shown(kind, target) == Rendered(stored, lost)


def test_nan_where_a_value_is_required():
    assert shown(kinds.Real(), float("nan"), required=True) == Rendered("NaN", "not_a_number")


def test_explicit_offset():
    found = shown(ISO, "2026-05-06 07:08:09.500000", explicit=True).value
    assert found == "2026-05-06T07:08:09.500000+00:00"


def test_the_repeated_hour_of_a_zone_gets_its_offset():
    berlin = Clock(zone="Europe/Berlin")
    first = shown(ISO, "2025-10-26 00:30:00.000000", berlin).value
    second = shown(ISO, "2025-10-26 01:30:00.000000", berlin).value
    assert first == "2025-10-26T02:30:00"
    assert second == "2025-10-26T01:30:00+00:00"


def test_with_several_offsets_the_usual_one_is_written():
    clock = Clock(usual=60, evidence={60: 9, 120: 5})
    stored = datetime.fromisoformat(str(shown(ISO, "2026-05-01 12:00:00.000000", clock).value))
    assert stored - clock.read(stored, None).offsets[0] == datetime(2026, 5, 1, 12)


@pytest.mark.parametrize(
    "document",
    [{}, {"k": 'ả \U0001f600 \x7f \x01 \t "\\ /'}, [1, 1.5, None, True, "é"], {"é": {"n": -0.5}}],
)
def test_json_is_what_dumps_writes(document):
    as_postgresql = json.dumps(document, ensure_ascii=False)
    assert ascii_json(as_postgresql) == json.dumps(document)


def test_json_numbers_keep_their_digits():
    text = '{"n": 1.50, "big": 12345678901234567890123456789012345678901}'
    assert ascii_json(text) == text


def test_undeclared_columns_come_back():
    document = json.dumps(
        {"a": "text", "b": 5, "c": {"real": (0.1).hex()}, "d": {"blob": "00ff"},
         "e": {"text": "c328"}}
    )  # fmt: skip
    found = extra_cells(document, ["a", "b", "c", "d", "e", "f"])
    assert found == {"a": "text", "b": 5, "c": 0.1, "d": b"\x00\xff", "e": b"\xc3\x28", "f": None}
