"""docs/reference/values.md, the kinds of Django's fields: what becomes of one stored value.

Loader and judge decide each on their own. Then PostgreSQL reads the loader's cell: it must be what
the judge expects, and what the judge rebuilds must be what was stored, unless its original is kept.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import Any, cast

import apsw
import pytest
from django.db import DatabaseError, connection, transaction

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.csv_format import QUOTE
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.row_source import RowSource, SnapshotRows
from stillme.transfer.steps.kinds import convert, loader_of
from stillme.transfer.steps.kinds.base import Refused, RowContext
from stillme.transfer.steps.kinds.base import Table as LoadedTable
from stillme.transfer.verify.kinds import expect, judge_of
from stillme.transfer.verify.kinds.base import MustBeSetAside, Surroundings, Table
from stillme.transfer.verify.kinds.local_clock import LocalClock

BOOL, MONEY, WHOLE = kinds.Boolean(), kinds.Decimal(10, 2), kinds.Decimal(5, 0)
WIDE, SMALL, ROUNDED = kinds.Decimal(24, 4), kinds.Decimal(3, 3), kinds.Decimal(5, 2, rounded=True)
UTC, BERLIN = kinds.Moment(), kinds.Moment(zone="Europe/Berlin")
NAIVE = kinds.Moment(aware=False, zone="Europe/Berlin")
DAY, TIME, SPAN = kinds.Day(), kinds.TimeOfDay(), kinds.Duration()
UUID, BYTES, HOST, SLUG = kinds.Uuid(), kinds.Binary(), kinds.Address(), kinds.Text(max_length=4)

SHORT_KEY = kinds.TextKey(max_length=4)

HEX = "0123456789abcdef0123456789abcdef"
DASHED = "01234567-89ab-cdef-0123-456789abcdef"

# kind, stored value -> what PostgreSQL then prints, reason of the kept original ("": loaded as is)
ACCEPTED: list[tuple[kinds.Kind, Raw | str, str | None, str]] = [
    (BOOL, 0, "f", ""),
    (BOOL, 1, "t", ""),
    (BOOL, None, None, ""),
    (BOOL, 1.0, "t", "real_in_integer"),
    (BOOL, "0", "f", "numeric_text"),
    (BOOL, "true", "t", "boolean_text"),
    (BOOL, "FALSE", "f", "boolean_text"),
    (MONEY, 12, "12.00", ""),
    (MONEY, 12.5, "12.50", ""),
    (MONEY, 0.29, "0.29", ""),
    (MONEY, -99999999.99, "-99999999.99", ""),
    (MONEY, 12.0, "12.00", "real_in_integer"),
    (MONEY, -0.0, "0.00", "negative_zero"),
    (MONEY, "12.500", "12.50", "numeric_text"),
    (MONEY, "-0", "0.00", "numeric_text"),
    (MONEY, "+1e2", "100.00", "numeric_text"),
    (MONEY, "0e99999999999999999999", "0.00", "numeric_text"),
    (MONEY, "0." + "0" * 5000, "0.00", "numeric_text"),
    (WHOLE, 99999, "99999", ""),
    (WIDE, 2**63 - 1, "9223372036854775807.0000", ""),
    (WIDE, 12345678901.2345, "12345678901.2345", ""),
    (WIDE, 1e19, "10000000000000000000.0000", "real_in_integer"),
    (WIDE, "12345678901234567.8901", "12345678901234567.8901", "numeric_text"),
    (SMALL, 0.001, "0.001", ""),
    (SMALL, -0.999, "-0.999", ""),
    (ROUNDED, 0.30000000000000004, "0.30", "rounded"),
    (ROUNDED, "0.125", "0.12", "rounded"),
    (ROUNDED, "0.135", "0.14", "rounded"),
    (ROUNDED, "0.1250000001", "0.13", "rounded"),
    (ROUNDED, "1e-5000", "0.00", "rounded"),
    (ROUNDED, -0.001, "0.00", "rounded"),
    (ROUNDED, 12.5, "12.50", ""),
    (UTC, "2025-11-20 10:11:12", "2025-11-20 10:11:12+00", ""),
    (UTC, "2025-11-20 10:11:12.000001", "2025-11-20 10:11:12.000001+00", ""),
    (UTC, "2025-11-20 10:11:12.120000", "2025-11-20 10:11:12.12+00", ""),
    (UTC, "0001-01-01 00:00:00", "0001-01-01 00:00:00+00", ""),
    (UTC, "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999+00", ""),
    (UTC, "2025-11-20 10:11:12.12", "2025-11-20 10:11:12.12+00", "time_shape"),
    (UTC, "2025-11-20 10:11:12.000000", "2025-11-20 10:11:12+00", "time_shape"),
    (UTC, "2025-11-20T10:11:12", "2025-11-20 10:11:12+00", "time_shape"),
    (UTC, "2025-11-20 10:11", "2025-11-20 10:11:00+00", "time_shape"),
    (UTC, "2025-11-20", "2025-11-20 00:00:00+00", "time_shape"),
    (UTC, "2025-11-20 10:11:12+02:00", "2025-11-20 08:11:12+00", "time_shape"),
    (UTC, 1_700_000_000, "2023-11-14 22:13:20+00", "epoch"),
    (BERLIN, "2025-07-01 12:00:00", "2025-07-01 10:00:00+00", ""),
    (BERLIN, "2025-12-01 12:00:00.5", "2025-12-01 11:00:00.5+00", "time_shape"),
    (BERLIN, "2025-12-01T12:00:00", "2025-12-01 11:00:00+00", "time_shape"),
    (BERLIN, "2025-12-01 12:00:00Z", "2025-12-01 12:00:00+00", "time_shape"),
    (BERLIN, "2025-03-30 02:30:00", "2025-03-30 01:30:00+00", "clock_gap"),
    (BERLIN, "2025-10-26 02:30:00", "2025-10-26 00:30:00+00", "clock_guess"),
    (BERLIN, "1893-03-31 12:00:00", "1893-03-31 11:06:32+00", ""),
    (NAIVE, "2025-03-30 02:30:00", "2025-03-30 01:30:00+00", "clock_gap"),
    (NAIVE, "2025-10-26 02:30:00", "2025-10-26 01:30:00+00", ""),
    (DAY, "2024-02-29", "2024-02-29", ""),
    (DAY, "0001-01-01", "0001-01-01", ""),
    (DAY, "2024-02-29 00:00:00", "2024-02-29", "time_shape"),
    (DAY, "2024-02-29T00:00:00.000", "2024-02-29", "time_shape"),
    (TIME, "23:59:59", "23:59:59", ""),
    (TIME, "10:11:12.000100", "10:11:12.0001", ""),
    (TIME, "10:11", "10:11:00", "time_shape"),
    (TIME, "10:11:12.5", "10:11:12.5", "time_shape"),
    (TIME, "10:11:12.000000", "10:11:12", "time_shape"),
    (SPAN, 0, "00:00:00", ""),
    (SPAN, 90_000_000_000, "1 day 01:00:00", ""),
    (SPAN, -1_000_000, "-1 days +23:59:59", ""),
    (SPAN, 2**63 - 1, "106751991 days 04:00:54.775807", ""),
    (SPAN, -(2**63), "-106751992 days +19:59:05.224192", ""),
    (SPAN, "86400000000", "1 day", "numeric_text"),
    (SPAN, 1e6, "00:00:01", "real_in_integer"),
    (UUID, HEX, DASHED, ""),
    (UUID, DASHED, DASHED, "uuid_shape"),
    (UUID, HEX.upper(), DASHED, "uuid_shape"),
    (UUID, "{" + DASHED.upper() + "}", DASHED, "uuid_shape"),
    (UUID, "URN:UUID:" + DASHED, DASHED, "uuid_shape"),
    (BYTES, b"", r"\x", ""),
    (BYTES, b"\x00\xff\x01", r"\x00ff01", ""),
    (BYTES, "a\x00\x01é", r"\x610001c3a9", "text_in_binary"),
    (HOST, "192.0.2.255", "192.0.2.255/32", ""),
    (HOST, "2001:db8::1", "2001:db8::1/128", ""),
    (HOST, "::", "::/128", ""),
    (HOST, "::102:304", "::1.2.3.4/128", ""),
    (HOST, "::ffff:1.2.3.4", "::ffff:1.2.3.4/128", ""),
    (HOST, "::1.2.3.4", "::1.2.3.4/128", "address_shape"),
    (HOST, "::ffff:102:304", "::ffff:1.2.3.4/128", "address_shape"),
    (HOST, "2001:DB8:0:0:0:0:0:1", "2001:db8::1/128", "address_shape"),
    (HOST, "1:0:0:2:0:0:0:3", "1:0:0:2::3/128", "address_shape"),
    (SLUG, "äß🧠é", "äß🧠é", ""),
    (SLUG, "", "", ""),
    (SLUG, 1234, "1234", "number_in_text"),
]  # fmt: skip

# kind, stored value -> reason
REFUSED: list[tuple[kinds.Kind, Raw | str, str]] = [
    (BOOL, 2, "not_a_boolean"),
    (BOOL, 0.5, "not_a_boolean"),
    (BOOL, float("inf"), "not_a_boolean"),
    (BOOL, "yes", "not_a_boolean"),
    (BOOL, "", "not_a_boolean"),
    (BOOL, b"1", "blob"),
    (MONEY, 100_000_000, "out_of_range"),
    (MONEY, 1e300, "out_of_range"),
    (MONEY, 1.7976931348623157e308, "out_of_range"),
    (MONEY, float("-inf"), "out_of_range"),
    (MONEY, "1e400", "out_of_range"),
    (MONEY, "1e99999999999999999999", "out_of_range"),
    (MONEY, "9" * 5000, "out_of_range"),
    (MONEY, 0.125, "beyond_places"),
    (MONEY, 0.30000000000000004, "beyond_places"),
    (MONEY, 5e-324, "beyond_places"),
    (MONEY, "1e-400", "beyond_places"),
    (MONEY, "1e-99999999999999999999", "beyond_places"),
    (MONEY, "abc", "not_a_number"),
    (MONEY, "NaN", "not_a_number"),
    (MONEY, "1e", "not_a_number"),
    (MONEY, ".", "not_a_number"),
    (MONEY, " 1", "not_a_number"),
    (MONEY, "1\n", "not_a_number"),
    (MONEY, "１", "not_a_number"),
    (MONEY, b"1", "not_a_number"),
    (WIDE, 12345678901234567.0, "beyond_places"),
    (WIDE, 1234567890123.4567, "beyond_places"),
    (WHOLE, 0.5, "beyond_places"),
    (SMALL, 1, "out_of_range"),
    (ROUNDED, 999.995, "out_of_range"),
    (ROUNDED, "999.995", "out_of_range"),
    (UTC, "2025-02-30 10:00:00", "unreadable_time"),
    (UTC, "2025-01-01 24:00:00", "unreadable_time"),
    (UTC, "2025-01-01 23:59:60", "unreadable_time"),
    (UTC, "0000-01-01 00:00:00", "unreadable_time"),
    (UTC, "now", "unreadable_time"),
    (UTC, "2025-01-01 10:00:00.1234567", "beyond_microseconds"),
    (UTC, 5, "unreadable_time"),
    (BERLIN, "0001-01-01 00:00:00", "unreadable_time"),
    (DAY, "2025-02-30", "unreadable_time"),
    (DAY, "2025-02-03 00:00:01", "unreadable_time"),
    (DAY, "2025-02-03 00:00:00Z", "unreadable_time"),
    (DAY, "2025-02-03 00:00:00.0000001Z", "beyond_microseconds"),
    (DAY, "infinity", "unreadable_time"),
    (DAY, 20250203, "unreadable_time"),
    (TIME, "24:00:00", "unreadable_time"),
    (TIME, "23:59:60", "unreadable_time"),
    (TIME, "10:11:12+01:00", "unreadable_time"),
    (TIME, "10:11:12Z", "unreadable_time"),
    (TIME, "1:11:12", "unreadable_time"),
    (TIME, "", "unreadable_time"),
    (TIME, "2025-01-01 10:11:12", "unreadable_time"),
    (TIME, "10:11:12.1234567", "beyond_microseconds"),
    (TIME, 101112, "unreadable_time"),
    (SPAN, 0.5, "not_whole"),
    (SPAN, 1e300, "out_of_range"),
    (SPAN, "1 day", "not_a_number"),
    (SPAN, "9223372036854775808", "out_of_range"),
    (UUID, HEX[:31], "not_a_uuid"),
    (UUID, HEX[:31] + "g", "not_a_uuid"),
    (UUID, "{" + HEX, "not_a_uuid"),
    (UUID, DASHED.replace("-", "", 1), "not_a_uuid"),
    (UUID, HEX + "\n", "not_a_uuid"),
    (UUID, 5, "not_a_uuid"),
    (UUID, bytes(16), "blob"),
    (BYTES, 5, "not_binary"),
    (BYTES, 0.5, "not_binary"),
    (HOST, "10.0.0.1/24", "not_an_address"),
    (HOST, "010.0.0.1", "not_an_address"),
    (HOST, "10.1", "not_an_address"),
    (HOST, "256.1.1.1", "not_an_address"),
    (HOST, "fe80::1%eth0", "not_an_address"),
    (HOST, " ::1", "not_an_address"),
    (HOST, "1:2:3:4:5:6:7:8:9", "not_an_address"),
    (HOST, "::1\x00", "not_an_address"),
    (HOST, "", "not_an_address"),
    (HOST, 1, "not_an_address"),
    (SLUG, "äß🧠é ", "too_long"),
    (SLUG, 12345, "too_long"),
    (SHORT_KEY, "abcd ", "too_long"),
    (kinds.Reference("p", SHORT_KEY), "abcd ", "too_long"),
    (SLUG, "a\x00bcde", "nul_in_text"),
]  # fmt: skip

# kind, what somebody wrote into PostgreSQL -> what goes into the file, why that is not all of it
BEYOND: list[tuple[kinds.Kind, str, Any, str]] = [
    (SPAN, "1 mon 2 days", 32 * 86_400_000_000, "months"),
    (SPAN, "-1 year -1 hours", -(365 * 24 + 1) * 3_600_000_000, "months"),
    (SPAN, "300000000 days", "25920000000000000000", "not_a_number"),
    (SPAN, "30 hours", 108_000_000_000, ""),
    (MONEY, "NaN", None, "not_a_number"),
    (WIDE, "12345678901234567.8901", 12345678901234567.8901, "beyond_places"),
    (WIDE, "9223372036854775808", 2.0**63, "beyond_places"),
    (HOST, "10.0.0.0/8", "10.0.0.0/8", "not_an_address"),
    (TIME, "24:00:00", "24:00:00", "beyond_the_calendar"),
    (DAY, "10000-01-01", "10000-01-01", "beyond_the_calendar"),
    (DAY, "0044-03-15 BC", "0044-03-15 BC", "beyond_the_calendar"),
    (DAY, "-infinity", "-infinity", "beyond_the_calendar"),
    (UTC, "infinity", "infinity", "beyond_the_calendar"),
    (UTC, "10000-01-01 00:00:00+00", "10000-01-01 00:00:00+00", "beyond_the_calendar"),
    (BERLIN, "9999-12-31 23:30:00+00", "9999-12-31 23:30:00.000000+00", ""),
    (BERLIN, "2025-07-01 10:00:00+00", "2025-07-01 12:00:00", ""),
]  # fmt: skip

AROUND = (RowContext(epoch_unit="seconds"), Surroundings(LocalClock(), None, "seconds"))
NOTHING = (RowContext(), Surroundings(LocalClock()))
TYPES = {
    BOOL: "boolean", DAY: "date", TIME: "time", SPAN: "interval", UUID: "uuid", BYTES: "bytea",
    HOST: "inet", SLUG: "varchar(4)", UTC: "timestamptz", BERLIN: "timestamptz",
    NAIVE: "timestamptz",
}  # fmt: skip


STRANGE = [
    "",
    " ",
    "0",
    "1e5",
    "-",
    "now",
    "infinity",
    "é",
    "\x00",
    "x" * 40,
    7,
    -1,
    2**62,
    1e-7,
    b"\x01",
]


def stored(value: Raw | str) -> tuple[str, Raw]:
    """Storage class and value, text as bytes."""
    if isinstance(value, str):
        return "text", value.encode()
    classes = {type(None): "null", int: "integer", float: "real", bytes: "blob"}
    return classes[type(value)], value


def in_target(kind: kinds.Kind, cell: str | None, *forms: str) -> tuple[Any, ...]:
    """What PostgreSQL holds for a loader's cell, in the given forms of SQL."""
    type_ = TYPES.get(kind) or f"numeric({kind.digits}, {kind.places})"  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TimeZone = 'UTC'")
        cursor.execute(f"SELECT {', '.join(forms)} FROM (SELECT %s::{type_} AS v) AS t", [cell])
        row = cursor.fetchone()
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)


def check_both(kind: kinds.Kind, value: Raw | str, shown: str | None, reason: str) -> None:
    """Loader, PostgreSQL and judge, then both ways back."""
    loader, judge, (storage, raw) = loader_of(kind), judge_of(kind), stored(value)
    context, around = AROUND if reason == "epoch" else NOTHING
    cell = convert(kind, False, storage, raw, context)
    assert (cell.reason, cell.repaired) == (reason, bool(reason) and reason != "clock_guess")
    text, found, read = in_target(
        kind, cell.text, "v::text", judge.compared("v"), loader.read_target("v")
    )
    if kind is BOOL and text:
        text = text[0]
    assert text == shown
    expected = expect(kind, False, storage, raw, around)
    assert expected.kept == reason
    assert judge.is_same(None if found is None else judge.read(found), expected.value)
    if found is None or reason:
        return
    rebuilt = judge.rebuilt(found, LocalClock())
    assert rebuilt == (storage, raw)
    back = loader.spell_back(read, context.clock, required=False, explicit=False)
    assert (stored(back.value), back.lost) == (rebuilt, "")


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "value", "shown", "reason"), ACCEPTED)
def test_accepted(kind: kinds.Kind, value: Raw | str, shown: str | None, reason: str) -> None:
    check_both(kind, value, shown, reason)


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_refused(kind: kinds.Kind, value: Raw | str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        convert(kind, False, *stored(value), RowContext())
    assert refused.value.reason == reason
    with pytest.raises(MustBeSetAside) as aside:
        expect(kind, False, *stored(value), NOTHING[1])
    assert aside.value.reason == reason


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "written", "spelled", "lost"), BEYOND)
def test_the_way_back(kind: kinds.Kind, written: str, spelled: Any, lost: str) -> None:
    """What the file cannot say is told, and the judge takes it for no value of the file."""
    loader, judge = loader_of(kind), judge_of(kind)
    text, read, found = in_target(
        kind, written, "v::text", loader.read_target("v"), judge.compared("v")
    )
    back = loader.spell_back(read, RowContext().clock, required=False, explicit=False)
    assert (back.value, back.lost) == (spelled, lost)
    if lost not in ("", "months", "not_a_number"):
        assert str(read).startswith(text[:19]), "the text that is kept"
    assert judge.show(judge.read(found))
    again = loaded(kind, back.value)[1]
    if not lost:
        assert target(kind, str(again), judge.compared("v")) == found
    elif again is not None:
        assert not judge.is_same(judge.read(found), judged(kind, back.value)[1])


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [DAY, TIME, UTC, SPAN, BYTES, HOST, MONEY])
def test_the_session_prints_otherwise(kind: kinds.Kind) -> None:
    """Neither what is loaded nor what goes back depends on how the server prints values."""
    loader, judge = loader_of(kind), judge_of(kind)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL DateStyle = 'German'")
        cursor.execute("SET LOCAL IntervalStyle = 'sql_standard'")
        cursor.execute("SET LOCAL bytea_output = 'escape'")
    for _, value, _, _ in (case for case in ACCEPTED if case[0] is kind and not case[3]):
        forms = (judge.compared("v"), loader.read_target("v"))
        found, read = in_target(kind, loaded(kind, value)[1], *forms)
        assert judge.is_same(judge.read(found), judged(kind, value)[1]), value
        back = loader.spell_back(read, RowContext().clock, required=False, explicit=False)
        assert (stored(back.value), back.lost) == (stored(value), "")


def test_a_second_hour_is_written_with_its_offset() -> None:
    """In the hour that comes twice the wall time alone means the other one."""
    for kind, instant, spelled in (
        (BERLIN, "2025-10-26 01:30:00.000000", "2025-10-26 02:30:00+01:00"),
        (NAIVE, "2025-10-26 00:30:00.000000", "2025-10-26 02:30:00+02:00"),
    ):
        clock, loader = RowContext().clock, loader_of(kind)
        wall, exact = (
            loader.spell_back(instant, clock, required=True, explicit=explicit).value
            for explicit in (False, True)
        )
        assert (wall, exact) == ("2025-10-26 02:30:00", spelled)
        assert loaded(kind, cast("str", exact))[1] == f"{instant[:19]}+00"
        assert loaded(kind, cast("str", wall))[1] != f"{instant[:19]}+00"


def variants(kind: kinds.Kind, rng: random.Random) -> list[Raw | str]:
    """Values of the tables above and others near them."""
    known = [case[1] for case in (*ACCEPTED, *REFUSED) if case[0] is kind]
    found: list[Raw | str] = [value for value in (*known, *STRANGE) if value is not None]
    for _ in range(120):
        value = rng.choice(found)
        if isinstance(value, str) and value:
            at, some = rng.randrange(len(value)), rng.choice("0123456789abcdefA.:- Z+T{}eE\x00é")
            value = value[:at] + rng.choice(("", some, value[at] + some)) + value[at + 1 :]
        elif isinstance(value, float) and rng.random() < 0.7:
            value = round(rng.uniform(-1, 1) * 10 ** rng.randrange(-4, 20), rng.randrange(6))
        elif isinstance(value, int):
            value = rng.choice((value + rng.randrange(-3, 4), rng.randrange(-(2**63), 2**63)))
            value = max(min(value, 2**63 - 1), -(2**63))
        if not (isinstance(value, float) and value != value):
            found.append(value)
    return found


def judged(kind: kinds.Kind, value: Raw | str) -> tuple[str, Any]:
    """(why the row must be set aside, None), or (why the original is kept, expected value)."""
    try:
        expected = expect(kind, True, *stored(value), NOTHING[1])
    except MustBeSetAside as aside:
        return f"aside: {aside.reason}", None
    return expected.kept, expected.value


def loaded(kind: kinds.Kind, value: Raw | str) -> tuple[str, str | None]:
    """The same of the loader: its cell."""
    try:
        cell = convert(kind, True, *stored(value), NOTHING[0])
    except Refused as refused:
        return f"aside: {refused.reason}", None
    return cell.reason, cell.text


def target(kind: kinds.Kind, cell: str, form: str) -> Any:
    """What PostgreSQL holds for a cell; the text "refused" for what it refuses."""
    try:
        with transaction.atomic():
            return in_target(kind, cell, form)[0]
    except DatabaseError:
        return "refused"


# No column here depends on other columns.
NONE: Any = None


class Roads:
    """One column of a file, read by the loader's and the judge's SQL.

    `values` are what SQLite stores of the values given; each has a place in `by_sql`, once for
    either library: the cell of a common value, and whether `strict_test` holds; and in `lines`.
    """

    def __init__(self, kind: kinds.Kind, declared: str, given: list[Raw | str]) -> None:
        column, table = MappedColumn("v", "v", kind, required=True), Table(NONE, LocalClock(), {})
        loader, judge = loader_of(kind), judge_of(kind)
        plain = f"coalesce({judge.plain_test(column, table)}, 0)"
        piece = f"CAST(concat({judge.legacy_piece(column, table)}) AS BLOB)"
        self.by_sql: list[list[tuple[Any, ...]]] = []
        libraries: list[Any] = [sqlite3.connect(":memory:"), apsw.Connection(":memory:")]
        for db in libraries:
            is_live = isinstance(db, sqlite3.Connection)
            source: RowSource = RowSource(db) if is_live else object.__new__(SnapshotRows)
            loaded_from = LoadedTable(NONE, Clock(), {}, source)
            common = f"coalesce({loader.common_test(column, loaded_from)}, 0)"
            cells = (f"coalesce({part}, '')" for part in loader.cell(column, loaded_from))
            handed = f"CASE WHEN {common} THEN '' || {' || '.join(cells)} END"
            with closing(db):
                db.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")
                for value in given:
                    db.execute("INSERT INTO t (v) VALUES (?)", (value,))
                strict = loader.strict_test('"v"') or "1"
                self.by_sql.append(list(db.execute(f"SELECT {handed}, {strict} FROM t")))
                self.values = [row[0] for row in db.execute("SELECT v FROM t")]
                if not is_live:
                    lines = db.execute(f"SELECT CASE WHEN {plain} THEN {piece} END FROM t")
                    self.lines = [row[0] for row in lines]


# As Django declares the columns: a value of numeric affinity is compared otherwise.
DECLARED = {
    BOOL: "bool", DAY: "date", TIME: "time", SPAN: "bigint", BYTES: "BLOB",
    UUID: "char(32) COLLATE NOCASE", HOST: "char(39)", SLUG: "varchar(4) COLLATE NOCASE",
    UTC: "datetime", BERLIN: "datetime", NAIVE: "datetime",
}  # fmt: skip
KINDS = [*TYPES, MONEY, WHOLE, WIDE, SMALL, ROUNDED]


@pytest.mark.django_db
@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.meaning)
def test_every_road_gives_the_same(kind: kinds.Kind, is_declared: bool) -> None:
    """Cell by cell, by SQL, and by the judge's two ways: of values near those that are known."""
    judge, declared = judge_of(kind), DECLARED.get(kind, "decimal") if is_declared else ""
    given = dict.fromkeys((type(v), v) for v in variants(kind, random.Random(kind.meaning)))
    roads = Roads(kind, declared, [value for _, value in given])
    for number, value in enumerate(roads.values):
        reason, text = loaded(kind, value)
        wanted, expected = judged(kind, value)
        assert reason == wanted, value
        if text is not None:
            found = target(kind, text, judge.compared("v"))
            assert judge.is_same(judge.read(found), expected), value
        for rows in roads.by_sql:
            handed, exists = rows[number]
            if handed is None or "\x00" in handed:
                continue
            # In CSV an empty cell without quotes is NULL, and a comma or a line break ends a cell.
            assert handed.startswith(QUOTE) or (handed and not set(handed) & set(',\n"\r')), value
            handed = handed.strip(QUOTE)
            if not exists:
                assert target(kind, handed, "v::text") == "refused", value
                continue
            assert reason == "", value
            found = target(kind, handed, judge.compared("v"))
            assert judge.is_same(judge.read(found), expected), value
        line = roads.lines[number]
        if line is not None and text is not None:
            shown = target(kind, text, judge.target_piece("v"))
            # A line that is not the target's has its row judged cell by cell.
            assert reason == "" or bytes(line) != shown.encode(), value


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ROUNDED])
def test_what_django_writes_goes_by_sql(kind: kinds.Kind) -> None:
    """Both libraries hand it over, and the judge has a line for it that is the target's."""
    judge, known = judge_of(kind), [c for c in ACCEPTED if c[0] is kind and not c[3]]
    rare = {"::ffff:1.2.3.4", "::102:304", "1893-03-31 12:00:00", "2025-10-26 02:30:00"}
    given = [case[1] for case in known if case[1] is not None and case[1] not in rare]
    roads = Roads(kind, DECLARED.get(kind, "decimal"), given)
    for number, value in enumerate(roads.values):
        if kind is SPAN and abs(cast("int", value)) > 9 * 10**18:
            continue
        assert all(rows[number][0] is not None for rows in roads.by_sql), value
        shown = target(kind, loaded(kind, value)[1] or "", judge.target_piece("v"))
        assert bytes(roads.lines[number]) == shown.encode(), value
