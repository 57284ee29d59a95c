"""The inventory on a terminal: what holds data and is not carried."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from stillme.transfer.inventory.entries import InventoryLine, open_lines
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import marked, print_rows, say

HOW = "`manage.py inventory leave FILE.NAME --note WHY` leaves it behind"


def print_open(console: Console, lines: Sequence[InventoryLine]) -> None:
    """One line for everything that nobody has decided about."""
    say(console, "not carried", (line.sentence for line in open_lines(lines)), "red")


def print_left(console: Console, lines: Sequence[InventoryLine]) -> None:
    """One line for everything that somebody decided to leave."""
    left = (
        line.sentence + (f" ({line.who}, {line.when})" if line.who else "")
        for line in lines
        if line.fate == "left"
    )
    say(console, "left", left, "yellow")


@or_json(lambda lines: {"open": len(open_lines(lines)), "lines": lines})
def render_inventory(console: Console, lines: Sequence[InventoryLine]) -> None:
    """Everything that holds data, and what is to be decided."""
    words = ("file", "what holds data", "fate", "goes to")
    rows = [
        (line.file, line.name, line.fate, line.target, "" if line.rows is None else line.rows)
        for line in lines
    ]
    print_rows(console, "Inventory", words, ("rows",), rows)
    print_left(console, lines)
    print_open(console, lines)
    undecided = len(open_lines(lines))
    if undecided:
        said = f"{undecided} of {len(lines)} not carried and undecided."
        say(console, said, f"{HOW}.", "red")
    else:
        console.print(marked("green", f"All {len(lines)} are carried, or left by a decision."))
