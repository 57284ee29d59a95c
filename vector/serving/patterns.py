r"""Chroma's `$regex` (the syntax of Rust's crate regex) as a pattern of PostgreSQL.

`translate("[Rr]ed$")` gives a pattern that fits the same texts. It knows what means the same on
both sides: characters, ``. ^ $ |``, groups, classes of characters and ranges, ``\d \s \w \D \S``,
``\W \b \B \A \z``, repetition, and the flags i, m, s in front of all. PostgreSQL itself refuses
what does not fit together, a parenthesis without its other half, say.

https://docs.rs/regex/latest/regex/#syntax
https://www.postgresql.org/docs/current/functions-matching.html#FUNCTIONS-POSIX-REGEXP
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache, lru_cache
from itertools import groupby

_FLAGS = re.compile(r"\(\?(?!\w*(\w)\w*\1)([ims]+)\)")
_TOKEN = re.compile(
    r"(?P<repeat>[*+?]|\{\d+(?:,\d*)?\})\??|(?P<open>\((?:\?:|(?!\?)))|\\(?P<escape>.)"
    r"|\[(?P<negated>\^?)(?P<set>(?![\]^])(?:(?!&&|--|~~)(?:\\.|[^\\\[\]]))+)\]|(?P<one>[^\\\[(*+?{])",
    re.DOTALL,
)
# In a class: one character or escape, or a range of two.
_ITEM = re.compile(r"(\\?.)(?:-(\\?.))?", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r"}
_BOUNDARIES = {
    "A": r"\A",
    "z": r"\Z",
    "b": "(?:(?<={w})(?!{w})|(?<!{w})(?={w}))",
    "B": "(?:(?<={w})(?={w})|(?<!{w})(?!{w}))",
}
# Letters by their use: circled and squared ones, and the two joiners.
_MORE_WORD = re.compile(
    "[\u200c\u200d\u24b6-\u24e9\U0001f130-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189]"
)
# Nothing with a case is beyond.
_LAST_CASED = 0x1E943


class PatternError(Exception):
    """A part of a pattern is not supported; the message names it."""

    def __init__(self, part: str) -> None:
        super().__init__(
            f"{part[:20]!r} is not supported; what is: characters, . ^ $ |, groups, classes as in "
            r"[a-z\d], \d \s \w \D \S \W \b \B \A \z, * + ? {n,m}, and (?i) (?m) (?s) in front"
        )


def translate(pattern: str) -> str:
    """The same pattern for PostgreSQL's `~`. Raises PatternError."""
    front = _FLAGS.match(pattern)
    flags, at = (front[2], front.end()) if front else ("", 0)
    parts, repeated = [], False
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        # What is repeated twice would be something else to PostgreSQL: `a*?` finds as `a*` does.
        if token is None or (repeated and token["repeat"]):
            raise PatternError(pattern[at:])
        repeated = bool(token["repeat"])
        parts.append(_spelled(token, flags))
        at = token.end()
    return "".join(parts)


def _spelled(token: re.Match[str], flags: str) -> str:
    """A token as PostgreSQL has it."""
    one = token["one"] or ""
    if token["escape"] in _BOUNDARIES:
        return _BOUNDARIES[token["escape"]].replace("{w}", f"[{_perl('w')}]")
    if token["set"]:
        items = (_range(item, flags) for item in _ITEM.finditer(token["set"]))
        return f"[{token['negated']}{''.join(items)}]"
    if one == ".":
        return r"[\u0001-\U0010FFFF]" if "s" in flags else r"[^\u000A]"
    if one in ("^", "$"):
        ends = {"^": (r"\A", r"(?:\A|(?<=\n))"), "$": (r"\Z", r"(?:\Z|(?=\n))")}
        return ends[one]["m" in flags]
    if token["escape"] or one not in "|)":
        item = _ITEM.fullmatch(token[0])
        assert item is not None
        return f"[{_range(item, flags)}]"
    return token["repeat"] or ("(?:" if token["open"] else one)


def _range(item: re.Match[str], flags: str) -> str:
    r"""Within brackets: a character, ``\d`` and its like, or all from one character to another."""
    first, last = item[1], item[2] or item[1]
    if first[0] == "\\" and first[1] in "dDsSwW" and not item[2]:
        return _perl(first[1])
    low, high = _code(first), _code(last)
    if low > high:
        raise PatternError(item[0])
    return _folded(low, high) if "i" in flags else _codes(low, high)


def _code(char: str) -> int:
    """The code point of a character, or of one that is escaped. Raises PatternError."""
    plain = char[-1]
    if len(char) == 2 and plain in _CONTROLS:
        return ord(_CONTROLS[plain])
    if len(char) == 2 and (not plain.isascii() or plain.isalnum() or plain in "<>"):
        raise PatternError(char)
    return ord(plain)


def _codes(low: int, high: int) -> str:
    return "-".join(f"\\U{code:08X}" for code in sorted({low, high}))


@cache
def _perl(letter: str) -> str:
    r"""The set of ``\d \s \w`` or of a capital. PostgreSQL's own depend on a locale."""
    runs = groupby(range(1, sys.maxunicode + 1), lambda code: _is_of(letter.lower(), chr(code)))
    found = [list(codes) for is_of, codes in runs if is_of is letter.islower()]
    return "".join(_codes(codes[0], codes[-1]) for codes in found)


def _is_of(letter: str, char: str) -> bool:
    category = unicodedata.category(char)
    if letter == "s":
        return char.isspace() and not "\x1c" <= char <= "\x1f"
    if letter == "d":
        return category == "Nd"
    is_word = category[0] in "LM" or category in ("Nd", "Nl", "Pc")
    return is_word or _MORE_WORD.match(char) is not None


@lru_cache(maxsize=256)
def _folded(low: int, high: int) -> str:
    """The range, and all characters that are equal to one of it without regard to case."""
    more = {other for code, others in _orbits().items() if low <= code <= high for other in others}
    return _codes(low, high) + "".join(_codes(code, code) for code in sorted(more))


@cache
def _orbits() -> dict[int, list[int]]:
    """Character -> all that are equal to it without regard to case (Unicode's simple folding)."""
    folded: dict[str, list[int]] = {}
    for code in range(_LAST_CASED + 1):
        char = chr(code)
        simple = next((f for f in (char.casefold(), char.lower()) if len(f) == 1), char)
        folded.setdefault(simple, []).append(code)
    return {code: codes for codes in folded.values() if len(codes) > 1 for code in codes}
