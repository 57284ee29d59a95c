"""The JSON documents of a block, compared as documents without a look at each of them.

orjson parses the documents of a column in one go, on both sides, and prints them with sorted keys.
Equal prints are equal documents, as far as a double tells numbers apart. If a number has more
digits than that, or if a document needs a repair, each document is spelled as jsonb prints it
(`documents`) and compared as text.

Example: `{"b": 1, "a": 2}` in the file and `{"a": 2, "b": 1}` in the target print the same.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Any

import orjson

from stillme.transfer.plumbing.garbage import no_search_for_cycles
from stillme.transfer.verify.kinds.json_documents import NotPlain, jsonb_spelling

# Two numbers of up to 15 digits are the same double only if they are the same number, unless an
# exponent takes one beyond the doubles: 1e-400 is read as 0.0. jsonb prints no exponents.
_BELOW = re.compile(rb"[0-9][eE]-[0-9]{3}")
_DIGITS = bytes(ord("0") if byte in b"0123456789." else ord(" ") for byte in range(256))
_LONG_NUMBER = re.compile(rb"[0-9][0-9.]{15,}(?:[eE][+-]?[0-9]+)?")
# orjson reads 1,024 levels and prints 254. What it prints is far from the 500 that jsonb takes.
_NOT_FOR_ORJSON = (orjson.JSONDecodeError, orjson.JSONEncodeError)
_NULL = b"null"


class DocumentBlock:
    """The documents of one column in a block of rows; None is NULL."""

    def __init__(self, column: Sequence[bytes | None]) -> None:
        self._column = column
        self._text = b"[" + b",".join([_NULL if d is None else d for d in column]) + b"]"
        # The print of all of them; empty where one might not be what jsonb takes unchanged.
        with no_search_for_cycles():
            self._printed = _printed_if_all_plain(column)

    @property
    def rows(self) -> int:
        """The number of documents, NULL included."""
        return len(self._column)

    @property
    def plain(self) -> list[bool]:
        """For each document, whether jsonb takes it unchanged. NULL is plain."""
        if self._printed:
            return [True] * len(self._column)
        return [document is None or _is_plain(document) for document in self._column]

    @property
    def stored(self) -> str:
        """SHA-256 of the documents as they are written."""
        return hashlib.sha256(self._text).hexdigest()

    def is_same(self, target: bytes) -> bool:
        """Whether `target`, what PostgreSQL prints for the column as one array, is the same."""
        with no_search_for_cycles():
            if self._printed and self._is_same_print(target):
                return True
        return self._spelling().encode() == target

    def _is_same_print(self, target: bytes) -> bool:
        try:
            if _print(orjson.loads(target)) != self._printed:
                return False
        except _NOT_FOR_ORJSON:
            return False
        return _numbers_are_exact(target) and _numbers_are_exact(self._text)

    def _spelling(self) -> str:
        """What PostgreSQL prints for the column if it holds the same documents."""
        spelled = (_NULL.decode() if d is None else _spelled(d) or "" for d in self._column)
        return "[" + ",".join(spelled) + "]"


def _printed_if_all_plain(column: Sequence[bytes | None]) -> bytes:
    """Print the documents with sorted keys.

    Empty if jsonb might not take one of them unchanged. They are parsed as one array, and between
    two of them stands a number that nobody can foresee: so a text that is no document (``[1``) does
    not become one together with its neighbours. A key that stands twice is noticed by the number of
    quotes: the printed documents have fewer. Only a quote written as U+0022 could make up for that.
    """
    stop = secrets.randbits(60)
    between = b",%d," % stop
    text = b"[" + between.join([_NULL if d is None else d for d in column]) + b"]"
    try:
        parsed = orjson.loads(text)
        stops, parsed = parsed[1::2], parsed[::2]
        printed = _print(parsed)
    except _NOT_FOR_ORJSON:
        return b""
    # Printed without a backslash, nothing of that kind was in it.
    if b"\\" in printed and (b"\\u0000" in text or b"\\u0022" in text):
        return b""
    if len(parsed) != len(column) or stops != [stop] * (len(column) - 1):
        return b""
    return printed if text.count(b'"') == printed.count(b'"') else b""


def _print(parsed: Any) -> bytes:
    return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)


def _numbers_are_exact(text: bytes) -> bool:
    """Whether each long number is spelled as Python spells its double: then no digit is lost.

    Not where a number may be so small that its double is another one, or zero.
    """
    if (b"e-" in text or b"E-" in text) and _BELOW.search(text):
        return False
    if b"0" * 16 not in text.translate(_DIGITS):
        return True
    return all(repr(float(n)).encode() == n for n in set(_LONG_NUMBER.findall(text)) if _is_one(n))


def _is_one(number: bytes) -> bool:
    return number.count(b".") <= 1


def _is_plain(document: bytes) -> bool:
    return bool(_printed_if_all_plain([document])) or _spelled(document) is not None


def _spelled(document: bytes) -> str | None:
    try:
        return jsonb_spelling(document.decode("utf-8"))
    except (NotPlain, UnicodeDecodeError):
        return None
