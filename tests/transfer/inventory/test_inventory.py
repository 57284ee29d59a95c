"""What nobody declared is seen by import, proof and inspection, and is open until decided."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from stillme.transfer.console.dashboard.figures import page_figures
from stillme.transfer.findings import FindingKind
from stillme.transfer.models import LeftByDecision
from stillme.transfer.sqlite.reading.key_ranges import KeyRange, key_ranges
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.loading import plan
from stillme.transfer.steps.readiness.go_no_go import go_list
from tests.made_once import files_of, put_samples
from tests.transfer.load.support import change, run_import
from tests.transfer.sync.switching import files_there
from tests.transfer.verify.support import JUDGE, accept_all, judge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("accuracy")]

RATINGS = (
    "CREATE TABLE user_ratings (id INTEGER PRIMARY KEY, score_id INTEGER, stars INTEGER)",
    "INSERT INTO user_ratings (score_id, stars) VALUES (1, 5), (2, 4)",
)


@pytest.fixture
def legacy(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], request: pytest.FixtureRequest
) -> Path:
    put_samples(tmp_path, rows=20, files=files_of(request.node))
    use_legacy_files(tmp_path)
    return tmp_path


def inventory(*arguments: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the command."""
    out = StringIO()
    status = 0
    try:
        call_command("inventory", *arguments, "--format", "json", stdout=out, **options)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, json.loads(out.getvalue())


# What somebody did to the file of the scores -> what is open in it then: name -> rows.
OPEN: dict[str, tuple[tuple[str, ...], dict[str, int | None]]] = {
    "a table that nobody declared": (RATINGS, {"user_ratings": 2}),
    "one whose name needs quotes": (
        ('CREATE TABLE "my ""table" (a)', 'INSERT INTO "my ""table" VALUES (1)'),
        {'my "table': 1},
    ),
    "one that is called like a column of another": (
        (
            'CREATE TABLE "accuracy_scores.metadata" (a)',
            'INSERT INTO "accuracy_scores.metadata" VALUES (1)',
        ),
        {'"accuracy_scores.metadata"': 1},
    ),
    "one without rowids": (
        (
            "CREATE TABLE w (a TEXT PRIMARY KEY) WITHOUT ROWID",
            "INSERT INTO w VALUES ('x')",
        ),
        {"w": 1},
    ),
    "tables that only look like those of a virtual one": (
        (
            "CREATE VIRTUAL TABLE area USING rtree(id, low, high)",
            "CREATE TABLE area_data (a)",
            "INSERT INTO area_data VALUES (1)",
            "CREATE VIRTUAL TABLE notes USING fts5(body)",
            "CREATE TABLE notes_stat (a)",
            "INSERT INTO notes_stat VALUES (1), (2)",
        ),
        {"area_data": 1, "notes_stat": 2},
    ),
    "the table that a full-text index was made of": (
        (
            "CREATE TABLE notes_content (id INTEGER PRIMARY KEY, body, secret)",
            "INSERT INTO notes_content VALUES (1, 'a', 'b')",
            "CREATE VIRTUAL TABLE notes USING fts5(body, content='notes_content')",
        ),
        {"notes": 1, "notes_content": 1},
    ),
    "a declared table renamed, a view in its place": (
        (
            "ALTER TABLE accuracy_scores RENAME TO accuracy_scores_v2",
            "CREATE VIEW accuracy_scores AS SELECT * FROM accuracy_scores_v2",
        ),
        {"accuracy_scores_v2": -1, "accuracy_scores": None},
    ),
    "a declared table renamed": (
        ("ALTER TABLE accuracy_scores RENAME TO scores_2025",),
        {"scores_2025": -1},
    ),
    "a table that bears our log's name": (
        ("CREATE TABLE stillme_change (a)", "INSERT INTO stillme_change VALUES (1)"),
        {"stillme_change": 1},
    ),
    "tables that bear the names and the type of SQLite's own": (
        (
            *("CREATE TABLE x (a)", "CREATE TABLE y (a)", "INSERT INTO x VALUES (1), (2)"),
            *("INSERT INTO y VALUES (1)", "ANALYZE", "PRAGMA writable_schema = ON"),
            "UPDATE sqlite_master SET name = 'sqlite_x', tbl_name = 'sqlite_x', "
            "sql = 'CREATE TABLE sqlite_x (a)' WHERE name = 'x'",
            "UPDATE sqlite_master SET type = 'TABLE' WHERE name = 'y'",
        ),
        {"sqlite_x": 2, "y": 1},
    ),
    "a full-text index in the place of a declared table": (
        (
            "ALTER TABLE accuracy_scores RENAME TO scores_2025",
            "CREATE VIRTUAL TABLE accuracy_scores USING fts5(question)",
            "INSERT INTO accuracy_scores VALUES ('a question')",
        ),
        {"accuracy_scores": 1, "scores_2025": -1},
    ),
    "a full-text index with texts of its own": (
        ("CREATE VIRTUAL TABLE notes USING fts5(body)", "INSERT INTO notes VALUES ('a note')"),
        {"notes": 1},
    ),
}
# Nothing that holds data of an application.
NOTHING: dict[str, tuple[str, ...]] = {
    "an empty table": ("CREATE TABLE user_ratings (id INTEGER PRIMARY KEY)",),
    "a view beside the declared tables": ("CREATE VIEW v AS SELECT * FROM accuracy_scores",),
    "statistics": ("ANALYZE",),
    "an empty full-text index": ("CREATE VIRTUAL TABLE notes USING fts5(body)",),
    "a declared name in another case": (
        "ALTER TABLE accuracy_scores RENAME TO x1",
        "ALTER TABLE x1 RENAME TO ACCURACY_Scores",
    ),
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("what", OPEN)
def test_what_nobody_declared_is_open_everywhere(legacy: Path, what: str) -> None:
    statements, expected = OPEN[what]
    change(legacy, "accuracy", *statements)
    imported = run_import()
    assert imported.conserved
    assert imported.exit_status == 1
    found = {line.name: line.rows for line in imported.undecided}
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name] == rows or (rows == -1 and (found[name] or 0) > 0)
    accept_all()
    proof = judge()
    assert proof.exit_status == 1
    assert not proof.verdict.startswith("PROVEN")
    places = {f.where for f in proof.findings.kept if f.kind is FindingKind.INVENTORY}
    assert places == {f"accuracy.{name}" for name in expected}
    dry = run_import(dry_run=True)
    assert {line.name for line in dry.undecided} == expected.keys()
    looked = inspect_files()
    assert {line.name for line in looked.undecided} == expected.keys()
    assert not looked.clean
    status, report = inventory()
    assert (status, report["open"]) == (1, len(expected))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("what", NOTHING)
def test_what_holds_no_data_is_not_open(legacy: Path, what: str) -> None:
    change(legacy, "accuracy", *NOTHING[what])
    assert run_import().undecided == []
    accept_all()
    assert judge().exit_status == 0
    assert inventory()[0] == 0


def test_a_decision_closes_it_and_can_be_taken_back(legacy: Path) -> None:
    change(legacy, "accuracy", *RATINGS)
    assert inventory("leave", "accuracy.user_ratings", note="a test of 2025")[0] == 0
    decision = LeftByDecision.objects.get()
    assert (decision.rows, decision.note) == (2, "a test of 2025")
    imported = run_import()
    assert imported.exit_status == 0
    (left,) = [line for line in imported.inventory if line.fate == "left"]
    assert (left.name, left.why, bool(left.who), bool(left.when)) == (
        "user_ratings", "a test of 2025", True, True,
    )  # fmt: skip
    accept_all()
    assert judge().verdict.startswith("PROVEN")
    assert inventory("reopen", "accuracy.user_ratings")[0] == 1
    assert judge().exit_status == 1


@pytest.mark.slow
@pytest.mark.only_files("accuracy", "rss")
def test_a_decision_is_about_one_file(legacy: Path) -> None:
    for file in ("accuracy", "rss"):
        change(legacy, file, *RATINGS)
    inventory("leave", "accuracy.user_ratings", note="seen")
    assert [line.file for line in run_import().undecided] == ["rss"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["leave"], "Say what"),
        (["leave", "accuracy.accuracy_scores", "--note", "x"], "is not open"),
        (["leave", "accuracy.user_ratings"], "needs a reason"),
        (["reopen", "accuracy.user_ratings"], "Nobody decided"),
        (["list", "accuracy.user_ratings"], "takes no name"),
    ],
)
def test_wrong_input_is_a_sentence(legacy: Path, arguments: list[str], sentence: str) -> None:
    change(legacy, "accuracy", *RATINGS)
    with pytest.raises(CommandError, match=sentence) as refused:
        call_command("inventory", *arguments)
    assert refused.value.returncode == 2
    assert not LeftByDecision.objects.exists()


def test_reports_list_it(legacy: Path, tmp_path: Path) -> None:
    change(legacy, "accuracy", *RATINGS)
    page, out = tmp_path / "proof.html", StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("import_sqlite", stdout=out)
    assert end.value.code == 1
    assert "not carried accuracy.user_ratings, 2 rows" in out.getvalue()
    assert "All " not in out.getvalue().splitlines()[-1] or "nobody" in out.getvalue()
    with pytest.raises(SystemExit):
        call_command("verify_migration", html=page, stdout=StringIO())
    assert "user_ratings" in page.read_text()


@pytest.mark.slow
def test_rows_are_counted_by_a_way_of_its_own(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges that do not tile the table lose rows; the full scan knows of them."""

    def lossy(*arguments: Any) -> list[KeyRange]:
        return key_ranges(*arguments)[:-1]

    monkeypatch.setattr(plan, "key_ranges", lossy)
    result = run_import(chunk_rows=10)
    assert not result.conserved
    assert result.exit_status == 1
    lost = next(table for table in result.tables if not table.conserved)
    assert lost.outcome.conserved
    assert lost.counted is not None
    assert lost.counted > lost.outcome.legacy_rows
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("import_sqlite", chunk_rows=10, jobs=1, stdout=out)
    assert "Rows are missing: a full scan of" in out.getvalue()


def test_status_and_go_list_name_it_until_it_is_decided(legacy: Path) -> None:
    change(legacy, "accuracy", *RATINGS)
    for decided in (False, True):
        (named,) = [line for line in go_list("default", files_there(), None, JUDGE)
                    if line.subject.endswith("inventory")]  # fmt: skip
        assert (named.colour == "no-go") is not decided
        assert ("user_ratings" in named.finding) is not decided
        out = StringIO()
        call_command("migration_status", stdout=out)
        assert ("not carried accuracy.user_ratings" in out.getvalue()) is not decided
        assert bool(page_figures("default")["overview"].inventory_open) is not decided
        if not decided:
            inventory("leave", "accuracy.user_ratings", note="seen")
