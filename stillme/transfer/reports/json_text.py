"""JSON on standard output: valid whatever a legacy file holds, in ASCII alone.

A program reads it, so it does not pass through what keeps a terminal safe (`visible`): Python's
escapes (``\\xa0``) are no JSON. Every character that could steer a terminal is spelled as JSON
spells it (``\\u0085``, ``\\u007f``, halves of surrogate pairs too).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from rich.console import Console

P = ParamSpec("P")
Render = Callable[Concatenate[Console, P], None]


def or_json(
    data: Callable[P, Any],
) -> Callable[[Render[P]], Callable[Concatenate[Console, str, P], None]]:
    """Make ``render(console, result)`` a ``render(console, form, result)``.

    With the form ``json`` it prints one document, `data(result)`, and nothing for people.
    """

    def decorate(render: Render[P]) -> Callable[Concatenate[Console, str, P], None]:
        @wraps(render)
        def either(console: Console, form: str, /, *args: P.args, **kwargs: P.kwargs) -> None:
            if form == "json":
                print_json(console, data(*args, **kwargs))
            else:
                render(console, *args, **kwargs)

        return either

    return decorate


def print_json(console: Console, data: Any) -> None:
    """Write one document to the console's stream, and nothing else."""
    # One write: Django's stream ends each with a line break.
    console.file.write(json_text(data) + "\n")


def json_text(data: Any) -> str:
    """Plain data, paths and dataclasses as JSON.

    JSON has no NaN and no infinity: they are written as texts.
    """
    text = json.dumps(_plain(data), indent=2, allow_nan=False)
    # The one control character that ASCII has beyond those that JSON must escape.
    return text.replace("\x7f", "\\u007f")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    unknown = isinstance(value, Path) or (isinstance(value, float) and not math.isfinite(value))
    return str(value) if unknown else value
