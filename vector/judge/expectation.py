"""What the judge expects of the target, worked out by code of its own.

Nothing here is shared with the import: metadata is judged as Python values with their types, a
vector as float32, a time as an instant.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

# Norm-relative: what a unit vector times a float32 norm may be off by.
TOLERANCE = 1e-6
# The step between the smallest float32, which round by more than that.
LEAST = 2.0**-148


def expected_metadata(stored: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """What the target must hold for stored metadata, and whether the original must be kept."""
    expected: dict[str, Any] = {}
    for key, value in stored.items():
        expected[key.replace("\x00", "\ufffd")] = _expected_value(value)
    same = set(expected) == set(stored) and all(
        _bits(expected[key]) == _bits(value) for key, value in stored.items()
    )
    return expected, not same


def _expected_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_expected_value(each) for each in value]
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, float):
        if math.isinf(value) or math.isnan(value):
            return None
        return abs(value) if value == 0.0 else value
    return value


def _bits(value: Any) -> tuple[str, Any]:
    """A value with its type; floats by their bits, so that -0.0 is not 0.0; lists in order."""
    if isinstance(value, list):
        return "list", [_bits(each) for each in value]
    return type(value).__name__, value.hex() if isinstance(value, float) else str(value)


def repair_reasons(stored: dict[str, Any]) -> set[str]:
    """Why metadata cannot be held as it is; any of these may stand next to the kept original."""
    found = set()
    for key, value in stored.items():
        for each in [key, *(value if isinstance(value, list) else [value])]:
            if isinstance(each, str) and "\x00" in each:
                found.add("bad_escape")
            elif isinstance(each, float) and not math.isfinite(each):
                found.add("not_finite")
            elif isinstance(each, float) and _bits(each) == _bits(-0.0):
                found.add("negative_zero")
    return found


def read_json(text: str | bytes) -> Any:
    """What a JSON text says, each number exactly; the text itself where it cannot be read.

    A number that no float of its spelling is (more digits than a float has) stays a Decimal,
    which equals nothing that the store holds.
    """
    try:
        return _decode(text if isinstance(text, str) else text.decode())
    except (ValueError, ArithmeticError, RecursionError):
        return text


def _exact(digits: str) -> float | Decimal:
    value = float(digits)
    if repr(value) == digits:
        return value
    exact = Decimal(digits)
    return value if Decimal(repr(value)) == exact else exact


_decode = json.JSONDecoder(parse_float=_exact).decode


def is_same_metadata(stored: dict[str, Any], found: Any) -> bool:
    """Whether the two are the same, types and bits included, and nothing needed repair.

    The text of a value says its type, and of a float every bit. Half the time of a look at each.
    """
    if not isinstance(found, dict) or len(found) != len(stored):
        return False
    return repr(sorted(stored.items())) == repr(sorted(found.items()))


def metadata_difference(expected: dict[str, Any], found: Any) -> str:
    """'' where the two are the same, types included; else the first key that differs."""
    if not isinstance(found, dict):
        return f"it is {type(found).__name__}, not an object"
    for key in sorted(set(expected) | set(found)):
        if key not in found:
            return f"{key!r} is missing"
        if key not in expected:
            return f"{key!r} is not in the legacy"
        if _bits(expected[key]) != _bits(found[key]):
            return f"{key!r} is {found[key]!r}, not {expected[key]!r}"
    return ""


def needs_quarantine(
    embedding_id: str, document: str | None, metadata: dict[str, Any]
) -> tuple[str, str]:
    """Why PostgreSQL cannot hold the item, and which part of it; two empty texts where it can."""
    if "\x00" in embedding_id:
        return "nul_in_text", "embedding_id"
    if document is not None and "\x00" in document:
        return "nul_in_text", "document"
    if len(embedding_id.encode("utf-8")) > 2000:
        return "id_too_long", "embedding_id"
    if len({key.replace("\x00", "\ufffd") for key in metadata}) != len(metadata):
        return "duplicate_keys", "metadata"
    return "", ""


def vector_difference(expected: bytes, found: bytes, exact: bool) -> float:
    """0.0 where the float32 are the same (to the bit if `exact`); else how far they are apart."""
    if expected == found:
        return 0.0
    if len(expected) != len(found):
        return math.inf
    import numpy

    one, two = (numpy.frombuffer(each, "<f4").astype("f8") for each in (expected, found))
    with numpy.errstate(invalid="ignore"):
        worst, norm = float(abs(one - two).max()), math.sqrt(one @ one)
    if not math.isfinite(norm):
        return math.inf
    apart = worst / norm if norm else worst
    if exact:
        # Other bits are other values, also where the difference is none: -0.0.
        return apart or math.ulp(0.0)
    return 0.0 if worst <= TOLERANCE * norm + LEAST else apart


@lru_cache(maxsize=1024)
def expected_time(text: str | None) -> datetime | None:
    """The instant that SQLite's CURRENT_TIMESTAMP means; None where there is none."""
    if text is None or len(text) != 19 or text[10] != " ":
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
