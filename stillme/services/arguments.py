"""What SQLite made of an argument: the old callers' ids, limits, texts, numbers and documents.

The old classes bound whatever they were given, and SQLite converted it by the column's affinity:
"5" finds row 5, 5.5 and "x" find none, a number becomes the text of itself. Django would cut 5.5
to 5 and write to a row that nobody named.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime
from typing import Any, SupportsIndex

from stillme.postgresql.json_depth import DEEPEST, is_deeper

LARGEST = 2**63 - 1
# What SQLite takes for a number, and for a whole one: digits 0 to 9, blanks around them.
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_WHOLE = re.compile(r"\s*[+-]?\d{1,400}\s*", re.ASCII)
_KEY = re.compile(r"-?[0-9]{1,19}")
# Python counts the levels of a document together with the calls that it is in, 1,000 in all.
TOO_DEEP = (
    f"A document has at most {DEEPEST} levels, fewer where the call is made from within more than "
    f"{DEEPEST - 50} others: give it fewer levels."
)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# In what json.dumps prints, all ASCII: a pair of surrogates, half of one or U+0000, another escape.
_ESCAPE = re.compile(
    r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(?P<bad>u0000|ud[89a-f][0-9a-f]{2})|.)"
)


def plain(text: Any) -> Any:
    """Text as PostgreSQL can hold it: U+0000 becomes U+FFFD, a number or a time its text.

    Feeds and model answers contain U+0000; SQLite kept it, PostgreSQL refuses the row. Losing
    the whole row for one character would be worse. Raises TypeError for what is no text.
    """
    if text is None:
        return None
    if isinstance(text, float):
        return _real_text(text)
    if isinstance(text, int):
        return str(int(text))
    if isinstance(text, date):
        return text.isoformat(" ") if isinstance(text, datetime) else text.isoformat()
    if not isinstance(text, str):
        raise TypeError(f"A text is needed here, not a value of type {type(text).__name__}.")
    return text.replace("\0", _REPLACEMENT)


def _real_text(number: float) -> str | None:
    """As SQLite's ``CAST(number AS TEXT)``."""
    if math.isnan(number):
        return None
    if math.isinf(number):
        return "Inf" if number > 0 else "-Inf"
    digits, _, exponent = f"{number + 0.0:.15g}".partition("e")
    digits = digits if "." in digits else f"{digits}.0"
    return f"{digits}e{exponent}" if exponent else digits


def whole(number: Any) -> Any:
    """A whole number; "3" and 3.0 are one, NaN is None, as SQLite stores them.

    Raises ValueError for 3.7 and "x", which SQLite kept as they were and an integer cannot hold.
    """
    if number is None or (isinstance(number, float) and math.isnan(number)):
        return None
    found = _integral(number)
    if found is None:
        raise ValueError(f"A whole number is needed here, not {number!r}.")
    return found


def row_key(value: Any) -> int | None:
    """The id that ``WHERE id = value`` finds; None where no id can be equal to it.

    Raises OverflowError beyond 64 bits and TypeError for what SQLite cannot bind.
    """
    found = _integral(value)
    if found is not None and not isinstance(value, str) and not -LARGEST - 1 <= found <= LARGEST:
        raise OverflowError("An id has 64 bits.")
    return found if found is None or -LARGEST - 1 <= found <= LARGEST else None


def whole_key(text: str) -> int | None:
    """The 64-bit integer whose decimal digits the text of a key is; None where it is of none.

    The one place that says which text is an integer key, for a record, an address of the console
    and an argument. SQLite knows the digits 0 to 9 only; Python's `isdigit` and `int` also take
    ``²``, ``٣``, ``1_000`` and `` 5``. ``007`` and ``-0`` are no key either: no integer is
    spelled so, and a row 7 must not be taken for that of a text key ``007``.
    """
    if _KEY.fullmatch(text) is None:
        return None
    number = int(text)
    return number if str(number) == text and -(2**63) <= number < 2**63 else None


def stored_integer(text: str) -> int:
    """The integer that SQLite stores for a text in an INTEGER column. Raises ValueError."""
    found = row_key(text)
    if found is None:
        raise ValueError(f"{text[:60]!a} is no integer of 64 bits.")
    return found


def stored_real(text: str) -> float:
    """A real as Python or SQLite spells it, infinities included. Raises ValueError."""
    number = float(text)
    if not text.isascii() or "_" in text or math.isnan(number):
        raise ValueError(f"{text[:60]!a} is no real number.")
    return number


def row_limit(value: Any) -> int:
    """The number of rows of ``LIMIT value``. Raises for what is no whole number of 64 bits."""
    found: int | None = whole(value)
    if found is None:
        raise ValueError("A LIMIT is a whole number.")
    if not -LARGEST - 1 <= found <= LARGEST:
        raise OverflowError("A LIMIT has 64 bits.")
    return found


def _integral(value: Any) -> int | None:
    """The whole number that a value is equal to; None where there is none."""
    if isinstance(value, SupportsIndex):
        return value.__index__()
    if isinstance(value, str):
        return _integral_text(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if value is None or isinstance(value, bytes | bytearray | date):
        return None
    raise TypeError(f"A number is needed here, not a value of type {type(value).__name__}.")


def _integral_text(text: str) -> int | None:
    text.encode()  # a lone surrogate could not be bound
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return int(number) if number.is_integer() else None


def real(number: Any) -> float | None:
    """A double; "0.5" is one, NaN becomes None, as SQLite stores them.

    Raises ValueError for what SQLite kept as it was and a double cannot hold: bytes, a time, a
    word. Python's own words for numbers ("inf", "nan", "1_0", "５") are words. Raises TypeError
    for what SQLite could not bind.
    """
    if number is None:
        return None
    if isinstance(number, bytes | bytearray | date) or (
        isinstance(number, str) and not _NUMBER.fullmatch(number)
    ):
        raise ValueError(f"A number is needed here, not {number!r}.")
    value = float(number)
    return None if math.isnan(value) else value


def document(value: Any) -> Any:
    """Metadata as jsonb can hold it: what ``json.dumps(value or {})`` would say, made valid.

    NaN and the infinities become null, U+0000 and lone surrogates become U+FFFD, as in the
    import. Raises TypeError for what is no JSON, ValueError for what is nested too deep.
    """
    if not value:
        return {}
    try:
        text = json.dumps(value)
        if "\\u" in text:
            text = _ESCAPE.sub(lambda found: r"\ufffd" if found["bad"] else found[0], text)
        made = json.loads(text, parse_constant=lambda _: None)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    if text.count("[") + text.count("{") >= DEEPEST and is_deeper(made, DEEPEST):
        raise ValueError(TOO_DEEP)
    return made


def limited(rows: Any, limit: int | None) -> Any:
    """`rows[:limit]` with SQLite's LIMIT: a negative one is none."""
    return rows if limit is None or limit < 0 else rows[:limit]
