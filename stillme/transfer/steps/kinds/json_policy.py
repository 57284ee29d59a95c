"""What becomes of a JSON text, by docs/reference/values.md. The loader's reading of that table."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any, Never

import orjson

from stillme.postgresql.json_depth import DEEPEST, is_deeper
from stillme.transfer.plumbing.garbage import no_search_for_cycles

# PostgreSQL's numeric: up to 131072 digits before the point and 16383 after it. Zero has none
# before it, whatever its exponent says, as long as that is below half of a C int.
_MOST_BEFORE_POINT = 131_072
_MOST_AFTER_POINT = 16_383
_MOST_EXPONENT = (2**31 - 1) // 2
# A number with fewer characters and without an exponent is within both.
_SHORT = 1_000
# A shorter document cannot nest too deep.
DEEP_FROM = 2 * DEEPEST
# U+0000, which jsonb does not hold, and a quote that does not look like one.
_UNUSUAL = (b"\\u0000", b"\\u0022")
# The longer ones first.
_NOT_FINITE = ("-Infinity", "Infinity", "NaN")
_SURROGATE = re.compile("[\ud800-\udfff]")


class TooLarge(Exception):
    """The document is beyond what jsonb holds."""


class Number(str):
    """A JSON number kept as its text, so that no digit is lost."""


class _Constant(Exception):
    """NaN, Infinity or -Infinity was met."""


def all_clean(documents: Collection[bytes]) -> bool:
    """Whether jsonb takes every one of the documents unchanged; False when in doubt.

    They are parsed as one array, which takes a third of the time of one by one. Whatever trick
    the commas and brackets of invalid documents may play, PostgreSQL refuses them; what counts is
    that no key stands twice. Printed again the documents have as many quotes as before only where
    every key is still there: they lose those of a dropped key, and nothing gains any.
    """
    if not documents:
        return True
    with no_search_for_cycles():
        return _all_clean(documents)


def _all_clean(documents: Collection[bytes]) -> bool:
    text = b"[" + b",".join(documents) + b"]"
    try:
        found = orjson.loads(text)
        printed = orjson.dumps(found)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # Not JSON for orjson, or nested deeper than the 254 levels that it prints. PostgreSQL
        # takes 500: each document is looked at.
        return False
    # What is printed without a backslash held nothing unusual; most is, and it is the shorter text.
    if b"\\" in printed and (_UNUSUAL[0] in text or _UNUSUAL[1] in text):
        return False
    return len(found) == len(documents) and text.count(b'"') == printed.count(b'"')


def is_clean_bytes(document: bytes) -> bool:
    """`is_clean` of the bytes of a text; False where they are not UTF-8."""
    try:
        return is_clean(document.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def is_clean(text: str) -> bool:
    """Whether jsonb takes the text as the same document: a fast answer, False when in doubt.

    No key stands twice where the objects have as many keys as the text has ``":`` (and no key is
    written with white space before its colon).
    """
    if text == "{}":
        return True
    if '" ' in text or "\\u0000" in text:
        return False
    if "\n" in text or "\t" in text or "\r" in text or text.count("[") + text.count("{") >= DEEPEST:
        return False
    try:
        document, end = _SCAN(text, 0)
        if end != len(text) or text.count('":') != _count_keys(document):
            return False
        return not (("\\ud" in text or "\\uD" in text) and _has_lone_surrogate(document))
    except (ValueError, RecursionError, StopIteration, _Constant):
        return False


def _count_keys(document: Any) -> int:
    """The keys of all objects in a document."""
    if type(document) is dict:
        nested = [v for v in document.values() if type(v) is dict or type(v) is list]
        return len(document) + sum(map(_count_keys, nested)) if nested else len(document)
    return sum(map(_count_keys, document)) if type(document) is list else 0


def _has_lone_surrogate(document: Any) -> bool:
    """Half of a surrogate pair, which UTF-8 and so jsonb cannot hold."""
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _no_constant(name: str) -> Never:
    raise _Constant(name)


# One encoder: `json.dumps` makes a new one each time, which takes longer than a short text.
_encoded = json.JSONEncoder(ensure_ascii=False).encode
# The C scanner itself: `decode` would look for white space with a regular expression, twice.
_SCAN = json.JSONDecoder(parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]


def made_finite(text: str) -> str | None:
    """The text with null for NaN and the infinities, where that is all that `convert` would mend: a
    fast answer, None when in doubt.

    Without a backslash every other part between quotes is outside of strings.
    """
    if "\\" in text:
        return None
    parts = text.split('"')
    for number in range(0, len(parts), 2):
        for name in _NOT_FINITE:
            parts[number] = parts[number].replace(name, "null")
    finite = '"'.join(parts)
    return finite if finite != text and all_clean((finite.encode(),)) else None


def convert(text: str) -> tuple[str, str]:
    """(text for jsonb, reason): the reason is empty where the document is unchanged.

    Raises TooLarge for a number beyond numeric or nesting beyond what PostgreSQL parses.
    """
    reader = _Reader()
    try:
        document = reader.read(text)
    except json.JSONDecodeError:
        return _dump(text.replace("\0", "\ufffd")), "not_json"
    except RecursionError as error:
        raise TooLarge("The document is nested too deep.") from error
    if is_deeper(document, DEEPEST):
        raise TooLarge(f"The document is nested deeper than {DEEPEST} levels.")
    cleaned = _clean(document, reader.reasons)
    for reason in ("duplicate_keys", "not_finite", "bad_escape"):
        if reason in reader.reasons:
            return _dump(cleaned), reason
    return text, ""


class _Reader:
    """json.loads that keeps numbers as text and notes what jsonb would not take."""

    def __init__(self) -> None:
        self.reasons: set[str] = set()

    def read(self, text: str) -> Any:
        return json.loads(
            text,
            object_pairs_hook=self._object,
            parse_int=check_number,
            parse_float=check_number,
            parse_constant=self._constant,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self.reasons.add("duplicate_keys")
        return found

    def _constant(self, name: str) -> None:
        self.reasons.add("not_finite")


def check_number(text: str) -> Number:
    """The number, if PostgreSQL's numeric holds it. Raises TooLarge."""
    if len(text) < _SHORT and "e" not in text and "E" not in text:
        return Number(text)
    try:
        _, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation as error:
        raise TooLarge(f"The number {text[:20]}... is beyond PostgreSQL's numeric.") from error
    assert isinstance(exponent, int)
    before = len(digits) + exponent if any(digits) else 0
    if before > _MOST_BEFORE_POINT or not -_MOST_AFTER_POINT <= exponent < _MOST_EXPONENT:
        raise TooLarge(f"The number {text[:20]}... is beyond PostgreSQL's numeric.")
    return Number(text)


def _clean(node: Any, reasons: set[str]) -> Any:
    if type(node) is str:
        return _clean_text(node, reasons)
    if isinstance(node, dict):
        cleaned = {}
        for key, value in node.items():
            cleaned[_clean_text(key, reasons)] = _clean(value, reasons)
        return cleaned
    if not isinstance(node, list):
        return node
    # Not a comprehension, nor below: each level of nesting would take two frames of the stack.
    items = []
    for item in node:
        items.append(_clean(item, reasons))
    return items


def _clean_text(text: str, reasons: set[str]) -> str:
    cleaned = _SURROGATE.sub("\ufffd", text.replace("\0", "\ufffd"))
    if cleaned != text:
        reasons.add("bad_escape")
    return cleaned


def _dump(node: Any) -> str:
    if isinstance(node, Number):
        return str(node)
    if isinstance(node, dict):
        members = []
        for key, value in node.items():
            members.append(f"{_dump(str(key))}: {_dump(value)}")
        return "{" + ", ".join(members) + "}"
    if isinstance(node, list):
        items = []
        for item in node:
            items.append(_dump(item))
        return "[" + ", ".join(items) + "]"
    return _encoded(node)
