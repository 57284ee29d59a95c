"""JSON documents: stored as text, `jsonb` in the target.

A common document travels as the text it is; `stream` looks at it once, because jsonb would
silently drop a repeated key. What jsonb does not take is repaired by `json_policy`.
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any, ClassVar

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.connect import EXACT_DOUBLE, quoted
from stillme.transfer.sqlite.reading.huge_cells import is_huge
from stillme.transfer.steps.kinds import json_policy
from stillme.transfer.steps.kinds.base import (
    QUOTE_SQL,
    Cell,
    KindLoader,
    Mend,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
    repaired,
    text_cell,
)

# In the order of `mends`.
_REASONS = ("duplicate_keys", "not_finite", "bad_escape", "not_json", "number_in_json")
_NUMBER = len(_REASONS)
# Each that PostgreSQL's numeric does not hold looks so, and some that it does.
_LARGE_NUMBER = re.compile(rb"[0-9](?:[eE][+-]?[0-9]{5}|[0-9]{99})")


# A row's SQL asks for the reason, then for the document.
@lru_cache(maxsize=2)
def _mended(stored: bytes) -> tuple[int | None, str | None]:
    """The number of the mend, 0 for a clean document; the mended one. None where it is refused."""
    # To refuse NaN takes longer than to look for it.
    if b"NaN" not in stored and json_policy.all_clean((stored,)):
        return 0, None
    try:
        text = stored.decode("utf-8")
        if (finite := json_policy.made_finite(text)) is not None:
            return _REASONS.index("not_finite") + 1, finite
        document, reason = json_policy.convert(text)
    except (json_policy.TooLarge, UnicodeDecodeError):
        return None, None
    return (_REASONS.index(reason) + 1, document) if reason else (0, None)


class JsonLoader(KindLoader[kinds.Json]):
    """A document; compared as text, because to jsonb's own equality 1 is 1.0."""

    functions: ClassVar = {
        "document_mend": lambda stored: _mended(stored)[0],
        "mended_document": lambda stored: _mended(stored)[1],
        "numbers_fit": lambda stored: not _LARGE_NUMBER.search(stored),
    }

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """The text in quotes."""
        return text_cell(column)

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """All that `convert` repairs: a document of usual size is handed to Python and back."""
        name = quoted(column.legacy)
        found = [f"mended_document(CAST({name} AS BLOB))"] * (_NUMBER - 1)
        found.append(f"{EXACT_DOUBLE}({name})")
        cells = (f"{QUOTE_SQL} || {document} || {QUOTE_SQL}" for document in found)
        return tuple(Mend(why, "", cell) for why, cell in zip(_REASONS, cells, strict=True))

    def shape(self, column: MappedColumn, table: Table) -> str:
        """What Python says of a text; a finite number is a document."""
        name, null = quoted(column.legacy), "NULL" if column.required else "0"
        said = "0" if table.documents_are_clean else f"document_mend(CAST({name} AS BLOB))"
        asked = f"CASE WHEN NOT {is_huge(name)} THEN {said} END"
        number = f"CASE WHEN {name} NOT IN (9e999, -9e999) THEN {_NUMBER} END"
        return (
            f"CASE typeof({name}) WHEN 'text' THEN {asked} WHEN 'null' THEN {null}"
            f" WHEN 'blob' THEN NULL ELSE {number} END"
        )

    def sound_test(self, name: str) -> str:
        """Python looks at all of it."""
        return "1"

    def strict_test(self, name: str) -> str:
        """PostgreSQL has limits for numbers."""
        return f"numbers_fit(CAST(ifnull({name}, '') AS BLOB))"

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
