"""Whether jsonb takes a huge document unchanged, told in one pass over its pieces.

Nothing of the document is kept but the token at hand (of a text that is a value not even that)
and a 64-bit number for each key of the objects that are open. The answer is False when in doubt:
the document is then read whole (`json_policy`), which decides.
"""

from __future__ import annotations

import codecs
import json
import re
from array import array
from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any, NamedTuple

import orjson

from stillme.postgresql.json_depth import DEEPEST
from stillme.transfer.steps.kinds.json_policy import TooLarge, check_number

# A number of numeric's has up to 147,456 digits. What is longer than this, a key say, is doubtful.
_LONGEST_TOKEN = 256 << 10
# How much a pattern may take at one stroke: it remembers up to a kilobyte for every two bytes, as
# Python before 3.11.5 has no quantifier that reliably forgets.
_STROKE = 16 << 10
# Containers in one another that a pattern takes at one stroke. Each doubles the pattern.
_LEVELS = 4

_SPACE = rb"[ \t\n\r]*"
_HEX = rb"[0-9a-fA-F]"
# Neither U+0000 nor half of a surrogate pair: jsonb holds none of them.
_UNIT = rb"(?!0000|[dD][89a-fA-F])" + _HEX + rb"{4}"
_PAIR = rb"[dD][89abAB]" + _HEX + rb"{2}\\u[dD][c-fC-F]" + _HEX + rb"{2}"
_ESCAPE = rb'\\(?:["\\/bfnrt]|u(?:' + _UNIT + b"|" + _PAIR + b"))"
_PLAIN = rb'[^"\\\x00-\x1f]*'
_INSIDE = _PLAIN + b"(?:" + _ESCAPE + _PLAIN + b")*"
# A number has ended only where something follows it.
_ENDS = rb"(?=[ \t\n\r,\]}])"
# Within numeric and within a double.
_USUAL = (
    rb"(?:-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,2})?|true|false|null)"
    + _ENDS
)
_NUMBER = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?" + _ENDS
_KEY = b'"(' + _INSIDE + b')"' + _SPACE + b":"

_skip_space = re.compile(_SPACE).match
_bare = re.compile(rb"[^ \t\n\r,\]}]*").match
_text_part = re.compile(_INSIDE).match
_key = re.compile(_KEY).match
_usual = re.compile(_USUAL).match
_number = re.compile(_NUMBER).match


class _Runs(NamedTuple):
    """Takes what most of a document consists of at one stroke: consecutive members of an object,
    items of an array, each with its comma and with a few levels of its own at most."""

    members: re.Pattern[bytes]
    items: re.Pattern[bytes]


@cache
def _runs() -> _Runs:
    """Compiled by the first huge document: it takes longer than the rest of this page."""
    key = b'"' + _INSIDE + b'"' + _SPACE + b":" + _SPACE
    value = b'(?:"' + _INSIDE + b'"|' + _USUAL + b")"
    for _ in range(_LEVELS):
        array, members = (
            _SPACE
            + b"(?:"
            + part
            + _SPACE
            + b"(?:,"
            + _SPACE
            + b"(?!"
            + end
            + b")|(?="
            + end
            + b")))*"
            for part, end in ((value, rb"\]"), (key + value, b"}"))
        )
        value = b"(?:" + value + rb"|\[" + array + rb"\]|{" + members + b"})"
    member, item = (
        re.compile(b"(?:" + _SPACE + part + _SPACE + b",)+") for part in (key + value, value)
    )
    return _Runs(member, item)


class _NotClean(Exception):
    """The document is not what jsonb takes unchanged, or it may not be."""


def is_clean(pieces: Iterable[bytes]) -> bool:
    """Whether jsonb takes the document unchanged; False when in doubt."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    scanner = _Scanner()
    try:
        for piece in pieces:
            decoder.decode(piece)
            scanner.feed(piece)
        decoder.decode(b"", final=True)
        scanner.finish()
    except (_NotClean, TooLarge, ValueError, orjson.JSONEncodeError):
        return False
    return True


def _parsed(text: bytes) -> Any:
    """The document of a valid text. Raises _NotClean where a key stands twice in an object.

    Printed again it then has fewer quotes; only those written as U+0022 could make up for it.
    """
    if b"\\u0022" in text:
        return json.loads(text, object_pairs_hook=_unique)
    found = orjson.loads(text)
    if text.count(b'"') != orjson.dumps(found).count(b'"'):
        raise _NotClean
    return found


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise _NotClean
    return found


class _Keys:
    """The keys of one open object. Raises _NotClean where one may stand twice.

    A number stands for a key: two keys with the same number are only taken for one, which is
    doubt. Many are kept in arrays, by their last bits: 8 bytes a key.
    """

    _FEW = 256
    _PARTS = 64
    __slots__ = ("_few", "_many")

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._many: list[array[int]] = []

    def add(self, keys: Collection[str]) -> None:
        """The next keys, no two of them the same."""
        expected = len(self._few) + len(keys)
        self._few.update(map(hash, keys))
        if len(self._few) < expected:
            raise _NotClean
        if expected >= self._FEW:
            self._put_away()

    def close(self) -> None:
        """There are no more."""
        if not self._many:
            return
        self._put_away()
        for part in self._many:
            if len(set(part)) != len(part):
                raise _NotClean

    def _put_away(self) -> None:
        if not self._many:
            self._many = [array("q") for _ in range(self._PARTS)]
        for number in self._few:
            self._many[number % self._PARTS].append(number)
        self._few.clear()


class _Scanner:
    """Goes through a document as its pieces come.

    `_step` takes what it can from `_at` on and says which step is next by setting itself; it
    answers False where the piece ends too early. `_open` are the keys of each object around that
    place, None for an array.
    """

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._open: list[_Keys | None] = []
        self._is_first = False
        self._step: Callable[[], bool] = self._value

    def feed(self, piece: bytes) -> None:
        """The next piece. Raises _NotClean, TooLarge."""
        self._data = self._data[self._at :] + piece
        self._at = 0
        while self._step():
            pass
        if len(self._data) - self._at > _LONGEST_TOKEN:
            raise _NotClean

    def finish(self) -> None:
        """There are no more. Raises _NotClean, TooLarge."""
        self.feed(b" ")
        if self._step != self._end or self._at < len(self._data):
            raise _NotClean

    def _next(self) -> bytes:
        """The next byte that is no white space; empty at the end of the piece."""
        found = _skip_space(self._data, self._at)
        assert found is not None
        self._at = found.end()
        return self._data[self._at : self._at + 1]

    def _value(self) -> bool:
        in_array = bool(self._open) and self._open[-1] is None
        if in_array and (run := self._run(_runs().items)):
            if b"{" in run:
                _parsed(b"[" + run + b"]")
            self._is_first = False
        byte = self._next()
        if byte == b'"':
            self._at += 1
            self._step = self._text
        elif byte == b"{" or byte == b"[":
            self._enter(_Keys() if byte == b"{" else None)
        elif byte == b"]" and in_array and self._is_first:
            self._leave()
        else:
            return self._plain_scalar()
        return True

    def _run(self, pattern: re.Pattern[bytes]) -> bytes:
        """What the pattern takes from here, without the last comma; empty for nothing."""
        if len(self._open) + _LEVELS >= DEEPEST:
            return b""
        found = pattern.match(self._data, self._at, self._at + _STROKE)
        if found is None:
            return b""
        self._at = found.end()
        return found[0][:-1]

    def _plain_scalar(self) -> bool:
        """A number or a constant."""
        found = _usual(self._data, self._at)
        if found is None:
            bare = _bare(self._data, self._at)
            assert bare is not None
            if bare.end() == len(self._data):
                # It may go on in the next piece; to look for a number now would try each digit.
                return False
            found = _number(self._data, self._at)
            if found is None:
                raise _NotClean
            check_number(found[0].decode("ascii"))
        self._at = found.end()
        self._step = self._after
        return True

    def _text(self) -> bool:
        """The rest of a text, whose start may be long gone."""
        found = _text_part(self._data, self._at, self._at + _STROKE)
        assert found is not None
        self._at = found.end()
        if self._data[self._at : self._at + 1] != b'"':
            return bool(found[0])
        self._at += 1
        self._step = self._after
        return True

    def _member(self) -> bool:
        keys = self._open[-1]
        assert keys is not None
        if run := self._run(_runs().members):
            keys.add(_parsed(b"{" + run + b"}"))
            self._is_first = False
        byte = self._next()
        if byte == b"}" and self._is_first:
            self._leave()
        elif found := _key(self._data, self._at):
            keys.add([json.loads(b'"' + found[1] + b'"')])
            self._at = found.end()
            self._step = self._value
        else:
            return False
        return True

    def _enter(self, keys: _Keys | None) -> None:
        self._open.append(keys)
        if len(self._open) >= DEEPEST:
            raise _NotClean
        self._at += 1
        self._is_first = True
        self._step = self._value if keys is None else self._member

    def _leave(self) -> None:
        keys = self._open.pop()
        if keys is not None:
            keys.close()
        self._at += 1
        self._step = self._after

    def _after(self) -> bool:
        """What follows a value."""
        if not self._open:
            self._step = self._end
            return True
        byte = self._next()
        if byte == b",":
            self._at += 1
            self._is_first = False
            self._step = self._value if self._open[-1] is None else self._member
        elif byte == (b"]" if self._open[-1] is None else b"}"):
            self._leave()
        elif byte:
            raise _NotClean
        return bool(byte)

    def _end(self) -> bool:
        """The document is over: white space only."""
        if self._next():
            raise _NotClean
        return False
