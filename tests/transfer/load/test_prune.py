"""--prune says what it will delete, asks, refuses too much, and knows another file's rows."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from stillme.transfer.errors import LedgerMismatch
from stillme.transfer.inventory.deletions import Deletion
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.management.commands import import_sqlite
from stillme.transfer.steps.load import ImportOptions, import_files
from tests.transfer.load.support import FILES, change, content, query, run_import

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_files("accuracy", "knowledge"),
]

HALF = "DELETE FROM accuracy_scores WHERE id % 2 = 0"
EMPTY = "DELETE FROM accuracy_scores"
TWO = "DELETE FROM accuracy_scores WHERE id IN (7, 9)"
OTHER = "UPDATE accuracy_scores SET created_at = datetime(created_at, '-1 year')"
COUNT = "SELECT count(*) FROM accuracy.accuracy_scores"


def command(*options: str) -> tuple[int, str]:
    out = io.StringIO()
    status = 0
    try:
        call_command("import_sqlite", "--file", "accuracy", "--jobs", "1", *options, stdout=out)
    except SystemExit as error:
        status = int(str(error.code))
    return status, out.getvalue()


@pytest.fixture
def loaded(legacy: Path) -> int:
    """The scores are imported; how many the target has."""
    run_import(selection=Selection(files=("accuracy",)))
    return int(query(COUNT)[0][0])


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("damage", "options", "status", "says", "is_deleted"),
    [
        (TWO, (), 1, "nobody confirmed", False),
        (TWO, ("--yes",), 0, "deleted 2 of", True),
        (TWO, ("--dry-run",), 0, "would delete 2 of", False),
        (HALF, ("--yes",), 1, "that is more than 10 %", False),
        (HALF, ("--dry-run",), 1, "that is more than 10 %", False),
        (HALF, ("--yes", "--prune-share", "60"), 0, "deleted", True),
        (EMPTY, ("--yes",), 1, "(100 %)", False),
        (EMPTY, ("--yes", "--prune-share", "99"), 1, "give --prune-share 100", False),
        (EMPTY, ("--yes", "--prune-share", "100"), 0, "(100 %)", True),
        ("SELECT 1", (), 0, "accounted for", False),
    ],
)
def test_what_a_damaged_file_comes_to(
    legacy: Path,
    loaded: int,
    damage: str,
    options: Sequence[str],
    status: int,
    says: str,
    is_deleted: bool,
) -> None:
    change(legacy, "accuracy", damage)
    before = content()
    found, said = command("--prune", *options)
    assert (found, says in said) == (status, True), said
    if is_deleted:
        assert query(COUNT)[0][0] < loaded
    else:
        assert content() == before


def test_a_dry_run_says_what_the_run_deletes(legacy: Path) -> None:
    run_import()
    change(
        legacy,
        "knowledge",
        "DELETE FROM knowledge_relationships WHERE id = 2",
        # Bad now: its row and those that refer to it go, though the legacy has them.
        "UPDATE knowledge_items SET content = CAST(x'ff' AS TEXT) WHERE id = 7",
    )
    change(legacy, "accuracy", TWO)
    before = content()
    dry = run_import(prune=True, dry_run=True)
    assert content() == before
    wet = run_import(prune=True)
    said, done = (
        {d.target: d.sentence().partition(";")[0] for d in r.deletions} for r in (dry, wet)
    )
    assert said == done
    assert [d.deleted for d in dry.deletions + wet.deletions] == [False] * 3 + [True] * 3
    assert {d.table for d in wet.deletions} >= {"accuracy_scores", "knowledge_items"}
    assert sum(d.rows for d in wet.deletions) == sum(t.outcome.pruned for t in wet.tables)


@pytest.mark.slow
def test_records_of_decisions_count_too(legacy: Path) -> None:
    change(
        legacy,
        "accuracy",
        "UPDATE accuracy_scores SET question = CAST(x'61ff' AS TEXT) WHERE id > 5",
    )
    run_import()
    change(legacy, "accuracy", "DELETE FROM accuracy_scores WHERE id > 5")
    result = run_import(prune=True)
    assert "records kept with them" in result.refused[0]
    assert query("SELECT count(*) FROM transfer.quarantined_row WHERE file = 'accuracy'")[0][0] > 20


def test_json_names_every_deletion(legacy: Path, loaded: int) -> None:
    change(legacy, "accuracy", TWO)
    status, said = command("--prune", "--format", "json")
    document = json.loads(said)
    (deletion,) = document["deletions"]
    assert (status, deletion["rows"], deletion["keys"]) == (1, 2, ["7", "9"])
    assert document["deletions_refused"]
    status, said = command("--prune", "--yes", "--format", "json")
    assert (status, json.loads(said)["deletions"][0]["deleted"]) == (0, True)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("answer", "left"), [("y", 2), ("n", 0), ("", 0)])
def test_a_person_is_asked(
    legacy: Path, loaded: int, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    change(legacy, "accuracy", TWO)
    asked: list[str] = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def answers(self: Any, question: str, **_: Any) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr(import_sqlite.sys, "stdin", Terminal())
    monkeypatch.setattr("rich.console.Console.input", answers)
    out = Terminal()
    with pytest.raises(SystemExit) if not left else _nothing():
        call_command("import_sqlite", "--file", "accuracy", "--prune", "--jobs", "1", stdout=out)
    assert len(asked) == 1
    assert "7, 9" in out.getvalue()
    assert query(COUNT)[0][0] == loaded - left


class _nothing:  # noqa: N801
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.slow
def test_nobody_is_asked_where_nothing_goes(legacy: Path, loaded: int) -> None:
    asked: list[Sequence[Deletion]] = []

    def confirm(found: Sequence[Deletion]) -> bool:
        asked.append(found)
        return False

    import_files(ImportOptions(jobs=1, prune=True), confirm=confirm)
    assert not asked


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("options", [{}, {"prune": True}, {"prune": True, "dry_run": True}])
def test_a_file_of_another_installation_is_refused(
    legacy: Path, loaded: int, options: dict[str, Any]
) -> None:
    change(legacy, "accuracy", OTHER)
    before = content()
    with pytest.raises(LedgerMismatch, match=r"are of rows made at other times.*--replaced"):
        run_import(**options)
    assert content() == before
    run_import(replaced=True)
    assert run_import(prune=True).conserved


@pytest.mark.slow
def test_an_older_backup_is_noticed_before_it_prunes(
    legacy: Path, loaded: int, tmp_path: Path
) -> None:
    name = FILES["accuracy"]
    shutil.copyfile(legacy / name, tmp_path / "backup")
    change(legacy, "accuracy", "INSERT INTO accuracy_scores (question, actual_answer, "
           "accuracy_score, scoring_method) VALUES ('new', 'a', 1.0, 'manual')")  # fmt: skip
    run_import()
    shutil.copyfile(tmp_path / "backup", legacy / name)
    assert run_import().conserved
    with pytest.raises(LedgerMismatch, match="its next id went back: accuracy_scores from"):
        run_import(prune=True)
    run_import(prune=True, replaced=True)
    assert query(COUNT)[0][0] == loaded


ORDINARY: dict[str, Callable[[Path], None]] = {
    "the oldest rows deleted": lambda f: change(
        f, "accuracy", "DELETE FROM accuracy_scores WHERE id < 9"
    ),
    "one time mended": lambda f: change(f, "accuracy", f"{OTHER} WHERE id = 1"),
    "nothing": lambda f: None,
    "vacuumed": lambda f: change(f, "accuracy", "VACUUM"),
    "a column more": lambda f: change(f, "accuracy", "ALTER TABLE accuracy_scores ADD COLUMN x"),
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("what", ORDINARY)
def test_a_file_that_lived_on_is_the_same(legacy: Path, loaded: int, what: str) -> None:
    ORDINARY[what](legacy)
    assert run_import(prune=True).conserved
