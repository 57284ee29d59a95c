"""The inventory of the legacy side, as data: everything that holds rows, and what became of it.

Each line is one table, file or folder that holds data. It is *carried* (a mapping moves it),
*left* (somebody decided so, and said why) or *open* (nobody decided). While a line is open no
verdict is good: `import_sqlite` and `verify_migration` end 1, the go/no-go list is red.

Example: a file that somebody added a table to gives
``InventoryLine("accuracy", "user_ratings", 5, "open", why="no model declares this table")``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from stillme.visible import counted

Fate = Literal["carried", "left", "open"]


@dataclass(frozen=True, slots=True)
class InventoryLine:
    """One thing that holds data.

    `file` is the short name of the legacy file or store (``rss``, ``vector``), `name` the table,
    file or folder in it, `rows` how many rows it has (None where that means nothing, as for a
    folder). `target` names where carried rows go. `why` is one sentence: why it is open, or the
    reason of the decision to leave it, which `who` made at `when` (ISO 8601, UTC).
    """

    file: str
    name: str
    rows: int | None
    fate: Fate
    target: str = ""
    why: str = ""
    who: str = ""
    when: str = ""

    @property
    def sentence(self) -> str:
        """One line for people."""
        rows = "" if self.rows is None else f", {counted(self.rows, 'row')}"
        return f"{self.file}.{self.name}{rows}: {self.why}"


def open_lines(lines: Iterable[InventoryLine]) -> list[InventoryLine]:
    """Those that nobody has decided about."""
    return [line for line in lines if line.fate == "open"]
