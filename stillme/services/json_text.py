"""JSON whose floats are still floats after a journey through jsonb."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

# A text, which stays as it is, or a number with a positive exponent, as Python prints 1e16.
_LARGE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[\d.]+e\+\d+')


def json_text(value: Any) -> str:
    """What ``json.dumps`` prints, with large floats written out: ``1e+16`` as 16 zeros and ``.0``.

    jsonb keeps a number as numeric, and prints ``1e+16`` as an integer.
    """
    text = json.dumps(value)
    return _LARGE.sub(_written_out, text) if "e+" in text else text


def _written_out(found: re.Match[str]) -> str:
    text = found[0]
    return text if text.startswith('"') else format(Decimal(text), "f") + ".0"
