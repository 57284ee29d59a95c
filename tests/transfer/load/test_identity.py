"""Two legacy files with a table of the same name: what is done to one never moves the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from stillme.transfer import registry
from stillme.transfer.checks import mappings_have_targets
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import Chunk, KeptCell, QuarantinedRow, RunTable
from stillme.transfer.quarantine import decisions
from tests.transfer.load.support import change, content, query, run_import
from tests.transfer.twins import TWINS, CycleEntry, ScoreEntry, make_twins
from tests.transfer.verify.support import accept_all, judge

pytestmark = pytest.mark.django_db(transaction=True)
TARGETS = {"accuracy": '"accuracy"."accuracy_scores"', "rss": '"rss"."fetch_cycles"'}
OTHER = {"accuracy": "rss", "rss": "accuracy"}
LEDGER = ("chunk", "kept_cell", "quarantined_row")


@pytest.fixture
def twins(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Both files; the two models are the only ones that are registered."""
    make_twins(tmp_path)
    use_legacy_files(tmp_path)
    monkeypatch.setattr(registry, "legacy_apps", TWINS)
    return tmp_path


def of(file: str) -> dict[str, list[Any]]:
    """Everything that belongs to the table of one file."""
    found = {"rows": query(f"SELECT t::text, t.xmin::text FROM {TARGETS[file]} t ORDER BY id")}
    for name in LEDGER:
        sql = f"SELECT r::text FROM transfer.{name} r WHERE file = %s ORDER BY id"
        found[name] = query(sql, file)
    return found


def test_both_are_loaded_and_each_proven(twins: Path) -> None:
    result = run_import()
    assert {(t.file, t.table, t.outcome.loaded, t.outcome.repaired) for t in result.tables} == {
        ("accuracy", "entries", 7, 1),
        ("rss", "entries", 7, 1),
    }
    assert set(QuarantinedRow.objects.values_list("file", "key")) == {
        ("accuracy", "2"),
        ("rss", "2"),
    }
    assert set(KeptCell.objects.values_list("file", "key", "column")) == {
        ("accuracy", "3", "accuracy_score"),
        ("rss", "3", "cycle_number"),
    }
    assert Chunk.objects.count() == RunTable.objects.count() == 2
    assert len(judge().quarantine) == 2
    accept_all()
    proof = judge()
    assert proof.exit_status == 0, [f.sentence() for f in proof.findings.kept]
    found = {(t.file, t.accepted, t.repaired) for t in proof.tables}
    assert found == {("accuracy", 1, 1), ("rss", 1, 1)}


STEPS: dict[str, Callable[[str, Path], Any]] = {
    "again": lambda file, _: run_import(selection=Selection(files=(file,)), overwrite=True),
    "by its full name": lambda file, _: run_import(
        selection=Selection(tables=(f"{file}.entries",)), overwrite=True
    ),
    "changed": lambda file, folder: (
        change(folder, file, "UPDATE entries SET id = 20 WHERE id = 5"),
        run_import(selection=Selection(files=(file,))),
    ),
    "pruned": lambda file, folder: (
        change(folder, file, "DELETE FROM entries WHERE id IN (1, 2, 3)"),
        run_import(selection=Selection(files=(file,)), prune=True),
    ),
    "retried": lambda file, _: decisions.retry(
        "default", decisions.select_rows("default", table=f"{file}.entries")
    ),
    "edited": lambda file, _: _edit_and_retry(file),
    "accepted": lambda file, _: decisions.accept(
        "default", decisions.select_rows("default", table=f"{file}.entries"), "seen"
    ),
}


def _edit_and_retry(file: str) -> None:
    (row,) = decisions.select_rows("default", table=f"{file}.entries")
    column = {"accuracy": "actual_answer", "rss": "status"}[file]
    decisions.edit("default", row, column, "mended", "text")
    assert decisions.retry("default", [row]).loaded == (row.pk,)


@pytest.mark.slow_after(1, by="step")
@pytest.mark.parametrize("file", sorted(OTHER))
@pytest.mark.parametrize("step", STEPS)
def test_what_is_done_to_one_leaves_the_other(twins: Path, step: str, file: str) -> None:
    run_import()
    before = of(OTHER[file])
    assert all(before.values())
    STEPS[step](file, twins)
    assert of(OTHER[file]) == before


@pytest.mark.parametrize("file", sorted(OTHER))
def test_a_fault_is_found_in_its_file(twins: Path, file: str) -> None:
    run_import()
    accept_all()
    query(f"DELETE FROM {TARGETS[file]} WHERE id = 4")
    query("DELETE FROM transfer.kept_cell WHERE file = %s", file)
    query("UPDATE transfer.quarantined_row SET key = '77' WHERE file = %s", file)
    proof = judge()
    assert {(t.file, f.key) for t in proof.tables for f in t.findings.kept} >= {
        (file, "2"), (file, "3"), (file, "4"), (file, "77"),
    }  # fmt: skip
    assert not next(t for t in proof.tables if t.file == OTHER[file]).findings.total


@pytest.mark.slow
def test_a_name_selects_the_table_in_every_file(twins: Path) -> None:
    result = run_import(selection=Selection(tables=("entries",)))
    assert sorted(t.file for t in result.tables) == ["accuracy", "rss"]


def test_names_are_told_apart_where_people_read_them(twins: Path) -> None:
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("inspect_sqlite", stdout=out)
    call_command("import_sqlite", "--jobs", "1", stdout=out)
    call_command("quarantine", "list", "--table", "rss.entries", stdout=out)
    for file in OTHER:
        assert f"{file}.entries" in out.getvalue()
    with pytest.raises(CommandError, match=r"no legacy table 'knowledge\.entries'"):
        call_command("import_sqlite", "--table", "knowledge.entries")


@pytest.mark.slow
def test_several_workers_agree_with_one(twins: Path) -> None:
    run_import()
    before = content()
    run_import(overwrite=True, chunk_rows=2, jobs=2)
    assert content() == before


def test_nothing_is_selected(twins: Path) -> None:
    with pytest.raises(TransferError, match=r"no table rss\.entries is in the file accuracy"):
        run_import(selection=Selection(files=("accuracy",), tables=("rss.entries",)))


@pytest.mark.parametrize("attribute", ["file", "target"])
def test_two_models_of_one_table_or_one_target_are_an_error(
    twins: Path, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    assert mappings_have_targets() == []
    value = getattr(ScoreEntry.legacy, attribute)
    monkeypatch.setattr(CycleEntry, "legacy", replace(CycleEntry.legacy, **{attribute: value}))
    assert {error.id for error in mappings_have_targets()} == {"transfer.E005"}
