"""What the tests of huge JSON documents share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stillme.transfer.sqlite import huge_cell
from stillme.transfer.sqlite.huge_cell import HugeCell
from tests.transfer.load.support import query

HUGE, PIECE = 400, 64
FILL = '"fill": "' + "x" * HUGE + '"'


def filled(document: str) -> str:
    """With enough in it to be huge."""
    return document.replace("FILL", FILL)


IS_HELD = "SELECT metadata::text FROM accuracy.accuracy_scores WHERE id = %s"


def lower_threshold(patch: pytest.MonkeyPatch) -> None:
    """Everything is huge early."""
    patch.setattr(huge_cell, "HUGE_BYTES", HUGE)
    patch.setattr(huge_cell, "PIECE_BYTES", PIECE)


@contextmanager
def read_whole() -> Iterator[list[str]]:
    """Notes the columns whose huge value is read as one."""
    found: list[str] = []
    read = HugeCell.read

    def noted(cell: HugeCell) -> bytes:
        found.append(cell.column)
        return read(cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HugeCell, "read", noted)
        yield found


def server_compares() -> bool:
    ((version,),) = query("SELECT current_setting('server_version_num')::int")
    return bool(version >= 160_000)


def held(key: int = 900) -> Any:
    ((text,),) = query(IS_HELD, key)
    return text
