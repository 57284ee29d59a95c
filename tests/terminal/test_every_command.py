"""Each command of this project on a terminal of 80 columns: nothing stale, nothing broken, an end.

`LIFE` is the story of a move in calls; every command is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from stillme.ops.documentation.command_page import own_commands
from tests.terminal.screen import WIDTH, Screen, on_terminal

# A call as typed ({} is a folder of the test's own), and how it may end.
LIFE: list[tuple[str, int]] = [
    ("create_database", 0),
    ("document_commands --check", 0),
    ("inspect_sqlite", 1),
    ("inventory", 0),
    ("backup_sqlite --to {}/backup", 0),
    ("backup_sqlite --check {}/backup", 0),
    ("import_sqlite --dry-run", 0),
    ("import_sqlite", 0),
    ("import_sqlite", 0),
    ("verify_migration --level counts", 1),
    ("verify_migration", 1),
    ("quarantine list", 0),
    ("quarantine show 1", 0),
    ("quarantine accept --reason nul_in_text --note tried", 0),
    ("quarantine accept --reason missing_parent --note tried", 0),
    ("verify_migration --round-trip", 0),
    ("search_index --create rss.fetch_items", 0),
    ("search_index", 0),
    ("search_index --drop rss.fetch_items", 0),
    ("distribute --dry-run", 2),
    ("sync_sqlite --install", 0),
    ("sync_sqlite --status", 0),
    ("sync_sqlite --once", 0),
    ("migration_status", 0),
    ("rehearse_migration", 0),
    ("verify_migration", 0),
    ("cutover --dry-run", 1),
    ("cutover --backup {}/backup", 0),
    ("rollback_migration", 0),
    ("sync_sqlite --remove", 0),
    ("empty_target --yes", 0),
    ("demo", 2),
]
# The whole day in a database that it makes: a sixth of the time of all of them.
LONG = "rehearse_migration"
# Ctrl-C is typed as soon as the command has written this.
STOPPED = {
    "import_sqlite": b"reading ",
    "verify_migration": b"reading ",
    "inspect_sqlite": b"reading ",
    "backup_sqlite --to {}/backup": b"copying ",
    "rehearse_migration": b"backup",
    "sync_sqlite --install": b"probes",
    "sync_sqlite --follow": b"replayed ",
    "cutover --dry-run": b"go",
    "demo": b"2. sample legacy files",
}
BEFORE = {
    "verify_migration": ("import_sqlite",),
    "sync_sqlite --follow": ("sync_sqlite --install",),
    "cutover --dry-run": ("sync_sqlite --install", "import_sqlite", "sync_sqlite --once"),
}


def typed(call: str, folder: Path) -> tuple[str, ...]:
    return tuple(call.format(folder).split())


def broken_words(screen: Screen, width: int) -> list[str]:
    """Lines that a terminal of this width breaks in the middle of a word that fits a line."""
    found = []
    for line in screen.drawn:
        before, after = line[:width], line[width:]
        if not after or before[-1] == " " or after[0] == " ":
            continue
        word = before.split(" ")[-1] + after.split(" ")[0]
        # A path or an address may be as long as it is.
        if len(word) <= width and "/" not in word:
            found.append(line)
    return found


def faults(screen: Screen, width: int = WIDTH) -> dict[str, object]:
    """What is wrong with the screen that a command leaves; empty for a clean one."""
    shown = screen.shown(width)
    found: dict[str, object] = {
        "a traceback": [line for line in shown if "Traceback" in line],
        "a frame of a bar": [line for line in shown if "━" in line],
        "two empty lines": [at for at, pair in enumerate(pairwise(shown)) if pair == ("", "")],
        "a broken word": broken_words(screen, width),
        "a cursor that is hidden": screen.raw.rfind("\x1b[?25l") > screen.raw.rfind("\x1b[?25h"),
        "a colour that goes on": screen.raw.rfind("\x1b[3") > screen.raw.rfind("\x1b[0m"),
    }
    return {name: what for name, what in found.items() if what}


def test_the_story_has_every_command() -> None:
    assert {call.split()[0] for call, _ in LIFE} == set(own_commands())


@pytest.mark.long
@pytest.mark.parametrize("width", [WIDTH, pytest.param(60, marks=pytest.mark.slow)])
def test_each_command_leaves_a_clean_screen(
    environment: dict[str, str], tmp_path: Path, width: int
) -> None:
    found: dict[str, object] = {}
    for call, status in LIFE:
        if call == LONG and width == WIDTH:
            # On the narrow terminal, with the slow tests.
            continue
        screen = on_terminal(environment, *typed(call, tmp_path), width=width)
        assert screen.status == status, (call, "\n".join(screen.shown(width)))
        found |= {f"{call}: {fault}": what for fault, what in faults(screen, width).items()}
    assert found == {}


@pytest.mark.slow
@pytest.mark.parametrize("call", STOPPED)
def test_ctrl_c_ends_it_and_leaves_a_clean_screen(
    environment: dict[str, str],
    use_legacy_files: Callable[[Path], None],
    tmp_path: Path,
    call: str,
) -> None:
    if call == "demo":
        # It refuses files that it did not make.
        use_legacy_files(tmp_path / "demo")
    for earlier in BEFORE.get(call, ()):
        assert on_terminal(environment, *typed(earlier, tmp_path)).status == 0
    screen = on_terminal(environment, *typed(call, tmp_path), interrupt=STOPPED[call])
    assert faults(screen) == {}
    if call == "sync_sqlite --follow":
        assert screen.status == 0, screen.text
    elif screen.status not in (0, 1):
        # 0 or 1: it was done before the key was read.
        assert screen.status == 2, screen.text
        assert "Interrupted" in screen.text, screen.text
