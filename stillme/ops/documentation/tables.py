"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a table; the cells are Markdown already."""
    heads = tuple(heads)
    yield _line(heads)
    yield "|" + "---|" * len(heads)
    yield from map(_line, rows)


def code(text: object) -> str:
    """A text as Markdown code; a bar would end the cell of a table."""
    return "`" + str(text).replace("|", "\\|") + "`"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
