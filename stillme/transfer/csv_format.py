"""The CSV that goes to PostgreSQL's COPY: which character quotes, and how a line is written.

The quote is U+0001, which stored text practically never holds: lines then need no doubling of
quotes, by SQLite before and by PostgreSQL after. NULL is the empty field, every text is quoted.
"""

from __future__ import annotations

from collections.abc import Sequence

QUOTE = "\x01"
COPY_OPTIONS = r"FORMAT csv, QUOTE E'\x01'"


def csv_line(cells: Sequence[str | None]) -> str:
    """One line: None is NULL."""
    return ",".join("" if cell is None else quoted_cell(cell) for cell in cells) + "\n"


def quoted_cell(text: str) -> str:
    """One cell that is not NULL."""
    return QUOTE + text.replace(QUOTE, QUOTE * 2) + QUOTE
