"""What a table's constraints refuse is set aside by their names; what they allow gets through."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from stillme.transfer import registry
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.capture import freeze_target, target_tables, unfreeze_target
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from tests.transfer.keyed import Item, legacy_models_of, tables_of
from tests.transfer.load.support import change, query, run_import
from tests.transfer.verify.support import judge

OURS = Selection(files=("accuracy",))
ROWS = [
    (1, "one", 1, 2, "x"),
    (2, "two", 1, 3, "y"),
    (3, "three", 2, 20, "z"),
    (4, "four", 3, 21, "ä"),
]


@pytest.fixture
def folder(
    transactional_db: None,
    tmp_path: Path,
    use_legacy_files: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    use_legacy_files(tmp_path)
    monkeypatch.setattr(registry, "legacy_apps", legacy_models_of([Item]))
    path = tmp_path / "accuracy_scores.db"
    with tables_of([Item], path):
        with closing(sqlite3.connect(path)) as db:
            db.executemany("INSERT INTO k_item VALUES (?, ?, ?, ?, ?)", ROWS)
            db.commit()
        yield tmp_path


def target() -> list[tuple[Any, ...]]:
    return sorted(query("SELECT * FROM k_item"))


def stored(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "accuracy_scores.db")) as db:
        return sorted(db.execute("SELECT * FROM k_item").fetchall())


def aside() -> dict[str | None, tuple[str, str]]:
    rows = QuarantinedRow.objects.exclude(status=QuarantinedRow.Status.REPAIRED)
    return {row.key: (row.reason, row.sentence) for row in rows}


def check_equal() -> None:
    proof = judge(selection=OURS, round_trip=True)
    assert not proof.findings.total, [f.sentence() for f in proof.findings.kept]


# Lawful in the file, one after the other; together in one round they meet halfway.
LAWFUL = {
    "a code is given to another row": [
        "DELETE FROM k_item WHERE id = 2",
        "INSERT INTO k_item VALUES (9, 'two', 1, 3, 'y')",
    ],
    "two rows change places": [
        "UPDATE k_item SET code = '-', name = '-' WHERE id = 1",
        "UPDATE k_item SET code = 'one', name = 'x' WHERE id = 2",
        "UPDATE k_item SET code = 'two', name = 'y' WHERE id = 1",
    ],
    "a REPLACE pushes a row out over an expression, and over a condition": [
        "INSERT OR REPLACE INTO k_item VALUES (9, 'nine', 8, 9, 'X')",
        "INSERT OR REPLACE INTO k_item VALUES (10, 'ten', 8, 20, 't')",
    ],
    "a row goes into quarantine, and another one takes its code": [
        "UPDATE k_item SET code = 'z', name = CAST(x'610062' AS TEXT) WHERE id = 2",
        "INSERT INTO k_item VALUES (9, 'two', 8, 9, 'y')",
    ],
    "a row moves up": [
        "UPDATE k_item SET b = 22 WHERE id = 4",
        "UPDATE k_item SET b = 21 WHERE id = 3",
    ],
}  # fmt: skip


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("case", LAWFUL)
def test_what_is_lawful_in_the_file_is_followed(folder: Path, case: str) -> None:
    install_capture("default", OURS)
    run_import(selection=OURS)
    change(folder, "accuracy", *LAWFUL[case])
    follow(FollowOptions(OURS, once=True))
    bad = {"2": "nul_in_text"} if "quarantine" in case else {}
    assert {key: reason for key, (reason, _) in aside().items()} == bad
    assert target() == [row for row in stored(folder) if str(row[0]) not in bad]
    check_equal()


@pytest.mark.slow
def test_what_is_lawful_in_the_file_is_imported_again(folder: Path) -> None:
    run_import(selection=OURS)
    names = ["a code is given to another row", "a row moves up"]
    change(folder, "accuracy", *(sql for name in names for sql in LAWFUL[name]))
    run_import(selection=OURS, prune=True)
    assert target() == stored(folder)
    check_equal()


# SQL of a file whose constraint was lost -> keys that are set aside, and the constraint.
UNLAWFUL = [
    ("INSERT INTO k_item VALUES (11, 'one', 5, 6, 'p')", "11", "k_item_code"),
    ("INSERT INTO k_item VALUES (12, 'c12', 1, 2, 'q')", "12", "k_item_pair"),
    ("INSERT INTO k_item VALUES (13, 'c13', 5, 7, 'X')", "13", "k_item_lower"),
    ("INSERT INTO k_item VALUES (14, 'c14', 5, 20, 'r')", "14", "k_item_large_b"),
    ("INSERT INTO k_item VALUES (15, 'c15', 9, 8, 's')", "15", "k_item_order"),
]


def unlawful(folder: Path) -> None:
    """As a file that somebody made again by hand, without its constraints."""
    columns = "code varchar(10) NOT NULL, a integer NOT NULL, b integer NOT NULL"
    change(
        folder,
        "accuracy",
        "ALTER TABLE k_item RENAME TO before",
        "CREATE TABLE k_item (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, "
        f"{columns}, name varchar(40) NOT NULL)",
        "INSERT INTO k_item SELECT * FROM before",
        "DROP TABLE before",
    )


def check_unlawful() -> None:
    found = aside()
    assert {key: reason for key, (reason, _) in found.items()} == {
        key: "refused_by_target" for _, key, _ in UNLAWFUL
    }
    for _, key, constraint in UNLAWFUL:
        assert constraint in found[key][1]
    check_equal()


def test_what_a_constraint_refuses_is_set_aside(folder: Path) -> None:
    unlawful(folder)
    change(folder, "accuracy", *(sql for sql, *_ in UNLAWFUL))
    run_import(selection=OURS)
    check_unlawful()
    run_import(selection=OURS)
    check_unlawful()


def test_a_refused_row_comes_back_whatever_language_the_server_speaks(folder: Path) -> None:
    """Another row had what is unique, and goes from the file."""
    unlawful(folder)
    change(folder, "accuracy", UNLAWFUL[0][0])
    run_import(selection=OURS)
    # What a server with lc_messages = fr_FR says.
    said = "la valeur d'une clé dupliquée rompt la contrainte unique « k_item_code »"
    assert QuarantinedRow.objects.update(sentence=f"PostgreSQL refuses the row: {said}") == 1
    change(folder, "accuracy", "DELETE FROM k_item WHERE id = 1")
    run_import(selection=OURS, prune=True)
    assert not aside()
    assert target() == stored(folder)
    check_equal()


def test_a_refused_row_is_judged_where_postgresql_takes_the_engine_s_rows_only(
    folder: Path,
) -> None:
    """As after a rollback. Its record names no column."""
    unlawful(folder)
    change(folder, "accuracy", *(sql for sql, *_ in UNLAWFUL))
    run_import(selection=OURS)
    tables = target_tables(OURS.files)
    try:
        with transaction.atomic():
            freeze_target("default", tables)
        check_unlawful()
        QuarantinedRow.objects.filter(key="11").update(column="code")
        findings = judge(selection=OURS).findings.kept
        assert [(f.kind.name, f.key, f.found) for f in findings] == [
            ("QUARANTINE_KEPT_ROW", "11", "code")
        ]
    finally:
        unfreeze_target("default", tables)


@pytest.mark.slow
def test_what_a_constraint_refuses_is_set_aside_by_the_follower(folder: Path) -> None:
    unlawful(folder)
    install_capture("default", OURS)
    run_import(selection=OURS)
    change(folder, "accuracy", *(sql for sql, *_ in UNLAWFUL))
    follow(FollowOptions(OURS, once=True))
    check_unlawful()


@pytest.mark.slow
def test_rows_are_not_rewritten_where_others_would_go_with_them(folder: Path) -> None:
    run_import(selection=OURS)
    query("CREATE TABLE k_child (item_id bigint REFERENCES k_item (id) ON DELETE CASCADE)")
    query("INSERT INTO k_child VALUES (1), (2)")
    before = target()
    change(folder, "accuracy", *LAWFUL["two rows change places"])
    try:
        with pytest.raises(TransferError, match="k_child deletes or changes its own rows"):
            run_import(selection=OURS)
        assert target() == before
        assert query("SELECT count(*) FROM k_child") == [(2,)]
    finally:
        query("DROP TABLE k_child")
