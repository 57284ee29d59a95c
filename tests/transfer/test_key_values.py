"""Keys of one and of two columns: order, equality, spelling, and the SQL that compares them."""

from __future__ import annotations

import sqlite3
from itertools import combinations, pairwise

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from stillme.transfer import kinds
from stillme.transfer.key_columns import KeyColumns, MappedColumn
from stillme.transfer.keys import Key, spelled_keys

WHOLE = KeyColumns((MappedColumn("id", "id", kinds.Key(), required=True),))
TEXT = KeyColumns((MappedColumn("item", "item", kinds.TextKey(), required=True),))
BOTH = KeyColumns(
    (
        MappedColumn("day", "on_day", kinds.Key(), required=True),
        MappedColumn("na me", "na me", kinds.TextKey(), required=True),
    )
)
NOT_UTF_8 = Key((("text", b"\xff"),))
# As SQLite sorts them.
SORTED = [
    Key.of(None), Key.of(-(2**63)), Key.of(-1.5), Key.of(0), Key.of(1), Key.of(1.0), Key.of(1.5),
    Key.of(2**63 - 1), Key.of(""), Key.of("1"), Key.of("a"), Key.of("a\0b"), Key.of("é"),
    Key.of("\U0001f600"), NOT_UTF_8, Key.of(b""), Key.of(b"1"),
]  # fmt: skip
SCALARS = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
PAIRS = st.tuples(
    st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_characters="\0", codec="utf-8"))
)


def test_every_storage_class_is_a_key_of_its_own() -> None:
    assert len(set(SORTED)) == len(SORTED)
    assert Key.of(1) != Key.of("1") != Key.of(b"1") != Key.of(1.0) != Key.of(1)


def test_keys_sort_as_sqlite_sorts_them() -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (id, place INTEGER)")
    for place, key in reversed(list(enumerate(SORTED))):
        ((mark, value),) = key.bindings
        db.execute(f"INSERT INTO t VALUES ({mark}, ?)", (value, place))
    columns = KeyColumns((MappedColumn("id", "id", kinds.Key(), required=True),))
    rows = db.execute(f"SELECT {columns.legacy_parts()} FROM t ORDER BY id, typeof(id)").fetchall()
    assert [Key.of_flat(row) for row in rows] == SORTED == sorted(SORTED)


@pytest.mark.parametrize(
    ("columns", "key", "text"),
    [
        (WHOLE, Key.of(7), "7"),
        (WHOLE, Key.of(-(2**63)), "-9223372036854775808"),
        (TEXT, Key.of("7"), "7"),
        (TEXT, Key.of("[1, 2]"), "[1, 2]"),
        (BOTH, Key.of(7, 'a"\n\x7fé'), '[7, "a\\"\\n\x7fé"]'),
    ],
)
def test_what_the_target_can_hold_is_read_back(columns: KeyColumns, key: Key, text: str) -> None:
    assert key.spelled() == text
    assert columns.parse(text) == key == columns.in_target(key)


@pytest.mark.parametrize("text", ["007", "x", "1.0", "", "²", "9223372036854775808", None])
def test_what_no_integer_is_spelled_as_is_no_integer_key(text: str | None) -> None:
    assert WHOLE.parse(text) is None


@pytest.mark.parametrize("text", ["7", "[7]", '["7", "a"]', '[7, "a", 1]', "[7, 8]", "[true, 1]",
    '[7, {"blob": "ff"}]', '[7, {"blob": "x"}]', '[7, {"a": 1, "b": 2}]', "[7, [1]]"])  # fmt: skip
def test_what_no_key_of_two_columns_is_spelled_as(text: str) -> None:
    assert BOTH.parse(text) is None


def test_a_null_has_no_spelling() -> None:
    assert Key.of(None).spelled() is None
    assert spelled_keys([Key.of(1), Key.of(None), Key.of("a")]) == ["1", "a"]
    assert Key.of(1, None).is_null
    assert not Key.of(1, "").is_null


@given(st.tuples(SCALARS, SCALARS))
def test_two_keys_of_two_columns_are_never_spelled_alike(values) -> None:
    from stillme.transfer.keys import listed_key

    key = Key.of(*values)
    assert listed_key(str(key.spelled())) == key


def test_what_a_text_column_makes_of_other_classes() -> None:
    held = {Key.of(5): "5", Key.of(1e16): "1e+16", Key.of("é"): "é"}
    assert {key: TEXT.in_target(key) for key in held} == {k: Key.of(v) for k, v in held.items()}
    assert [
        TEXT.in_target(key) for key in (Key.of(None), Key.of(b"a"), Key.of("a\0"), NOT_UTF_8)
    ] == [None] * 4
    assert [WHOLE.in_target(key) for key in (Key.of("5"), Key.of(5.0), Key.of(None))] == [None] * 3


def test_nothing_in_a_shown_key_moves_the_terminal() -> None:
    assert Key.of("a\x1b[2Jb\n").shown() == "a\\x1b[2Jb\\n"
    assert Key.of(None).shown() == "NULL"


def test_bounds_come_back_from_the_ledger() -> None:
    for key in (Key.of(7), Key.of("7"), Key.of(7, "a")):
        assert Key.of_json(key.as_json()) == key
    assert Key.of_json(None) is None


@pytest.fixture
def both_sides(transactional_db):
    rows = [(d, n) for d in (-1, 0, 7) for n in ("", "A", "a", "b", "é", "\U0001f600")]
    legacy = sqlite3.connect(":memory:")
    legacy.execute('CREATE TABLE t (day, "na me")')
    legacy.executemany("INSERT INTO t VALUES (?, ?)", [*rows, (None, "a"), (0, None)])
    with connection.cursor() as cursor:
        cursor.execute('CREATE TEMPORARY TABLE key_pairs (on_day bigint, "na me" text)')
        cursor.executemany("INSERT INTO key_pairs VALUES (%s, %s)", rows)
        yield legacy, cursor
        cursor.execute("DROP TABLE key_pairs")


def test_ranges_of_two_columns_hold_the_same_rows_on_both_sides(both_sides) -> None:
    legacy, cursor = both_sides
    cursor.execute(f"SELECT {BOTH.target()} FROM key_pairs ORDER BY {BOTH.target_order()}")
    keys = [Key.of(*row) for row in cursor.fetchall()]
    assert keys == sorted(keys)
    bounds = [None, *keys[::4], None]
    seen = 0
    for after, upto in pairwise(bounds):
        where, values = BOTH.legacy_within(after, upto, "t")
        found = legacy.execute(
            f"SELECT {BOTH.legacy_parts()} FROM t WHERE {where} ORDER BY {BOTH.legacy()}", values
        )
        in_file = [Key.of_flat(row) for row in found]
        where, values = BOTH.target_within(after, upto, "k")
        cursor.execute(
            f"SELECT {BOTH.target_text('k')} FROM key_pairs AS k WHERE {where} "
            f"ORDER BY {BOTH.target_order('k')}",
            values,
        )
        in_target = [row[0] for row in cursor.fetchall()]
        assert [key.spelled() for key in in_file if not key.is_null] == in_target
        assert BOTH.parsed(in_target) == [key for key in in_file if not key.is_null]
        seen += len(in_file)
    assert seen == len(keys) + 2


def test_rows_are_found_by_keys_of_two_columns(both_sides) -> None:
    legacy, cursor = both_sides
    wanted = [Key.of(7, "a"), Key.of(0, "é"), Key.of(9, "a")]
    where, values = BOTH.target_among(wanted, "k")
    cursor.execute(f"SELECT {BOTH.target('k')} FROM key_pairs AS k WHERE {where}", values)
    assert {Key.of(*row) for row in cursor.fetchall()} == set(wanted[:2])
    for key, count in (
        (wanted[0], 1),
        (wanted[2], 0),
        (Key.of(None, "a"), 1),
        (Key.of(0, None), 1),
    ):
        where, values = BOTH.legacy_is(key)
        assert legacy.execute(f"SELECT count(*) FROM t WHERE {where}", values).fetchone() == (
            count,
        )
    assert legacy.execute(f"SELECT count(*) FROM t WHERE {BOTH.legacy_null()}").fetchone() == (2,)
    same = BOTH.legacy_same("a", "b")
    assert legacy.execute(f"SELECT count(*) FROM t a JOIN t b ON {same}").fetchone() == (18,)


@given(PAIRS)
@pytest.mark.django_db
def test_postgresql_spells_a_key_of_two_columns_as_python_does(pair) -> None:
    text = BOTH.target_text("k")
    with connection.cursor() as cursor:
        query = f'SELECT {text} FROM (SELECT %s::bigint AS on_day, %s::text AS "na me") AS k'
        cursor.execute(query, pair)
        assert cursor.fetchone()[0] == Key.of(*pair).spelled()


def test_any_two_different_keys_are_in_order() -> None:
    for one, other in combinations(SORTED, 2):
        assert one < other
        assert not other < one
