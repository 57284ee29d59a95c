"""The judge's reading of JSON documents: trees whose numbers are decimals."""

from __future__ import annotations

import json
import math
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds import json_documents
from stillme.transfer.verify.kinds.base import (
    MARK,
    Expected,
    KindJudge,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    utf8,
)
from stillme.transfer.verify.kinds.cell_comparison import show_tree
from stillme.transfer.verify.kinds.local_clock import LocalClock


class JsonJudge(KindJudge[kinds.Json]):
    """A document."""

    compared_apart = "document"

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The tree of the document, mended where docs/reference/values.md says so."""
        if storage in ("integer", "real"):
            if storage == "real" and math.isinf(raw):  # type: ignore[arg-type]
                raise MustBeSetAside("not_a_number")
            return Expected(json_documents.number_tree(repr(raw)), "number_in_json")
        try:
            tree, kept = json_documents.expected_tree(utf8(raw))
        except json_documents.Beyond:
            raise MustBeSetAside("json_too_large") from None
        return Expected(tree, kept)

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """A mark: the document is compared apart from the line."""
        return f"iif({quoted(column.legacy)} IS NULL, '~', '{MARK}')"

    def target_piece(self, name: str) -> str:
        """A mark."""
        return f"CASE WHEN {name} IS NULL THEN '~' ELSE '{MARK}' END"

    def compared(self, name: str) -> str:
        """Its text: Python would lose digits."""
        return f"{name}::text"

    def read(self, found: Any) -> Any:
        """The tree of PostgreSQL's text."""
        return json_documents.target_tree(found)

    def is_same(self, found: Any, wanted: Any) -> bool:
        """The same tree."""
        return json_documents.is_same_tree(found, wanted)

    def show(self, value: Any) -> str | None:
        """The tree."""
        return show_tree(value)

    def parameter(self, value: Any) -> Any:
        """The tree as JSON."""
        return _spelled(value)

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """As the old application's `json.dumps` spells it, if that is still the same document."""
        return "text", _dumped(value).encode()

    def is_other_spelling(self, before: Stored, after: Stored) -> bool:
        """jsonb keeps the document, not its spelling."""
        if before[0] != "text" or after[0] != "text":
            return False
        try:
            (before_tree, before_kept), (after_tree, after_kept) = (
                json_documents.expected_tree(bytes(cell[1]).decode())  # type: ignore[arg-type]
                for cell in (before, after)
            )
        except (UnicodeDecodeError, json_documents.Beyond):
            return False
        return before_kept == after_kept and json_documents.is_same_tree(before_tree, after_tree)


def _dumped(text: str) -> str:
    try:
        spelled = json.dumps(json.loads(text))
        same = json_documents.is_same_tree(
            json_documents.target_tree(spelled), json_documents.target_tree(text)
        )
    except (ValueError, json_documents.Beyond, RecursionError):
        return text
    return spelled if same else text


def _spelled(tree: Any) -> str:
    name, content = tree
    if name == "object":
        return "{" + ", ".join(f"{json.dumps(k)}: {_spelled(v)}" for k, v in content.items()) + "}"
    if name == "array":
        return "[" + ", ".join(map(_spelled, content)) + "]"
    return str(content) if name == "number" else json.dumps(content)
