"""Bracketed classes of Rust's crate regex: nested, and with the operators &&, -- and ~~."""

from __future__ import annotations

from vector.regex import charset
from vector.regex.charset import Ranges
from vector.regex.errors import RegexError
from vector.regex.escapes import Cursor, read_set

_OPERATORS = ("&&", "--", "~~")


class ClassReader:
    """Reads one class, whose bracket is open already; `fold`: without regard to case."""

    def __init__(self, cursor: Cursor, *, fold: bool) -> None:
        self.cursor, self.fold = cursor, fold

    def read(self) -> Ranges:
        """The set. Raises RegexError."""
        found = self._class()
        if not found:
            raise RegexError("a class has no characters")
        return found

    def _class(self) -> Ranges:
        cursor = self.cursor
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
                current = charset.union(current, self._item())
        found = _combined(total, operator, current)
        return charset.negate(found) if negated else found

    def _item(self) -> Ranges:
        cursor = self.cursor
        if cursor.peek() == "[":
            if named := cursor.match(r"\[:(\^?)([a-z]+):\]"):
                if named[2] in charset.POSIX:
                    ranges = self._folded(charset.POSIX[named[2]])
                    return charset.negate(ranges) if named[1] else ranges
                cursor.at = named.start()
            cursor.next()
            return self._class()
        first = self._single()
        if cursor.peek() != "-" or cursor.peek(1) in ("]", "-", ""):
            return self._folded(first) if _is_one(first) else first
        cursor.next()
        last = self._single()
        if not _is_one(first) or not _is_one(last):
            raise RegexError("a range in a class must be from one character to another")
        if first[0][0] > last[0][0]:
            raise RegexError("a range in a class ends before it starts")
        return self._folded(((first[0][0], last[0][0]),))

    def _single(self) -> Ranges:
        """A character, or the set of an escape."""
        char = self.cursor.next()
        if char == "\\":
            return read_set(self.cursor, fold=self.fold)
        return ((ord(char), ord(char)),)

    def _folded(self, ranges: Ranges) -> Ranges:
        return charset.fold(ranges) if self.fold else ranges


def _is_one(ranges: Ranges) -> bool:
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
