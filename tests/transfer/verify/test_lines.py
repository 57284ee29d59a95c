"""A value's part of a line shows where it ends: different rows have different lines."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from stillme.transfer import kinds
from stillme.transfer.kinds import Kind
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.quoting import quoted
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.base import Table
from stillme.transfer.verify.kinds.local_clock import LocalClock
from tests.transfer.load.support import query

pytestmark = pytest.mark.django_db

DIGITS = "0123456789abcdef" * 2
ID, HOST, TEXT = (kinds.Uuid(), "uuid"), (kinds.Address(), "inet"), (kinds.Text(), "text")
# Columns (kind, type in PostgreSQL), a legacy row that is plain, a row of the target.
ALIKE: list[tuple[list[tuple[Kind, str]], list[Any], list[Any]]] = [
    ([ID, TEXT], [f"{DIGITS};7:5", "abc"], [DIGITS, "5;3:abc"]),
    ([HOST, TEXT], ["::1;7:5", "abc"], ["::1", "5;3:abc"]),
    ([ID, TEXT], ["~1:", "abc"], [None, "~3:abc"]),
]

NONE: Any = SimpleNamespace(clock=None, column=lambda name: None)
FINE, ISO, BERLIN = "2025-07-10 09:00:00.250001", "2025-07-10T09:00:00", "Europe/Berlin"
SQL_STAMP, ISO_STAMP, MIXED = kinds.Stamp.SQL, kinds.Stamp.ISO, kinds.Stamp.MIXED
# Plain values of which SQLite's functions, which stop at U+0000, have a part in test or line; the
# file's time zone.
PLAIN: list[tuple[Kind, str, str]] = [
    (kinds.Timestamp(SQL_STAMP), FINE[:19], ""),
    (kinds.Timestamp(MIXED), FINE[:19], ""),
    (kinds.Timestamp(ISO_STAMP), ISO, ""),
    (kinds.Timestamp(ISO_STAMP), f"{ISO}.250001", ""),
    (kinds.Timestamp(ISO_STAMP), f"{ISO}.250001", BERLIN),
    (kinds.Timestamp(MIXED), f"{ISO}.250001", ""),
    (kinds.Timestamp(MIXED), f"{ISO}.250001", BERLIN),
    (kinds.Moment(), FINE, ""),
    (kinds.Moment(), FINE[:19], ""),
    (kinds.Moment(zone=BERLIN), FINE, ""),
    (kinds.Moment(zone=BERLIN), FINE[:19], ""),
    (kinds.Date(), "2025-07-10", ""),
    (kinds.Day(), "2025-07-10", ""),
    (kinds.TimeOfDay(), "09:00:00", ""),
    (kinds.TimeOfDay(), "09:00:00.250001", ""),
    (kinds.Uuid(), DIGITS, ""),
    (kinds.Address(), "10.0.0.1", ""),
    (kinds.TextKey(), "a", ""),
    (kinds.Text(), "a", ""),
    (kinds.Text(max_length=1), "a", ""),
    (kinds.Text(choices=("a",)), "a", ""),
]


def lines(
    columns: list[tuple[Kind, str]], legacy: list[Any], target: list[Any], *, required: bool
) -> tuple[str, str]:
    """The line of a legacy row, and that of a row of the target."""
    mapped = [MappedColumn(f"c{n}", f"c{n}", kind, required) for n, (kind, _) in enumerate(columns)]
    found: Any = None
    parts = [judge_of(c.kind).legacy_piece(c, found) for c in mapped]
    named = ", ".join(f"? AS {c.legacy}" for c in mapped)
    sql = f"SELECT concat({', '.join(parts)}) FROM (SELECT {named})"
    ((one,),) = apsw.Connection(":memory:").execute(sql, legacy).fetchall()
    pieces = " || ".join(judge_of(c.kind).target_piece(quoted(c.target)) for c in mapped)
    cast = ", ".join(f"%s::{kind} AS c{n}" for n, (_, kind) in enumerate(columns))
    return str(one), str(query(f"SELECT {pieces} FROM (SELECT {cast}) AS t", *target)[0][0])


@pytest.mark.parametrize(("columns", "legacy", "target"), ALIKE)
@pytest.mark.parametrize("required", [False, True])
def test_a_text_that_holds_the_end_of_a_value(
    columns: list[tuple[Kind, str]], legacy: list[Any], target: list[Any], required: bool
) -> None:
    one, other = lines(columns, legacy, target, required=required)
    assert one != other


def test_whole_numbers_and_nulls() -> None:
    columns: list[tuple[Kind, str]] = [(kinds.Integer(), "int")] * 4
    rows = [list(row) for row in product((None, 5, -5, 0), repeat=4)]
    found = [lines(columns, row, row, required=False) for row in rows]
    assert [one for one, other in found if one != other] == []
    assert len({one for one, _ in found}) == len(rows)


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(("kind", "value", "zone"), PLAIN)
def test_what_goes_on_behind_a_nul_is_not_the_value_before_it(
    kind: Kind, value: str, zone: str, required: bool
) -> None:
    column, judge = MappedColumn("v", "v", kind, required), judge_of(kind)
    table = Table(NONE, LocalClock(zone=zone or None), {})
    given = [value, f"{value}\x00", f"{value}\x00x", f"{value}\x00\x00"]
    marks = " UNION ALL ".join(["SELECT ? AS v"] * len(given))
    piece = f"concat({judge.legacy_piece(column, table)})"
    sql = f"SELECT CASE WHEN {judge.plain_test(column, table)} THEN {piece} END FROM ({marks})"
    usual, *others = apsw.Connection(":memory:").execute(sql, given).fetchall()
    assert usual != (None,)
    assert usual not in others
