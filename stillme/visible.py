"""Text as a terminal or a page may show it: what comes out of a file, and counted things.

A key, a name or a path may hold anything: escape sequences that colour or move what a terminal
shows, marks that turn the direction of writing around, halves of surrogate pairs that cannot be
printed at all.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any


def visible(text: str) -> str:
    """As Python spells what has no shape of its own; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in text)


def in_one_line(text: str) -> str:
    """The same, line breaks spelled as well."""
    return visible(text).replace("\n", "\\n")


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 row`, `1,200 rows`; `plural` where it is not the noun with an s.

    A verb goes with it: `counted(count, "row is open", "rows are open")`.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def fitting(text: str, stream: Any) -> str:
    """A sentence with line breaks between words where a terminal would break within one."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def fitting_error(sentence: str, first: str) -> str:
    """The same of what Django writes after a `first` word of its own, breaking no line."""
    return fitting(f"{first}: {visible(sentence)}", sys.stderr).removeprefix(f"{first}: ")


def is_utf_8(path: Path) -> bool:
    """Whether a path is text that PostgreSQL, JSON and HTML can hold; Linux allows any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
