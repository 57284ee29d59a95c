"""Every shape of key that Django makes, through import, proof, following, cut-over and rollback."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from stillme.transfer import registry
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.install_capture import install_capture
from tests.transfer.keyed import SHAPES, legacy_models_of, tables_of
from tests.transfer.load.support import change, query, run_import
from tests.transfer.sync.switching import cut_over, roll_back
from tests.transfer.verify.support import judge, undone

OURS = Selection(files=("accuracy",))
U1, U2, U3, U4 = (f"{n}f1c3a2bd6d94c0fb8b8a0a4c3a6f{n}e1" for n in "9a0b")
ROWS = {
    "k_account": [("ann", "Ann"), ("bob", "Bob"), ("Ann", "another"), ("ö'\"\\", "odd")],
    "k_profile": [("ann", "p"), ("ö'\"\\", "q")],
    "k_avatar": [("ann", "a")],
    "k_token": [("t1", "ann", "x"), ("t2", None, "y"), ("7", "ö'\"\\", "z")],
    "k_place": [(1, "one"), (2, "two"), (9, "nine")],
    "k_restaurant": [(2, "r2"), (9, "r9")],
    "k_seat": [(1, 2, "ann", ""), (2, 9, "bob", ""), (5, 9, "Ann", "")],
    "k_device": [(U1, "one"), (U2, "two"), (U3, "three")],
    "k_plate": [(U1, "p"), (U3, "q")],
    "k_reading": [(1, U1, ""), (2, None, ""), (3, U3, "")],
    "k_folder": [("/a/b", "/a", "b"), ("/a", "/", "a"), ("/", None, "root")],
}  # fmt: skip


@pytest.fixture
def folder(
    transactional_db: None,
    tmp_path: Path,
    use_legacy_files: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A file with all of them."""
    use_legacy_files(tmp_path)
    monkeypatch.setattr(registry, "legacy_apps", legacy_models_of(SHAPES))
    path = tmp_path / "accuracy_scores.db"
    with tables_of(SHAPES, path):
        with closing(sqlite3.connect(path)) as db:
            for table, rows in ROWS.items():
                marks = ", ".join("?" * len(rows[0]))
                db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            db.commit()
        yield tmp_path


def target() -> dict[str, list[tuple[Any, ...]]]:
    return {t: _sorted(query(f"SELECT * FROM {t}")) for t in ROWS}


def stored(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(folder / "accuracy_scores.db")) as db:
        return {t: _sorted(db.execute(f"SELECT * FROM {t}").fetchall()) for t in ROWS}


def _sorted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    plain = [tuple(v.hex if isinstance(v, UUID) else v for v in row) for row in rows]
    return sorted(plain, key=str)


def aside() -> dict[tuple[str, str | None], str]:
    rows = QuarantinedRow.objects.exclude(status=QuarantinedRow.Status.REPAIRED)
    return {(row.table, row.key): row.reason for row in rows}


def check_equal() -> None:
    proof = judge(selection=OURS, round_trip=True)
    assert not proof.findings.total, [f.sentence() for f in proof.findings.kept]


@pytest.mark.long
def test_the_whole_journey(folder: Path) -> None:
    install_capture("default", OURS)
    run_import(selection=OURS)
    assert target() == stored(folder)
    assert not aside()
    check_equal()

    change(
        folder,
        "accuracy",
        "INSERT INTO k_account VALUES ('new', 'New')",
        "INSERT INTO k_profile VALUES ('new', 'p')",
        "INSERT INTO k_avatar VALUES ('new', 'p')",
        "UPDATE k_token SET account_id = 'new' WHERE key = 't2'",
        "UPDATE k_token SET key = 't9' WHERE key = 't1'",
        "DELETE FROM k_restaurant WHERE place_ptr_id = 2",
        "DELETE FROM k_seat WHERE id = 1",
        "INSERT INTO k_seat VALUES (6, 9, 'new', '')",
        "UPDATE k_folder SET within_id = '/a' WHERE path = '/'",
        "INSERT INTO k_folder VALUES ('/c', '/a/b', 'c')",
        f"INSERT INTO k_device VALUES ('{U4}', 'four')",
        f"UPDATE k_reading SET device_id = '{U4}' WHERE id = 2",
        f"DELETE FROM k_plate WHERE device_id = '{U3}'",
        f"UPDATE k_device SET name = 'other' WHERE id = '{U2}'",
    )
    follow(FollowOptions(OURS, once=True))
    assert target() == stored(folder)
    check_equal()

    cut_over()
    for sql in (
        "INSERT INTO k_account VALUES ('late', 'Late')",
        "INSERT INTO k_profile VALUES ('late', 'p')",
        "UPDATE k_profile SET name = 'changed' WHERE account_id = 'ann'",
        "DELETE FROM k_token WHERE key = 't9'",
        "INSERT INTO k_token VALUES ('t10', 'late', '')",
        "INSERT INTO k_place (name) VALUES ('ten')",
        "INSERT INTO k_restaurant VALUES (10, 'r10')",
        "INSERT INTO k_seat (restaurant_id, account_id, name) VALUES (10, 'late', '')",
        "UPDATE k_folder SET path = '/d' WHERE path = '/c'",
        f"DELETE FROM k_device WHERE id = '{U2}'",
        "INSERT INTO k_device VALUES ('00000000-0000-4000-8000-00000000000A', 'new')",
        "INSERT INTO k_plate VALUES ('0000000000004000800000000000000a', 'new')",
        "INSERT INTO k_reading (device_id, name) VALUES ('0000000000004000800000000000000a', '')",
    ):
        query(sql)
    roll_back()
    assert target() == stored(folder)
    assert (10, "ten") in stored(folder)["k_place"]
    assert (7, 10, "late", "") in stored(folder)["k_seat"]
    check_equal()


# What the file is made to hold, and which rows must be set aside for what.
HOSTILE: dict[str, tuple[list[str], dict[tuple[str, str | None], str]]] = {
    "no account of that code": (
        ["INSERT INTO k_token VALUES ('h1', 'nobody', '')"],
        {("k_token", "h1"): "missing_parent"},
    ),
    "a code in other letters": (
        ["INSERT INTO k_token VALUES ('h2', 'BOB', '')"],
        {("k_token", "h2"): "missing_parent"},
    ),
    "a blob for a code": (
        ["INSERT INTO k_token VALUES ('h3', x'626f62', '')"],
        {("k_token", "h3"): "bad_key"},
    ),
    "a code that is not UTF-8": (
        ["INSERT INTO k_token VALUES ('h4', CAST(x'ff' AS TEXT), '')"],
        {("k_token", "h4"): "invalid_utf8"},
    ),
    "a chain of one-to-one keys breaks at its top": (
        ["UPDATE k_account SET name = CAST(x'610062' AS TEXT) WHERE code = 'ann'"],
        {
            ("k_account", "ann"): "nul_in_text",
            ("k_profile", "ann"): "missing_parent",
            ("k_avatar", "ann"): "missing_parent",
            ("k_token", "t1"): "missing_parent",
            ("k_seat", "1"): "missing_parent",
        },
    ),
    "a blob that reads like a code takes no child with it": (
        ["INSERT INTO k_account VALUES (x'626f62', 'blob')"],
        {("k_account", "bob"): "blob"},
    ),
    "a restaurant without its place": (
        ["DELETE FROM k_place WHERE id = 9"],
        {
            ("k_restaurant", "9"): "missing_parent",
            ("k_seat", "2"): "missing_parent",
            ("k_seat", "5"): "missing_parent",
        },
    ),
    "a code that the target's column is too short for": (
        ["INSERT INTO k_account VALUES ('a-code-of-far-more-than-20', '')"],
        {("k_account", "a-code-of-far-more-than-20"): "refused_by_target"},
    ),
    "an id beyond the target's 32 bits": (
        ["INSERT INTO k_place VALUES (3000000000, 'far')"],
        {("k_place", "3000000000"): "refused_by_target"},
    ),
    "a UUID with dashes, in upper case, and none": (
        [
            "INSERT INTO k_device VALUES ('9f1c3a2b-d6d9-4c0f-b8b8-a0a4c3a6f9e1', 'dashes')",
            f"INSERT INTO k_device VALUES ('{U4.upper()}', 'upper')",
            "INSERT INTO k_device VALUES ('none', 'no')",
            f"INSERT INTO k_reading VALUES (11, '{U4.upper()}', '')",
            f"INSERT INTO k_reading VALUES (12, '{U4}', '')",
        ],
        {
            ("k_device", "9f1c3a2b-d6d9-4c0f-b8b8-a0a4c3a6f9e1"): "bad_key",
            ("k_device", U4.upper()): "bad_key",
            ("k_device", "none"): "not_a_uuid",
            ("k_reading", "11"): "bad_key",
            ("k_reading", "12"): "missing_parent",
        },
    ),
    "a bad device takes its plate and readings with it": (
        [f"UPDATE k_device SET name = CAST(x'610062' AS TEXT) WHERE id = '{U3}'"],
        {
            ("k_device", U3): "nul_in_text",
            ("k_plate", U3): "missing_parent",
            ("k_reading", "3"): "missing_parent",
        },
    ),
    "a folder's folder is gone": (
        [
            "INSERT INTO k_folder VALUES ('/x/y/z', '/x/y', '')",
            "INSERT INTO k_folder VALUES ('/x/y', '/x', '')",
        ],
        {("k_folder", "/x/y"): "missing_parent", ("k_folder", "/x/y/z"): "missing_parent"},
    ),
    "a folder in a folder that is set aside": (
        ["UPDATE k_folder SET name = CAST(x'610062' AS TEXT) WHERE path = '/'"],
        {
            ("k_folder", "/"): "nul_in_text",
            ("k_folder", "/a"): "missing_parent",
            ("k_folder", "/a/b"): "missing_parent",
        },
    ),
}
STATEMENTS = [sql for statements, _ in HOSTILE.values() for sql in statements]
EXPECTED = {row: reason for _, rows in HOSTILE.values() for row, reason in rows.items()}


# Each taken back, so that it can be done again.
MENDED = [
    "DELETE FROM k_token WHERE key LIKE 'h%'",
    "UPDATE k_account SET name = 'Ann' WHERE code = 'ann'",
    "DELETE FROM k_account WHERE name = 'blob' OR length(code) > 20",
    "INSERT INTO k_place VALUES (9, 'again')",
    "DELETE FROM k_place WHERE id > 2147483647",
    "DELETE FROM k_folder WHERE path LIKE '/x%'",
    "UPDATE k_folder SET name = '' WHERE path = '/'",
    f"DELETE FROM k_device WHERE id NOT IN ('{U1}', '{U2}', '{U3}')",
    f"UPDATE k_device SET name = '' WHERE id = '{U3}'",
    "DELETE FROM k_reading WHERE id > 10",
]


@pytest.mark.slow
def test_rows_that_cannot_be_loaded_are_set_aside(folder: Path) -> None:
    """By the import, as predicted; they come back when they are mended; by the follower."""
    change(folder, "accuracy", *STATEMENTS)
    run_import(selection=OURS)
    assert aside() == EXPECTED
    predicted = inspect_files(OURS).tables
    assert sum(t.prediction.quarantined for t in predicted) == len(EXPECTED) - len(BY_SERVER)
    check_equal()
    install_capture("default", OURS)
    change(folder, "accuracy", *MENDED)
    follow(FollowOptions(OURS, once=True))
    assert not aside()
    check_equal()
    change(folder, "accuracy", *STATEMENTS)
    follow(FollowOptions(OURS, once=True))
    assert aside() == EXPECTED
    check_equal()


# Only the server knows.
BY_SERVER = [row for row, reason in EXPECTED.items() if reason == "refused_by_target"]


# Those of one list are planted together: each is of a row of its own.
CORRUPTIONS = [[
    ("UPDATE k_profile SET name = 'x' WHERE account_id = 'ann'", ("k_profile", "ann")),
    ("UPDATE k_token SET account_id = 'bob' WHERE key = 't1'", ("k_token", "t1")),
    ("DELETE FROM k_avatar", ("k_avatar", "ann")),
    ("INSERT INTO k_profile VALUES ('bob', '')", ("k_profile", "bob")),
    ("UPDATE k_restaurant SET place_ptr_id = 1 WHERE place_ptr_id = 2", ("k_restaurant", "1")),
    ("UPDATE k_seat SET restaurant_id = 9 WHERE id = 1", ("k_seat", "1")),
    ("UPDATE k_folder SET within_id = '/' WHERE path = '/a/b'", ("k_folder", "/a/b")),
    (f"UPDATE k_reading SET device_id = '{U2}' WHERE id = 1", ("k_reading", "1")),
    (f"DELETE FROM k_plate WHERE device_id = '{U1}'", ("k_plate", U1)),
    (f"UPDATE k_plate SET device_id = '{U2}' WHERE device_id = '{U3}'", ("k_plate", U2)),
    (f"UPDATE k_device SET name = 'x' WHERE id = '{U2}'", ("k_device", U2)),
], [
    ("UPDATE k_token SET account_id = NULL WHERE key = 't1'", ("k_token", "t1")),
], [
    ("UPDATE k_token SET account_id = 'Ann' WHERE key = 't1'", ("k_token", "t1")),
]]  # fmt: skip


def test_planted_corruptions_are_found(folder: Path) -> None:
    run_import(selection=OURS)
    check_equal()
    for together in CORRUPTIONS:
        with undone():
            for sql, _ in together:
                query(sql)
            found = {(f.where.split(":")[0], f.key) for f in judge(selection=OURS).findings.kept}
        missed = [sql for sql, (table, key) in together if (f"public.{table}", key) not in found]
        assert missed == []


SERIAL = [
    "ALTER TABLE k_seat ALTER id DROP IDENTITY",
    "CREATE SEQUENCE k_seat_serial OWNED BY k_seat.id",
    "ALTER TABLE k_seat ALTER id SET DEFAULT nextval('k_seat_serial')",
]


def marks(folder: Path) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "accuracy_scores.db")) as db:
        return dict(db.execute("SELECT name, seq FROM sqlite_sequence WHERE name LIKE 'k%'"))


@pytest.mark.slow
def test_no_id_is_given_twice_on_either_side(folder: Path) -> None:
    """AUTOINCREMENT's mark is above the greatest id: identity column and serial go on there."""
    for sql in SERIAL:
        query(sql)
    change(
        folder,
        "accuracy",
        "DELETE FROM k_place WHERE id = 9",
        "DELETE FROM k_restaurant WHERE place_ptr_id = 9",
        "DELETE FROM k_seat WHERE restaurant_id = 9",
        "UPDATE sqlite_sequence SET seq = 70 WHERE name = 'k_seat'",
    )
    before = marks(folder)
    assert (before["k_place"], before["k_seat"]) == (9, 70)
    install_capture("default", OURS)
    run_import(selection=OURS)
    follow(FollowOptions(OURS, once=True))
    cut_over()
    assert query("INSERT INTO k_place (name) VALUES ('a'), ('b') RETURNING id") == [(10,), (11,)]
    new = "INSERT INTO k_seat (restaurant_id, account_id, name) VALUES (2, 'bob', '') RETURNING id"
    assert query(new) == [(71,)]
    query("DELETE FROM k_place WHERE id = 11")
    query("DELETE FROM k_seat WHERE id = 71")
    roll_back()
    assert marks(folder) == {**before, "k_place": 11, "k_seat": 71}
