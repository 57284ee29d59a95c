"""The inventory on a terminal: what holds data and is not carried."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stillme.transfer.inventory.entries import InventoryLine, open_lines
from stillme.transfer.reports.terminal.tables import plain_table, print_table

HOW = "`manage.py inventory leave FILE.NAME --note WHY` leaves it behind"


def print_open(console: Console, lines: Sequence[InventoryLine]) -> None:
    """One line for everything that nobody has decided about."""
    for line in open_lines(lines):
        console.print(f"[red]not carried[/] {escape(line.sentence)}", soft_wrap=True)


def print_left(console: Console, lines: Sequence[InventoryLine]) -> None:
    """One line for everything that somebody decided to leave."""
    for line in lines:
        if line.fate == "left":
            who = f" ({line.who}, {line.when})" if line.who else ""
            console.print(f"[yellow]left[/] {escape(line.sentence + who)}", soft_wrap=True)


def render_inventory(console: Console, lines: Sequence[InventoryLine]) -> None:
    """Everything that holds data, and what is to be decided."""
    print_table(console, _table(lines))
    print_left(console, lines)
    print_open(console, lines)
    undecided = len(open_lines(lines))
    if undecided:
        console.print(
            f"[red]{undecided} of {len(lines)} not carried and undecided.[/] {escape(HOW)}.",
            soft_wrap=True,
        )
    else:
        console.print(f"[green]All {len(lines)} are carried, or left by a decision.[/]")


def _table(lines: Sequence[InventoryLine]) -> Table:
    table = plain_table("Inventory", ("file", "what holds data", "fate", "goes to"), ("rows",))
    for line in lines:
        rows = "" if line.rows is None else f"{line.rows:,}"
        table.add_row(line.file, line.name, line.fate, line.target, rows)
    return table
