"""What the tests of huge JSON documents share."""

from __future__ import annotations

from typing import Any

import pytest

from stillme.transfer.sqlite.reading import huge_cells
from tests.transfer.load.support import query

HUGE, PIECE = 400, 64
FILL = '"fill": "' + "x" * HUGE + '"'


def filled(document: str) -> str:
    """With enough in it to be huge."""
    return document.replace("FILL", FILL)


IS_HELD = "SELECT metadata::text FROM accuracy.accuracy_scores WHERE id = %s"


def lower_threshold(patch: pytest.MonkeyPatch) -> None:
    """Everything is huge early."""
    patch.setattr(huge_cells, "HUGE_BYTES", HUGE)
    patch.setattr(huge_cells, "PIECE_BYTES", PIECE)


def held(key: int = 900) -> Any:
    ((text,),) = query(IS_HELD, key)
    return text
