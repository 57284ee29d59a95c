"""JSON on standard output: valid whatever a legacy file holds, in ASCII alone.

A program reads it, so it does not pass through what keeps a terminal safe (`visible`): Python's
escapes (``\\xa0``) are no JSON. Every character that could steer a terminal is spelled as JSON
spells it (``\\u0085``, ``\\u007f``, halves of surrogate pairs too).
"""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console


def print_json(console: Console, data: Any) -> None:
    """Write one document to the console's stream, and nothing else."""
    # One write: Django's stream ends each with a line break.
    console.file.write(json_text(data) + "\n")


def json_text(data: Any) -> str:
    """Plain data as JSON. JSON has no NaN and no infinity: they are written as texts."""
    text = json.dumps(_finite(data), indent=2, allow_nan=False)
    # The one control character that ASCII has beyond those that JSON must escape.
    return text.replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
