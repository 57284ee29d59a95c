"""Sets of characters as ranges of code points: Rust's classes, spelled out for PostgreSQL.

PostgreSQL's own \\d, \\w and \\s depend on the database's locale; ranges do not.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache, lru_cache


class RegexError(Exception):
    """A pattern that Chroma refuses too, or that has no equal here; the message says what."""


# First and last, sorted, apart from each other.
Ranges = tuple[tuple[int, int], ...]

_TOP = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
# Nothing with a case is beyond.
_LAST_CASED = 0x1E943

SPACE: Ranges = (
    (9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
# Letters by their use: circled and squared ones, and the two joiners.
_MORE_WORD = (
    (0x200C, 0x200D), (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189),
)  # fmt: skip
POSIX: dict[str, Ranges] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": ((48, 57),),
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CATEGORIES = {
    "letter": "L", "cased_letter": "LC", "uppercase_letter": "Lu", "lowercase_letter": "Ll",
    "titlecase_letter": "Lt", "modifier_letter": "Lm", "other_letter": "Lo", "mark": "M",
    "nonspacing_mark": "Mn", "spacing_mark": "Mc", "enclosing_mark": "Me", "number": "N",
    "decimal_number": "Nd", "digit": "Nd", "letter_number": "Nl", "other_number": "No",
    "punctuation": "P", "connector_punctuation": "Pc", "dash_punctuation": "Pd",
    "open_punctuation": "Ps", "close_punctuation": "Pe", "initial_punctuation": "Pi",
    "final_punctuation": "Pf", "other_punctuation": "Po", "symbol": "S", "math_symbol": "Sm",
    "currency_symbol": "Sc", "modifier_symbol": "Sk", "other_symbol": "So", "separator": "Z",
    "space_separator": "Zs", "line_separator": "Zl", "paragraph_separator": "Zp",
}  # fmt: skip
_SHORT = {
    short.lower(): short for short in {*_CATEGORIES.values(), "L", "M", "N", "P", "S", "Z", "LC"}
}


def union(*sets: Iterable[tuple[int, int]]) -> Ranges:
    """All characters of several sets."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for each in sets for pair in each):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def negate(ranges: Ranges) -> Ranges:
    """All other characters."""
    found, position = [], 0
    for low, high in (*union(ranges, [_SURROGATES]), (_TOP + 1, _TOP + 1)):
        if position < low:
            found.append((position, low - 1))
        position = high + 1
    return tuple(found)


def intersect(one: Ranges, two: Ranges) -> Ranges:
    """The characters of both."""
    return negate(union(negate(one), negate(two)))


@cache
def of_categories(*categories: str) -> Ranges:
    """The characters of general categories, or of groups of them (`L`)."""
    found: list[tuple[int, int]] = []
    for code in range(_TOP + 1):
        if unicodedata.category(chr(code)).startswith(categories):
            if found and found[-1][1] == code - 1:
                found[-1] = (found[-1][0], code)
            else:
                found.append((code, code))
    return tuple(found)


@cache
def perl(letter: str) -> Ranges:
    """The set of \\d, \\s, \\w and of their capitals."""
    if letter.isupper():
        return negate(perl(letter.lower()))
    if letter == "d":
        return of_categories("Nd")
    if letter == "s":
        return SPACE
    return union(of_categories("L", "M", "Nd", "Nl", "Pc"), _MORE_WORD)


def unicode_property(name: str) -> Ranges:
    """The set of \\p{name}. Raises RegexError for one that is not a general category."""
    plain = name.lower().replace(" ", "_").replace("-", "_")
    for prefix in ("gc=", "general_category=", "gc:", "general_category:"):
        plain = plain.removeprefix(prefix)
    if plain == "any":
        return ((0, _SURROGATES[0] - 1), (_SURROGATES[1] + 1, _TOP))
    if plain == "ascii":
        return POSIX["ascii"]
    category = _SHORT.get(plain) or _CATEGORIES.get(plain)
    if category is None:
        raise RegexError(
            f"\\p{{{name}}} is not supported: of Unicode's properties only general categories "
            "(L, Lu, Nd, Punctuation ...), Any and ASCII are"
        )
    return of_categories(*(("Lu", "Ll", "Lt") if category == "LC" else (category,)))


@cache
def _orbits() -> dict[int, tuple[int, ...]]:
    """Character -> all that are equal to it without regard to case (Unicode's simple folding)."""
    folded: dict[str, list[int]] = {}
    for code in range(_LAST_CASED + 1):
        char = chr(code)
        simple = next((f for f in (char.casefold(), char.lower()) if len(f) == 1), char)
        folded.setdefault(simple, []).append(code)
    return {code: tuple(codes) for codes in folded.values() if len(codes) > 1 for code in codes}


@lru_cache(maxsize=256)
def fold(ranges: Ranges) -> Ranges:
    """The set with all characters that are equal to one of it without regard to case."""
    lows = [low for low, _ in ranges]
    more = [
        (other, other)
        for code, others in _orbits().items()
        if (at := bisect_right(lows, code)) and code <= ranges[at - 1][1]
        for other in others
    ]
    return union(ranges, more)


def spell(ranges: Ranges) -> str:
    """A bracket expression of PostgreSQL. A text has no U+0000 there, so neither has the set."""
    parts = []
    for low, high in ranges:
        low = max(low, 1)
        if low <= high:
            parts.append(_code(low) if low == high else f"{_code(low)}-{_code(high)}")
    # Nothing at all: what is followed by an end and is none.
    return f"[{''.join(parts)}]" if parts else r"(?!(?:))"


def _code(code: int) -> str:
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
