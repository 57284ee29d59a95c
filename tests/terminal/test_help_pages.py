"""commands.md and parts of other pages are made from code; the commands' examples parse."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from stillme.ops.documentation.command_page import command_page, own_commands
from stillme.ops.documentation.parts import made_page

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("document_commands", *arguments, stdout=out)
    except SystemExit as ended:
        return out.getvalue(), int(ended.code or 0)
    return out.getvalue(), 0


def test_the_page_is_up_to_date() -> None:
    assert run("--check")[1] == 0, "run `manage.py document_commands`"


def test_a_stale_page_is_told_and_renewed(tmp_path: Path) -> None:
    page = tmp_path / "commands.md"
    page.write_text("old")
    out, status = run("--check", "--to", str(page))
    assert (status, page.read_text()) == (1, "old")
    assert "is stale" in out
    assert run("--to", str(page))[1] == 0
    assert page.read_text(encoding="utf-8") == command_page()


def test_a_stale_part_of_a_page_is_renewed_and_the_rest_stays(
    tmp_path: Path, settings: Any
) -> None:
    settings.BASE_DIR = tmp_path
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("images"))
    page = tmp_path / "docs" / "reference" / "values.md"
    true = page.read_text(encoding="utf-8")
    page.write_text(true.replace("`not_whole`", "`whole`") + "by hand\n", encoding="utf-8")
    out, status = run("--check")
    assert status == 1
    assert "values.md is stale" in out
    assert "reports.md is up to date" in out
    assert run()[1] == 0
    assert page.read_text(encoding="utf-8") == true + "by hand\n"


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="made: findings"):
        made_page("reference/reports.md", "no marker here")


def test_the_known_commands_are_there() -> None:
    assert set(own_commands()) >= {
        "import_sqlite", "verify_migration", "inspect_sqlite", "backup_sqlite", "quarantine",
        "sync_sqlite", "cutover", "rollback_migration", "rehearse_migration", "migration_status",
        "demo", "create_database", "document_commands",
    }  # fmt: skip
    assert "runserver" not in own_commands()


@pytest.mark.parametrize("name", sorted(own_commands()))
def test_every_example_parses_and_every_argument_is_explained(name: str) -> None:
    command = own_commands()[name]
    parser = command.create_parser("manage.py", name)
    examples = getattr(command, "examples", ())
    assert examples
    for example in examples:
        program, used, *arguments = shlex.split(example.split("  #")[0].split(" > ")[0])
        assert (program, used) == ("manage.py", name)
        parser.parse_args(arguments)
        assert example in parser.format_help() or name == "create_database"
    assert all(action.help for action in parser._actions), name


def documented_lines() -> list[tuple[str, str]]:
    """Every line of a shell block of README.md and docs/ that calls a command of ours."""
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        block = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("```"):
                block = "" if block else line.removeprefix("```") or "text"
            elif block == "sh" and "manage.py " in line:
                called = line.split("manage.py ", 1)[1].split("  #")[0].split(" > ")[0]
                found.append((page.name, called.split("&&")[0].split("|")[0].strip()))
    return [(page, line) for page, line in found if line.split(" ")[0] in own_commands()]


def test_every_command_line_of_the_documentation_parses() -> None:
    lines = documented_lines()
    assert len(lines) > 30
    for page, line in lines:
        name, *arguments = shlex.split(line, comments=True)
        parser = own_commands()[name].create_parser("manage.py", name)
        try:
            parser.parse_args(arguments)
        except (SystemExit, CommandError) as error:
            pytest.fail(f"{page}: manage.py {line}: {error}")


@pytest.mark.parametrize("options", ["--level counts --level full", "--level=full --level full"])
def test_an_option_given_twice_is_an_error(options: str) -> None:
    parser = own_commands()["verify_migration"].create_parser("manage.py", "verify_migration")
    with pytest.raises(CommandError, match="given twice"):
        parser.parse_args(options.split())
    both = parser.parse_args(["--table", "a", "--table", "b"])
    assert both.table == ["a", "b"]


def test_help_begins_with_the_commands_of_this_project() -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "help"], capture_output=True, text=True
    )
    assert ended.returncode == 0
    first, rest = ended.stdout.split("Type 'manage.py help", 1)
    assert {"import_sqlite", "verify_migration", "cutover"} <= set(first.split())
    assert max(map(len, first.splitlines())) <= 80
    assert "runserver" in rest
    names = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "help", "--commands"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert all(len(line.split()) == 1 for line in names.stdout.splitlines())
