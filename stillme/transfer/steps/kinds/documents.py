"""JSON documents: stored as text, `jsonb` in the target.

A common document travels as the text it is; `stream` looks at it once, because jsonb would
silently drop a repeated key. What jsonb does not take is repaired by `json_policy`.
"""

from __future__ import annotations

import json
import math
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.steps.kinds import json_policy
from stillme.transfer.steps.kinds.base import (
    Cell,
    KindLoader,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
    repaired,
    text_cell,
)


class JsonLoader(KindLoader[kinds.Json]):
    """A document; compared as text, because to jsonb's own equality 1 is 1.0."""

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """The text in quotes."""
        return text_cell(column)

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The document, repaired where jsonb does not hold it; a number is one too."""
        if storage in ("integer", "real"):
            if isinstance(raw, float) and not math.isfinite(raw):
                raise Refused("not_a_number", f"{raw!r} is no JSON number.")
            return repaired(repr(raw), "number_in_json")
        try:
            document, reason = json_policy.convert(decode(raw))
        except json_policy.TooLarge as error:
            raise Refused("json_too_large", str(error)) from error
        return repaired(document, reason) if reason else Cell(document)

    def read_target(self, name: str) -> str:
        """Its text: Python would lose digits."""
        return f"{name}::text"

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """The text as it is; `json_too_large` where a load would set its row aside."""
        text, lost = str(value), ""
        if len(text) > json_policy.DEEP_FROM:
            try:
                json_policy.convert(text)
            except json_policy.TooLarge:
                lost = "json_too_large"
        return Rendered(ascii_json(text), lost)


def ascii_json(text: str) -> str:
    """PostgreSQL's text of a jsonb as Python's json.dumps would escape it, digits untouched.

    Both write ``": "`` and ``", "``; beyond ASCII stands only inside strings.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(c if c < "\x7f" else json.dumps(c)[1:-1] for c in text)
