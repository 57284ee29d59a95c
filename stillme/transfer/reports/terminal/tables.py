"""How every line and table looks on a terminal: no frame, figures whole and to the right, 80
columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stillme.visible import visible

WIDTH = 80


def marked(colour: str, words: str, rest: str = "") -> Text:
    """Words in a colour, then the rest as it is. Nothing that a file holds is markup."""
    return Text.assemble((visible(words), colour), visible(rest))


def say(console: Console, mark: str, said: str | Iterable[str], colour: str = "") -> None:
    """A line for a sentence, or for each of several, after a mark such as ``missing``."""
    for sentence in [said] if isinstance(said, str) else said:
        console.print(marked(colour, mark, f" {sentence}"), soft_wrap=True)


def tell(console: Console, text: str, mark: str = "", colour: str = "yellow") -> None:
    """A sentence no wider than 80 columns, after a mark where one is given."""
    words = marked(colour, mark, f" {text}") if mark else text
    console.print(words, width=min(console.width, WIDTH))


def print_rows(
    console: Console,
    title: str,
    words: Sequence[str],
    figures: Sequence[str],
    rows: Iterable[Sequence[str | int | Text]],
    *,
    last: Sequence[str] = (),
) -> None:
    """A table no wider than 80 columns, whatever the terminal.

    Columns of words, which fold where they must, then of figures, which never do, then the `last`
    ones of words. Coloured cells are `marked`; whole numbers get their separators here.
    """
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
    for name in last:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    width = min(console.width, WIDTH)
    if table.__rich_measure__(console, console.options).maximum > width:
        table.padding = (0, 0)
    console.print(table, width=width)
