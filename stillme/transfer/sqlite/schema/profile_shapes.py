"""What a stored value looks like: the shapes of times, the troubles of texts and documents.

This only describes. What becomes of a value is decided by the loader's policy alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime

SQL_TIME = "sql"
SQL_FRACTION = "sql with fraction"
ISO_TIME = "iso"
ISO_FRACTION = "iso with fraction"
WITH_OFFSET = "with offset"
DATE_ONLY = "date only"
OTHER_TIME = "other readable"
EPOCH_SECONDS = "epoch seconds"
EPOCH_MILLISECONDS = "epoch milliseconds"
JULIAN_DAY = "julian day"
EMPTY = "empty"
UNREADABLE = "unreadable"

_FORMS = (
    (SQL_TIME, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    (SQL_FRACTION, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+"),
    (ISO_TIME, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"),
    (ISO_FRACTION, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+"),
    (WITH_OFFSET, r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|[+-]\d\d(:?\d\d)?)"),
    (DATE_ONLY, r"\d{4}-\d\d-\d\d"),
    (OTHER_TIME, r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?"),
)
_SHAPES = [(name, re.compile(form + r"\Z", re.ASCII)) for name, form in _FORMS]
_CLOCK = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?))?", re.ASCII)
_NUMBERS = (
    (EPOCH_SECONDS, 1e8, 1e11),
    (EPOCH_MILLISECONDS, 1e11, 1e14),
    (JULIAN_DAY, 1.7e6, 3e6),
)
_ESCAPED_SURROGATE = re.compile("[\ud800-\udfff]")


def time_shape(value: int | float | str) -> str:
    """The shape of a value in a time column."""
    if not isinstance(value, str):
        found = (name for name, low, high in _NUMBERS if low <= value < high)
        return next(found, UNREADABLE)
    if not value.strip():
        return EMPTY
    for name, form in _SHAPES:
        if form.match(value):
            return name if _exists(value) else UNREADABLE
    return UNREADABLE


def _exists(text: str) -> bool:
    """Whether the day and the hour are on a calendar and on a clock."""
    match = _CLOCK.match(text)
    assert match is not None
    try:
        datetime.fromisoformat(f"{match[1]} {match[2] or '00:00'}")
    except ValueError:
        return False
    return True


def text_troubles(raw: bytes) -> list[str]:
    """What PostgreSQL's text would refuse: ``nul``, ``invalid utf-8``, ``surrogate bytes``."""
    troubles = ["nul"] if b"\0" in raw else []
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        try:
            raw.decode("utf-8", "surrogatepass")
            troubles.append("surrogate bytes")
        except UnicodeDecodeError:
            troubles.append("invalid utf-8")
    return troubles


def json_troubles(text: str) -> list[str]:
    """Everything jsonb would refuse or change in a document; empty for a valid one."""
    seen: set[str] = set()
    try:
        document = json.loads(
            text,
            object_pairs_hook=_pairs(seen),
            parse_constant=lambda name: seen.add("NaN or Infinity"),
            parse_int=str,
            parse_float=str,
        )
    except (ValueError, RecursionError):
        return ["not JSON"]
    _look_for_bad_text(document, seen)
    return sorted(seen)


def _pairs(seen: set[str]) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in found}) != len(found):
            seen.add("duplicate keys")
        return dict(found)

    return pairs


def _look_for_bad_text(document: object, seen: set[str]) -> None:
    """Without recursion: a document may be nested as deep as its parser allows."""
    nodes = [document]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += [*node.keys(), *node.values()]
        elif isinstance(node, list):
            nodes += node
        elif isinstance(node, str):
            if "\0" in node:
                seen.add("\\u0000")
            if _ESCAPED_SURROGATE.search(node):
                seen.add("lone surrogate")
