"""What a person sees: progress with rate and time left, colours, 80 columns, sentences."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from stillme.transfer.findings import Event
from stillme.transfer.reports.terminal import progress as reports_progress
from stillme.transfer.reports.terminal.progress import RunProgress
from tests.terminal.screen import COLOUR, ROOT, WIDTH, on_pipe, on_terminal

RATE = re.compile(r"[\d,]+/s")
# What two runs of one command need not agree on: the rate stands after a second only.
TIMES = re.compile(r"[\d.,]+ s\b( \([\d,]+ rows/s\))?")


def test_import_and_proof_show_bars_on_a_terminal(environment: dict[str, str]) -> None:
    for command, status in (("import_sqlite", 0), ("verify_migration", 1)):
        screen = on_terminal(environment, command)
        assert screen.status == status, screen.text
        assert "━" in screen.text
        assert RATE.search(screen.text)
        assert "0:00" in screen.text
        assert screen.coloured
        too_wide = [line for line in screen.drawn if "━" in line and len(line) > WIDTH]
        assert not too_wide


@pytest.mark.slow
def test_reports_without_a_target_show_bars_too(
    environment: dict[str, str], tmp_path: Path
) -> None:
    inspected = on_terminal(environment, "inspect_sqlite")
    assert inspected.status == 1
    assert RATE.search(inspected.text)
    backup = tmp_path / "backup"
    backed_up = on_terminal(environment, "backup_sqlite", "--to", str(backup))
    assert backed_up.status == 0
    assert RATE.search(backed_up.text)
    checked = on_terminal(environment, "backup_sqlite", "--check", str(backup))
    assert checked.status == 0


@pytest.mark.parametrize("width", [80, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "arguments",
    [
        ("import_sqlite",),
        ("verify_migration",),
        pytest.param(("inspect_sqlite",), marks=pytest.mark.slow),
        pytest.param(("sync_sqlite", "--install"), marks=pytest.mark.slow),
        pytest.param(("cutover",), marks=pytest.mark.slow),
    ],
)
def test_no_frame_of_a_bar_and_no_broken_word_stays(
    environment: dict[str, str], arguments: tuple[str, ...], width: int
) -> None:
    piped = on_pipe(environment, *arguments)
    if arguments == ("import_sqlite",):
        assert on_pipe(environment, "empty_target", "--yes").returncode == 0
    shown = on_terminal(environment, *arguments, width=width).shown(width)
    assert not [line for line in shown if "━" in line or RATE.fullmatch(line.strip())]
    assert not [line for line, after in pairwise(shown) if not line and not after]
    if width < 80 or arguments == ("inspect_sqlite",):
        # Names in tables are wider than their columns.
        return
    sentences = {word for line in shown if "  " not in line for word in TIMES.sub("", line).split()}
    broken = sentences - set(TIMES.sub("", piped.stdout + piped.stderr).split())
    assert not {word for word in broken if word.isalpha()}


def test_ctrl_c_ends_a_follower_without_remains(environment: dict[str, str]) -> None:
    assert on_terminal(environment, "sync_sqlite", "--install").status == 0
    screen = on_terminal(environment, "sync_sqlite", "--follow", interrupt=b"replayed ")
    assert screen.status == 0
    shown = screen.shown()
    assert "Traceback" not in screen.text
    assert any(line.startswith("Replayed, run") for line in shown)


def test_no_color(environment: dict[str, str]) -> None:
    for arguments in (("inspect_sqlite",), ("import_sqlite", "--table", "nothing")):
        coloured = on_terminal(environment, *arguments)
        plain = on_terminal({**environment, "NO_COLOR": "1"}, *arguments)
        assert coloured.coloured, arguments
        assert not plain.coloured, arguments
        assert plain.status == coloured.status
    assert not on_terminal(environment, "inspect_sqlite", "--no-color").coloured


def test_a_pipe_gets_plain_lines(environment: dict[str, str]) -> None:
    done = on_pipe(environment, "import_sqlite")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "━" not in done.stdout
    assert re.search(r"^  knowledge_items: \d+ rows$", done.stdout, re.MULTILINE)
    forced = on_pipe({**environment, "FORCE_COLOR": "1"}, "verify_migration")
    assert not COLOUR.search(forced.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("import_sqlite",),
        pytest.param(("verify_migration",), marks=pytest.mark.slow),
        pytest.param(("migration_status",), marks=pytest.mark.slow),
        pytest.param(("inspect_sqlite",), marks=pytest.mark.slow),
        pytest.param(("import_sqlite", "--dry-run"), marks=pytest.mark.slow),
        pytest.param(("quarantine", "list"), marks=pytest.mark.slow),
        pytest.param(("sync_sqlite", "--status"), marks=pytest.mark.slow),
        pytest.param(("cutover", "--dry-run"), marks=pytest.mark.slow),
    ],
)
def test_json_is_one_document_even_on_a_terminal(
    environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    screen = on_terminal(environment, *arguments, "--format", "json")
    assert json.loads(screen.raw.replace("\r\n", "\n")) is not None


def test_tables_of_large_figures_fit_eighty_columns() -> None:
    from stillme.transfer.records.outcome import Outcome
    from stillme.transfer.reports.terminal.imports import render_import
    from stillme.transfer.steps.load import ImportResult, TableResult

    outcome = Outcome(legacy_rows=10_000_000, loaded=9_000_000, repaired=900_000)
    outcome.inserted, outcome.updated = 9_900_000, 100_000
    table = TableResult("knowledge", "knowledge_relationships", "x", outcome, 60.0)
    console = Console(width=WIDTH, record=True, file=StringIO())
    render_import(console, "text", ImportResult(1, [table]))
    shown = console.export_text().splitlines()
    row = next(line for line in shown if line.startswith("knowledge_relationships"))
    assert len(row) <= WIDTH
    for figure in ("10,000,000", "9,000,000", "900,000", "9,900,000", "100,000"):
        assert figure in row


def test_a_long_table_is_told_now_and_then_on_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter((0.0, 4.0, 20.0, 25.0))
    # Not the module's own: whatever else runs would use up these moments.
    monkeypatch.setattr(reports_progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown = RunProgress(Console(file=sys.stdout, force_terminal=False, width=WIDTH), quiet=False)
    shown.on_event(Event("table", {"table": "t", "total": 1000}))
    for rows in (100, 500, 600):
        shown.on_event(Event("progress", {"table": "t", "rows": rows}))
    assert capsys.readouterr().out == "  t: 500 of 1,000 rows, 25/s, about 20 s left\n"


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(environment: dict[str, str]) -> None:
    command = f"{sys.executable} {ROOT / 'manage.py'} inspect_sqlite | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        env={**environment, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("./manage.py", "ver"), {"verify_migration"}),
        (("./manage.py", "verify_migration", "--max"), {"--max-findings="}),
        (("./manage.py", "nothing_like_it"), set()),
    ],
)
def test_completion_as_documented(words: tuple[str, ...], expected: set[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    page = (ROOT / "docs" / "reference" / "terminal.md").read_text(encoding="utf-8")
    snippet = page.split("<!-- completion -->")[1].split("```")[1].removeprefix("sh\n")
    listed = " ".join(f"'{word}'" for word in words)
    script = f"{snippet}\nCOMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}\n"
    script += '_stillme_completion ./manage.py\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    python = Path(sys.executable).parent
    done = subprocess.run(
        [bash, "-c", script],
        cwd=ROOT,
        env={"PATH": f"{python}:/usr/bin:/bin", "SECRET_KEY": "only-for-tests"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert set(done.stdout.split()) == expected, done.stderr


def test_an_unknown_command_could_not_run(environment: dict[str, str]) -> None:
    done = on_pipe(environment, "impot_sqlite")
    assert done.returncode == 2
    assert "Did you mean import_sqlite?" in done.stderr
