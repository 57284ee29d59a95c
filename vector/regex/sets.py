"""Sets of characters in a pattern of Rust's crate regex: escapes, and classes in brackets.

Classes nest, and have the operators &&, -- and ~~. `Cursor` is the place that is being read.
"""

from __future__ import annotations

import re

from vector.regex import charset
from vector.regex.charset import Ranges, RegexError

_CONTROLS = {"a": 7, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_DIGITS = {"x": 2, "u": 4, "U": 8}
# Assertions, by the characters that Rust takes for parts of a word.
_ASSERTIONS = {
    "A": r"\A", "z": r"\Z", "b": "(?:(?<={w})(?!{w})|(?<!{w})(?={w}))",
    "B": "(?:(?<={w})(?={w})|(?<!{w})(?!{w}))", "<": "(?:(?<!{w})(?={w}))",
    ">": "(?:(?<={w})(?!{w}))", "b{start}": "(?:(?<!{w})(?={w}))",
    "b{end}": "(?:(?<={w})(?!{w}))", "b{start-half}": "(?<!{w})", "b{end-half}": "(?!{w})",
}  # fmt: skip

_OPERATORS = ("&&", "--", "~~")


class Cursor:
    """A place in a pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self.at < len(self.pattern)

    def peek(self, ahead: int = 0) -> str:
        """The character there, '' beyond the end."""
        return self.pattern[self.at + ahead : self.at + ahead + 1]

    def next(self) -> str:
        """The character there, and one further."""
        char = self.peek()
        self.at += 1
        return char

    def take(self, char: str) -> bool:
        """Go beyond the character if it is there."""
        found = self.peek() == char
        self.at += found
        return found

    def match(self, expression: str) -> re.Match[str] | None:
        """Go beyond what matches there, if anything does."""
        found = re.compile(expression, re.ASCII).match(self.pattern, self.at)
        if found:
            self.at = found.end()
        return found


def read_escape(cursor: Cursor, *, fold: bool) -> Ranges | str:
    """What follows a backslash: a set of characters, or an assertion as PostgreSQL spells it."""
    if cursor.peek() == "b" and (found := cursor.match(r"b\{([a-z-]+)\}")):
        if f"b{{{found[1]}}}" not in _ASSERTIONS:
            raise RegexError(f"\\b{{{found[1]}}} is no word boundary")
        return _ASSERTIONS[f"b{{{found[1]}}}"].replace("{w}", charset.spell(charset.perl("w")))
    if (char := cursor.peek()) and char in _ASSERTIONS:
        cursor.next()
        return _ASSERTIONS[char].replace("{w}", charset.spell(charset.perl("w")))
    return read_set(cursor, fold=fold)


def read_set(cursor: Cursor, *, fold: bool) -> Ranges:
    """The characters that an escape stands for. Raises RegexError for one that stands for none.

    A property is folded here, before it is negated; one character is left to the caller, who may
    want it for a range.
    """
    char = cursor.next()
    if not char:
        raise RegexError("a pattern must not end with a backslash")
    if char in "dDsSwW":
        return charset.perl(char)
    if char in "pP":
        found = cursor.match(r"\{(\^?)([^}]*)\}|([^{])")
        if found is None:
            raise RegexError(f"\\{char} names no property of Unicode")
        ranges = charset.unicode_property(found[1] + found[2] if found[3] is None else found[3])
        ranges = charset.fold(ranges) if fold else ranges
        return charset.negate(ranges) if char == "P" else ranges
    code = _code(cursor, char)
    return ((code, code),)


def _code(cursor: Cursor, char: str) -> int:
    if char in _CONTROLS:
        return _CONTROLS[char]
    if char in _DIGITS:
        digits = f"([0-9A-Fa-f]{{{_DIGITS[char]}}})"
        found = cursor.match(r"\{([0-9A-Fa-f]+)\}|" + digits)
        code = int((found[1] or found[2]), 16) if found else -1
        if not (0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF):
            raise RegexError(f"\\{char} names no character")
        return code
    if char.isascii() and char.isdigit():
        raise RegexError("backreferences are not supported, by Chroma neither")
    if char.isascii() and not char.isalnum() and char not in "<>":
        return ord(char)
    raise RegexError(f"\\{char} is no escape that Chroma knows")


def read_class(cursor: Cursor, *, fold: bool) -> Ranges:
    """The set of a class whose bracket is open already; `fold`: without regard to case."""
    negated = cursor.take("^")
    total: Ranges = ()
    operator = ""
    current: Ranges = ()
    while cursor.take("-"):
        current = charset.union(current, [(45, 45)])
    if not current and cursor.take("]"):
        current = ((93, 93),)
    while not cursor.take("]"):
        if not cursor.more:
            raise RegexError("a class is not closed: write \\[ for a bracket")
        if (pair := cursor.peek() + cursor.peek(1)) in _OPERATORS:
            cursor.at += 2
            total, operator, current = _combined(total, operator, current), pair, ()
        else:
            current = charset.union(current, _item(cursor, fold))
    found = _combined(total, operator, current)
    return charset.negate(found) if negated else found


def _item(cursor: Cursor, fold: bool) -> Ranges:
    """A class within a class, a named one, a range, or a single character."""
    if cursor.peek() == "[":
        if named := cursor.match(r"\[:(\^?)([a-z]+):\]"):
            if named[2] in charset.POSIX:
                ranges = _folded(charset.POSIX[named[2]], fold)
                return charset.negate(ranges) if named[1] else ranges
            cursor.at = named.start()
        cursor.next()
        return read_class(cursor, fold=fold)
    first = _single(cursor, fold)
    if cursor.peek() != "-" or cursor.peek(1) in ("]", "-", ""):
        return _folded(first, fold) if is_one(first) else first
    cursor.next()
    last = _single(cursor, fold)
    if not is_one(first) or not is_one(last):
        raise RegexError("a range in a class must be from one character to another")
    if first[0][0] > last[0][0]:
        raise RegexError("a range in a class ends before it starts")
    return _folded(((first[0][0], last[0][0]),), fold)


def _single(cursor: Cursor, fold: bool) -> Ranges:
    """A character, or the set of an escape."""
    char = cursor.next()
    return read_set(cursor, fold=fold) if char == "\\" else ((ord(char), ord(char)),)


def _folded(ranges: Ranges, fold: bool) -> Ranges:
    return charset.fold(ranges) if fold else ranges


def is_one(ranges: Ranges) -> bool:
    """Whether it is a single character."""
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _combined(total: Ranges, operator: str, current: Ranges) -> Ranges:
    if operator == "&&":
        return charset.intersect(total, current)
    if operator == "--":
        return charset.intersect(total, charset.negate(current))
    if operator == "~~":
        both = charset.intersect(total, current)
        return charset.intersect(charset.union(total, current), charset.negate(both))
    return current
