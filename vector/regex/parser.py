"""Reads a pattern of Rust's crate regex and writes PostgreSQL's as it goes.

Whether a text matches is all that is asked, so greed, captures and their names are dropped. What a
pattern means there: https://docs.rs/regex/latest/regex/#syntax
"""

from __future__ import annotations

import re

from vector.regex import charset
from vector.regex.charset import Ranges, RegexError
from vector.regex.sets import Cursor, is_one, read_class, read_escape

_MOST_REPEATS = 255
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]]*")
_NEWLINE: Ranges = ((10, 10),)
_UNSUPPORTED_FLAGS = {
    "x": "the flag x (spaces and comments in a pattern)",
    "R": "the flag R (CRLF as line ends)",
}


# Those that change what matches: (?i), (?m), (?s).
Flags = frozenset[str]


def translate(pattern: str) -> str:
    """The same pattern for PostgreSQL's `~`. Raises RegexError."""
    parser = _Parser(pattern)
    found = parser.alternatives(frozenset())
    if parser.cursor.more:
        raise RegexError("a group is closed that was not opened")
    return found


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.cursor = Cursor(pattern)
        self.names: set[str] = set()

    def alternatives(self, flags: Flags) -> str:
        """Branches up to the end of the group or of the pattern, as one group."""
        branches: list[str] = [""]
        while self.cursor.more and self.cursor.peek() != ")":
            if self.cursor.take("|"):
                branches.append("")
                continue
            found, flags = self._piece(flags)
            branches[-1] += found
        return f"(?:{'|'.join(branch or '(?:)' for branch in branches)})"

    def _piece(self, flags: Flags) -> tuple[str, Flags]:
        """One atom with what repeats it; a group of flags alone changes those that follow."""
        cursor = self.cursor
        if cursor.peek() in "*+?{":
            raise RegexError(f"{cursor.peek()} repeats nothing: write \\{cursor.peek()} for itself")
        if cursor.take("("):
            atom, flags, is_atom = self._group(flags)
            if not is_atom:
                return "", flags
        else:
            atom = self._atom(flags)
        while cursor.more and cursor.peek() in "*+?{":
            atom = f"(?:{atom}){self._repetition()}"
        return atom, flags

    def _atom(self, flags: Flags) -> str:
        cursor, fold = self.cursor, "i" in flags
        if cursor.peek() == "[":
            cursor.next()
            found = read_class(cursor, fold=fold)
            if not found:
                raise RegexError("a class has no characters")
            return charset.spell(found)
        char = cursor.next()
        if char == "\\":
            escape = read_escape(cursor, fold=fold)
            if isinstance(escape, str):
                return escape
            return charset.spell(charset.fold(escape) if fold and is_one(escape) else escape)
        if char == ".":
            return charset.spell(charset.negate(() if "s" in flags else _NEWLINE))
        if char == "^":
            return r"(?:\A|(?<=\n))" if "m" in flags else r"\A"
        if char == "$":
            return r"(?:\Z|(?=\n))" if "m" in flags else r"\Z"
        one: Ranges = ((ord(char), ord(char)),)
        return charset.spell(charset.fold(one) if fold else one)

    def _repetition(self) -> str:
        cursor = self.cursor
        char = cursor.next()
        if char == "{":
            found = cursor.match(r"\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}")
            if found is None:
                raise RegexError("a repetition must be {n}, {n,} or {n,m}: write \\{ for itself")
            least, most = int(found[1]), int(found[3] or found[1])
            if max(least, most) > _MOST_REPEATS:
                raise RegexError(f"more than {_MOST_REPEATS} repetitions are not supported")
            if most < least:
                raise RegexError(f"{{{least},{most}}} repeats more often at least than at most")
            char = f"{{{least}{',' if found[2] else ''}{found[3] or ''}}}"
        # Lazy or not: the same texts match.
        cursor.take("?")
        return char

    def _group(self, flags: Flags) -> tuple[str, Flags, bool]:
        """What follows a parenthesis; whether it is something to match, and not flags alone."""
        cursor = self.cursor
        inner = flags
        if cursor.take("?"):
            if cursor.match(r"=|!|<=|<!"):
                raise RegexError("look-around is not supported, by Chroma neither")
            if cursor.match(r"P?<"):
                self._name()
            else:
                inner = self._flags(flags)
                if cursor.take(")"):
                    return "", inner, False
                if not cursor.take(":"):
                    raise RegexError("a group of flags must end with : or )")
        found = self.alternatives(inner)
        if not cursor.take(")"):
            raise RegexError("a group is not closed")
        return found, flags, True

    def _name(self) -> None:
        found = self.cursor.match(r"([^>]*)>")
        if found is None or not _NAME.fullmatch(found[1]):
            raise RegexError("a group has a name that is none")
        if found[1] in self.names:
            raise RegexError(f"the group name {found[1]} is given twice")
        self.names.add(found[1])

    def _flags(self, flags: Flags) -> Flags:
        on = True
        seen = False
        while self.cursor.more and self.cursor.peek() not in ":)":
            char = self.cursor.next()
            if char == "-" and on:
                on, seen = False, False
                continue
            seen = True
            if char in "ims":
                flags = flags | {char} if on else flags - {char}
            elif char == "u" and not on:
                raise RegexError("the flag -u (bytes, not characters) is not supported")
            elif char in _UNSUPPORTED_FLAGS:
                raise RegexError(f"{_UNSUPPORTED_FLAGS[char]} is not supported")
            elif char not in "Uu":
                raise RegexError(f"(?{char} is no flag that Chroma knows")
        if not self.cursor.more or not (on or seen):
            raise RegexError("a group of flags is not complete")
        return flags
