"""How every table looks on a terminal: no frame, figures whole and to the right, 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

WIDTH = 80


def plain_table(title: str, words: Sequence[str], figures: Sequence[str] = ()) -> Table:
    """A table of columns of words, which fold where they must, and of figures, which never do."""
    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for name in words:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_table(console: Console, table: Table) -> None:
    """Print it no wider than 80 columns, whatever the terminal."""
    width = min(console.width, WIDTH)
    if table.__rich_measure__(console, console.options).maximum > width:
        table.padding = (0, 0)
    console.print(table, width=width)
