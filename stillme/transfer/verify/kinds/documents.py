"""The judge's reading of JSON documents: trees whose numbers are decimals."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any, ClassVar

import orjson

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import EXACT_DOUBLE, quoted
from stillme.transfer.sqlite.reading.huge_cells import is_huge
from stillme.transfer.verify.kinds import json_documents
from stillme.transfer.verify.kinds.base import (
    MARK,
    Expected,
    KindJudge,
    Mend,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    utf8,
)
from stillme.transfer.verify.kinds.cell_comparison import show_tree
from stillme.transfer.verify.kinds.local_clock import LocalClock

_KEPT = ("not_json", "bad_escape", "not_finite", "duplicate_keys", "number_in_json")
_IS_NUMBER = len(_KEPT)
# What a document of usual size may be beyond jsonb by: a great exponent.
_USUAL_BYTES, _EXPONENT = 16_000, re.compile(rb"[0-9][eE][+-]?[0-9]{4}")

# A text without a backslash, or a number that jsonb has not.
_TOKEN = re.compile(rb'"[^"]*"|-?Infinity|NaN')


# SQL asks for the reason, then for the document.
@lru_cache(maxsize=2)
def _expectation(stored: bytes) -> tuple[int | None, str | None]:
    """The number of the reason for which the document must be kept, 0 for none, and what the target
    must hold in its place. None where the row must be set aside."""
    if _is_plain(stored):
        return 0, None
    finite = stored if b"\\" in stored else _TOKEN.sub(_finite, stored)
    if finite != stored and _is_plain(finite):
        return _KEPT.index("not_finite") + 1, finite.decode()
    try:
        tree, kept = json_documents.expected_tree(utf8(stored))
    except (json_documents.Beyond, MustBeSetAside):
        return None, None
    return (_KEPT.index(kept) + 1, _spelled(tree)) if kept else (0, None)


def _finite(token: re.Match[bytes]) -> bytes:
    return token[0] if token[0].startswith(b'"') else b"null"


def _is_plain(stored: bytes) -> bool:
    """Whether it is surely JSON with nothing to mend: printed again it has the same quotes, which
    those of a repeated key are missing from."""
    if len(stored) > _USUAL_BYTES or b"NaN" in stored or _EXPONENT.search(stored):
        return False
    if b"\\u0000" in stored or b"\\u0022" in stored:
        return False
    try:
        printed = orjson.dumps(orjson.loads(stored))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False
    return stored.count(b'"') == printed.count(b'"')


class JsonJudge(KindJudge[kinds.Json]):
    """A document."""

    compared_apart = "document"
    functions: ClassVar = {
        "why_document_kept": lambda stored: _expectation(stored)[0],
        "expected_document": lambda stored: _expectation(stored)[1],
    }

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

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Whatever `expect` mends: Python says so of each such document, and what must become."""
        name = quoted(column.legacy)
        found = [f"CAST(expected_document(CAST({name} AS BLOB)) AS BLOB)"] * (_IS_NUMBER - 1)
        found.append(f"CAST({EXACT_DOUBLE}({name}) AS BLOB)")
        return tuple(Mend(w, "", f"'{MARK}'", d) for w, d in zip(_KEPT, found, strict=True))

    def shape(self, column: MappedColumn, table: Table) -> str:
        """What Python says of a text of usual size; any finite number."""
        name, null = quoted(column.legacy), "NULL" if column.required else "0"
        said = "0" if table.documents_are_plain else f"why_document_kept(CAST({name} AS BLOB))"
        text = f"iif({is_huge(name)}, NULL, {said})"
        number = f"iif({name} > -9e999 AND {name} < 9e999, {_IS_NUMBER}, NULL)"
        return (
            f"CASE typeof({name}) WHEN 'null' THEN {null} WHEN 'text' THEN {text}"
            f" WHEN 'blob' THEN NULL ELSE {number} END"
        )

    def is_usual(self, column: MappedColumn, table: Table) -> str:
        """Whatever has a shape."""
        return f"{self.shape(column, table)} >= 0"

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
    """One frame of Python's stack a level, of which a document may have 500: no comprehension."""
    name, content = tree
    parts: list[str] = []
    if name == "object":
        for key, value in content.items():
            parts.append(f"{json.dumps(key)}: {_spelled(value)}")
        return "{" + ", ".join(parts) + "}"
    if name == "array":
        for value in content:
            parts.append(_spelled(value))
        return "[" + ", ".join(parts) + "]"
    return str(content) if name == "number" else json.dumps(content)
