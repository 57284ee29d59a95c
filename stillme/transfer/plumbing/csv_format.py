"""The CSV that goes to PostgreSQL's COPY: which character quotes, and how a line is written.

The quote is U+0001, which stored text practically never holds: lines then need no doubling of
quotes, by SQLite before and by PostgreSQL after. NULL is the empty field, every text is quoted.
"""

from __future__ import annotations

from collections.abc import Sequence

QUOTE = "\x01"
COPY_OPTIONS = r"FORMAT csv, QUOTE E'\x01'"


def csv_line(cells: Sequence[object]) -> str:
    """One line: None is NULL. Raises TypeError where a cell is no text."""
    return ",".join("" if cell is None else quoted_cell(cell) for cell in cells) + "\n"


def quoted_cell(text: object) -> str:
    """One cell that is not NULL."""
    if not isinstance(text, str):
        raise TypeError(f"{type(text).__name__} is not written in one line")
    return QUOTE + text.replace(QUOTE, QUOTE * 2) + QUOTE
