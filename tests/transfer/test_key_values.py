"""Keys of one and of two columns: order, equality, spelling, and the SQL that compares them."""

from __future__ import annotations

import sqlite3
from itertools import combinations, pairwise

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from stillme.transfer import kinds
from stillme.transfer.key_columns import KeyColumns
from stillme.transfer.keys import Key, bound_from_json, bound_to_json, spelled_keys
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import stored_part
from stillme.transfer.sqlite.reading.connect import EXACT_DOUBLE, exact_double
from stillme.transfer.sqlite.reading.key_ranges import key_ranges
from stillme.transfer.sqlite.reading.stored_rows import RawReader
from stillme.transfer.sqlite.schema.found import read_schema
from stillme.transfer.verify.kinds.base import Table
from stillme.transfer.verify.kinds.local_clock import LocalClock
from stillme.transfer.verify.sides.canonical_lines import lines_for
from stillme.transfer.verify.sides.legacy_blocks import LegacySide

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


def test_capture_logs_each_key_of_two_columns_without_loss() -> None:
    db = sqlite3.connect(":memory:")
    db.execute('CREATE TABLE t (day, "na me")')
    db.execute("CREATE TABLE log (key)")
    logged = f"INSERT INTO log VALUES ({BOTH.legacy_logged('NEW')})"
    db.execute(f"CREATE TRIGGER capture AFTER INSERT ON t BEGIN {logged}; END")

    @given(st.sampled_from(SORTED) | SCALARS.map(Key.of), SCALARS)
    def logs(first: Key, second: object) -> None:
        key = Key((*first.parts, *Key.of(second).parts))
        marks, values = zip(*key.bindings, strict=True)
        db.execute("DELETE FROM log")
        db.execute(f"INSERT INTO t VALUES ({', '.join(marks)})", values)
        [cells] = db.execute(f"SELECT {stored_part('key')} FROM log")
        assert BOTH.of_log(Key((cells,))) == key

    logs()


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
        assert bound_from_json(bound_to_json(key)) == key
    assert bound_from_json(bound_to_json(None)) is None


@pytest.fixture
def both_sides(db):
    rows = [(d, n) for d in (-1, 0, 7) for n in ("", "A", "a", "b", "é", "\U0001f600")]
    legacy = sqlite3.connect(":memory:")
    legacy.execute('CREATE TABLE t (day, "na me")')
    legacy.executemany("INSERT INTO t VALUES (?, ?)", [*rows, (None, "a"), (0, None)])
    with connection.cursor() as cursor:
        cursor.execute('CREATE TEMPORARY TABLE key_pairs (on_day bigint, "na me" text)')
        cursor.executemany("INSERT INTO key_pairs VALUES (%s, %s)", rows)
        yield legacy, cursor
        cursor.execute("DROP TABLE key_pairs")
    legacy.close()


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


def test_postgresql_spells_a_key_of_two_columns_as_python_does(db) -> None:
    names = ["", *map(chr, range(1, 0x180)), "\u2028", "\ufffd", "\U0001f600", 'a\\u0041"/']
    query = f'SELECT {BOTH.target_text("k")} FROM (SELECT -7 AS on_day, n AS "na me" '
    with connection.cursor() as cursor:
        cursor.execute(
            f"{query} FROM unnest(%s::text[]) WITH ORDINALITY AS u(n, o) ORDER BY o) AS k", [names]
        )
        spelled = [row[0] for row in cursor.fetchall()]
    assert spelled == [Key.of(-7, name).spelled() for name in names]


def test_any_two_different_keys_are_in_order() -> None:
    for one, other in combinations(SORTED, 2):
        assert one < other
        assert not other < one


def test_every_stored_key_that_is_spelled_so_is_found() -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (item)")
    db.execute("CREATE TABLE typed (item TEXT COLLATE NOCASE)")
    stored = [Key.of(7), Key.of("7"), Key.of(b"7"), Key.of(1e16), Key.of("1.0e+16"), Key.of("Ab")]
    for key in stored:
        ((mark, value),) = key.bindings
        db.execute(f"INSERT INTO t VALUES ({mark})", (value,))
        db.execute(f"INSERT INTO typed VALUES ({mark})", (value,))

    def found(table: str, text: str) -> list[Key]:
        rows = []
        for where, values in map(TEXT.legacy_exactly, TEXT.readings(text)):
            query = f"SELECT {TEXT.legacy_parts()} FROM {table} WHERE {where}"
            rows += map(Key.of_flat, db.execute(query, values))
        return rows

    assert found("t", "7") == stored[:3]
    assert found("t", "1e+16") == [stored[3]]
    assert found("t", "Ab") == found("typed", "Ab") == [stored[5]]
    assert found("t", "ab") == found("typed", "ab") == found("t", "x") == []


def test_rows_of_many_keys_are_found_at_once(both_sides) -> None:
    legacy, _ = both_sides
    wanted = [Key.of(7, "a"), Key.of(0, "é"), Key.of(9, "a")]
    where, values = BOTH.legacy_among(wanted, "t")
    query = f"SELECT {BOTH.legacy_parts()} FROM t WHERE {where}"
    assert {Key.of_flat(row) for row in legacy.execute(query, values)} == set(wanted[:2])
    assert legacy.execute(f"SELECT 1 FROM t WHERE {BOTH.legacy_among([])[0]}").fetchall() == []


def _table(declared: str) -> tuple[sqlite3.Connection, TableMapping]:
    """A table with these keys, each stored as it is given, and its mapping."""
    db = sqlite3.connect(":memory:")
    db.create_function(EXACT_DOUBLE, 1, exact_double, deterministic=True)
    db.execute(f"CREATE TABLE t ({declared})")
    (table,) = read_schema(db).tables.values()
    columns = (*BOTH.columns, MappedColumn("note", "note", kinds.Text(), required=False))
    mapping = TableMapping(
        file="test", table="t", declared_table="t", schema="test", target_table="t",
        key_columns=BOTH, columns=columns, extra=(), derived=(), nulls=(), impossible=(),
        clock=None, key_is_unique=table.is_unique(*BOTH.names), key_is_in_order=True,
        key_is_rowid=False, has_rowid=table.has_rowid,
    )  # fmt: skip
    return db, mapping


def test_chunks_of_a_table_with_two_key_columns() -> None:
    db, mapping = _table('day INTEGER, "na me" TEXT, note TEXT, PRIMARY KEY ("na me", day)')
    rows = [(day, name) for day in range(3) for name in "abcde"]
    db.executemany('INSERT INTO t (day, "na me") VALUES (?, ?)', rows)
    assert mapping.key_is_unique
    ranges = key_ranges(db, mapping, 4)
    keys = [Key.of(*row) for row in rows]
    assert [r.upto for r in ranges] == [*keys[3:-1:4], None]
    reader = RawReader(db, mapping, {})
    found = [BOTH.of_cells(row.cells) for r in ranges for row in reader.where(*r.where(mapping))]
    assert found == keys
    assert [BOTH.of_cells(row.cells) for row in reader.keys([keys[7], Key.of(9, "a")])] == [keys[7]]


def test_a_row_that_repeats_a_key_of_two_columns() -> None:
    """The text column has no type: 5 and '5' become one text in the target."""
    db, mapping = _table('day, "na me", note')
    stored = [(1, "5"), (1, 5), (2, 5), (2, "5"), (1, "a"), (2, "a"), (1, "a"), (1, b"5")]
    db.executemany('INSERT INTO t (day, "na me") VALUES (?, ?)', stored)
    found = RawReader(db, mapping, {}).where("1")
    assert sorted(row.rowid or 0 for row in found if row.repeated) == [2, 4, 7]
    lines = lines_for(Table(mapping, LocalClock(), {}))
    judged = LegacySide(db, None, mapping, lines, {}).rows("1")
    assert sorted(row.rowid or 0 for row in judged if row.is_repeat) == [2, 4, 7]
