"""A table that refers to itself is loaded, judged, pruned and followed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from stillme.transfer import registry
from stillme.transfer.checks import mappings_have_targets
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine import decisions
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.install_capture import install_capture
from tests.transfer.load.support import change, query, run_import
from tests.transfer.tree import CIRCLES, TREES, Node, make_tree
from tests.transfer.verify.support import accept_all, judge

pytestmark = pytest.mark.django_db(transaction=True)

# 1 <- 2 <- 3, 5 <- 4 (before its parent), 6 of itself, 7 <-> 8, 9 of nobody, 10 <- 11 <- 12
ROWS = {1: None, 2: 1, 3: 2, 4: 5, 5: 1, 6: 6, 7: 8, 8: 7, 9: 99, 10: None, 11: 10, 12: 11}
OURS = Selection(files=("accuracy",))


@pytest.fixture
def folder(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    use_legacy_files(tmp_path)
    monkeypatch.setattr(registry, "legacy_apps", TREES)
    with connection.schema_editor() as editor:
        editor.create_model(Node)
    yield tmp_path
    with connection.cursor() as cursor:
        cursor.execute('DROP TABLE "accuracy"."nodes"')


def loaded() -> list[int]:
    return [key for (key,) in query("SELECT id FROM accuracy.nodes ORDER BY id")]


def aside() -> dict[str, str]:
    rows = QuarantinedRow.objects.exclude(status=QuarantinedRow.Status.REPAIRED)
    return {str(row.key): row.reason for row in rows}


def check_proven() -> None:
    """The judge finds nothing but open rows."""
    proof = judge(round_trip=True)
    assert not proof.findings.total, [f.sentence() for f in proof.findings.kept]


@pytest.mark.slow_after(3)
@pytest.mark.parametrize(
    ("bad", "out"),
    [
        (set(), {9}),
        ({3}, {3, 9}),
        ({1}, {1, 2, 3, 4, 5, 9}),
        ({5, 11}, {4, 5, 9, 11, 12}),
        ({6}, {6, 9}),
        ({7}, {7, 8, 9}),
        ({8, 10}, {7, 8, 9, 10, 11, 12}),
    ],
)
def test_import_again_and_proof(folder: Path, bad: set[int], out: set[int]) -> None:
    make_tree(folder, ROWS, bad)
    predicted = inspect_files(OURS).tables[0].prediction
    dry = run_import(selection=OURS, dry_run=True).tables[0].outcome
    run_import(selection=OURS)
    assert loaded() == sorted(ROWS.keys() - out)
    # The reference is the earlier column: a bad row in a circle lacks its parent first.
    own = bad - {6, 7, 8}
    reasons = {str(key): "nul_in_text" if key in own else "missing_parent" for key in out}
    assert aside() == reasons
    assert predicted.quarantined == dry.quarantined == len(out)
    check_proven()
    run_import(selection=OURS, overwrite=True)
    assert (loaded(), aside()) == (sorted(ROWS.keys() - out), reasons)
    check_proven()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("bad", [{2}, {1}, {7}])
def test_a_row_that_becomes_bad_and_good_again(folder: Path, bad: set[int]) -> None:
    make_tree(folder, ROWS, set())
    run_import(selection=OURS)
    (key,) = bad
    change(folder, "accuracy", f"UPDATE parent SET name = CAST(x'00' AS TEXT) WHERE id = {key}")
    dry = run_import(selection=OURS, prune=True, dry_run=True).deletions
    result = run_import(selection=OURS, prune=True)
    assert [d.keys for d in dry] == [d.keys for d in result.deletions]
    assert str(key) in aside()
    check_proven()
    change(folder, "accuracy", f"UPDATE parent SET name = 'good' WHERE id = {key}")
    run_import(selection=OURS)
    assert loaded() == sorted(ROWS.keys() - {9})
    check_proven()


@pytest.mark.slow
def test_an_edited_parent_brings_its_children_back(folder: Path) -> None:
    make_tree(folder, ROWS, {1})
    run_import(selection=OURS)
    (row,) = QuarantinedRow.objects.filter(reason="nul_in_text")
    child = QuarantinedRow.objects.get(key="2")
    assert decisions.retry("default", [child]).still
    decisions.edit("default", row, "name", "good", "text")
    assert decisions.retry("default", [row]).loaded == (row.pk,)
    run_import(selection=OURS)
    assert loaded() == sorted(ROWS.keys() - {9})
    check_proven()


def test_parents_and_children_are_pruned_together(folder: Path) -> None:
    make_tree(folder, ROWS, set())
    run_import(selection=OURS)
    change(folder, "accuracy", "DELETE FROM parent WHERE id IN (1, 2, 3, 4, 5)")
    result = run_import(selection=OURS, prune=True)
    assert (result.tables[0].outcome.pruned, loaded()) == (5, [6, 7, 8, 10, 11, 12])
    accept_all()
    assert judge().exit_status == 0


@pytest.mark.slow
def test_a_large_tree_with_its_foreign_key_down(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stillme.transfer.steps.loading.table_work.LARGE_TABLE_ROWS", 10)
    rows: dict[int, int | None] = {key: key + 1 for key in range(1, 300)}
    make_tree(folder, {**rows, 300: None}, {150})
    run_import(selection=OURS, chunk_rows=7, jobs=2)
    assert loaded() == list(range(151, 301))
    assert len(aside()) == 150
    keys = "SELECT convalidated FROM pg_constraint WHERE contype = 'f' AND conrelid = "
    assert query(f"{keys} 'accuracy.nodes'::regclass") == [(True,)]
    check_proven()


WRITES = {
    "a root goes": "DELETE FROM parent WHERE id = 1",
    "a root comes": "INSERT INTO parent VALUES (99, NULL, 'n', NULL)",
    "a root becomes bad": "UPDATE parent SET name = CAST(x'00' AS TEXT) WHERE id = 10",
    "a bad one becomes good": "UPDATE parent SET name = 'good' WHERE id = 5",
    "a row moves": "UPDATE parent SET parent_id = 99 WHERE id = 11",
    "children before parents": "INSERT INTO parent VALUES (20, 22, 'n', NULL), "
    "(21, 20, 'n', NULL), (22, NULL, 'n', NULL)",
}


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("write", WRITES)
def test_what_is_followed_is_what_an_import_gives(folder: Path, write: str) -> None:
    path = make_tree(folder, ROWS, {5})
    install_capture("default", OURS)
    run_import(selection=OURS)
    with closing(sqlite3.connect(path)) as db:
        db.execute(WRITES[write])
        db.commit()
    follow(FollowOptions(OURS, once=True))
    followed = (loaded(), aside())
    check_proven()
    run_import(selection=OURS, overwrite=True, prune=True)
    assert (loaded(), aside()) == followed


@pytest.mark.slow
def test_tables_in_a_circle_have_one_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "legacy_apps", CIRCLES)
    # Their targets are other tables' ones; nothing is said of the circle.
    assert {error.id for error in mappings_have_targets()} == {"transfer.E001"}
    assert registry.circle("accuracy", "left") == {"left", "right"}
    assert [len(level) for level in registry.levels(registry.legacy_models())] == [2]
