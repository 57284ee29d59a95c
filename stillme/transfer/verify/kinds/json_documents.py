"""One JSON document as the judge understands it: a tree, or the text that jsonb would print.

A tree tells apart what jsonb tells apart, to the last digit: numbers are decimals. The tree of
`{"a": [1.50]}` is `("object", {"a": ("array", [("number", Decimal("1.50"))])})`.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from stillme.postgresql.json_depth import DEEPEST

# A whole number of fewer digits is no question.
_SHORT = 1_000
# U+0000 and halves of surrogate pairs.
_NOT_IN_JSONB = re.compile("[\x00\ud800-\udfff]")


class Beyond(Exception):
    """The document has a number or a depth that jsonb does not hold."""


class NotPlain(Exception):
    """jsonb does not take the text unchanged."""


def _decimal(text: str) -> Decimal:
    if len(text) < _SHORT and text.isdecimal():
        return Decimal(text)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Beyond(text[:20]) from None
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    too_long = number and len(number.as_tuple().digits) + exponent > 131_072
    if too_long or exponent < -16_383 or exponent >= 1_073_741_823:
        raise Beyond(text[:20])
    return number


def number_tree(text: str) -> Any:
    """Return the tree of one JSON number, to its last digit."""
    return ("number", _decimal(text))


def target_tree(text: str | None) -> Any:
    """Return the tree of what PostgreSQL prints for a jsonb value; None for NULL."""
    try:
        return None if text is None else _tree(_parse(text, []))
    except RecursionError:
        # Deeper than any document that was loaded.
        return ("deep", text)


def is_same_tree(one: Any, other: Any) -> bool:
    """Whether two trees are equal. A loop, because `==` takes two frames of the stack a level."""
    left = [(one, other)]
    while left:
        a, b = left.pop()
        if a is None or b is None or a[0] != b[0]:
            if a is not b:
                return False
        elif a[0] == "object":
            if a[1].keys() != b[1].keys():
                return False
            left += [(value, b[1][key]) for key, value in a[1].items()]
        elif a[0] == "array":
            if len(a[1]) != len(b[1]):
                return False
            left += zip(a[1], b[1], strict=True)
        elif a[1] != b[1]:
            return False
    return True


def expected_tree(text: str) -> tuple[Any, str]:
    """Return the tree the target must hold, and the reason to keep the original, or ""."""
    notes: list[str] = []
    try:
        document = _parse(text, notes)
    except RecursionError:
        raise Beyond("depth") from None
    except json.JSONDecodeError:
        return ("text", text.replace("\x00", "\ufffd")), "not_json"
    if _depth_exceeds(document, DEEPEST):
        raise Beyond("depth")
    tree = _tree(document, notes)
    for reason in ("duplicate_keys", "not_finite", "bad_escape"):
        if reason in notes:
            return tree, reason
    return tree, ""


def _parse(text: str, notes: list[str]) -> Any:
    def pairs(members: list[tuple[str, Any]]) -> Any:
        if len({key for key, _ in members}) < len(members):
            notes.append("duplicate_keys")
        return ("object", members)

    def constant(name: str) -> None:
        notes.append("not_finite")

    return json.loads(
        text,
        object_pairs_hook=pairs,
        parse_float=_decimal,
        parse_int=_decimal,
        parse_constant=constant,
    )


def _depth_exceeds(document: Any, limit: int) -> bool:
    stack = [(document, 1)]
    while stack:
        node, depth = stack.pop()
        children: list[Any] = []
        if isinstance(node, tuple):
            children = [value for _, value in node[1]]
        elif isinstance(node, list):
            children = node
        else:
            continue
        if children and depth >= limit:
            return True
        stack += [(child, depth + 1) for child in children]
    return False


def _mended(text: str, notes: list[str] | None) -> str:
    mended = _NOT_IN_JSONB.sub("\ufffd", text)
    if mended != text and notes is not None:
        notes.append("bad_escape")
    return mended


def _tree(node: Any, notes: list[str] | None = None) -> Any:
    if isinstance(node, tuple):
        members: dict[str, Any] = {}
        for key, value in node[1]:
            members[key] = value
        # Plain loops: a comprehension takes a second frame of the stack at each level.
        mended: dict[str, Any] = {}
        for key, value in members.items():
            mended[_mended(key, notes)] = _tree(value, notes)
        return ("object", mended)
    if isinstance(node, list):
        items = []
        for item in node:
            items.append(_tree(item, notes))
        return ("array", items)
    if isinstance(node, str):
        return ("text", _mended(node, notes))
    if isinstance(node, Decimal):
        # As it is: `==` of two Decimals is exact (1.10 is 1.1, -0 is 0, 1E+2 is 100), while
        # normalize() and every other arithmetic round to the context's 28 digits.
        return ("number", node)
    return ("constant", node)


_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')


def jsonb_spelling(text: str) -> str:
    """Return what jsonb prints for the text: keys by length, then bytes; numbers as numeric does.

    Raises NotPlain if the document needs a repair: its row is then judged cell by cell.
    """
    notes: list[str] = []
    try:
        document = _parse(text, notes)
        if notes or "\\u0000" in text or _depth_exceeds(document, DEEPEST):
            raise NotPlain(text[:40])
        spelled = _spell(document)
        spelled.encode("utf-8")
    except (json.JSONDecodeError, RecursionError, Beyond, UnicodeEncodeError):
        raise NotPlain(text[:40]) from None
    return spelled


def _spell(node: Any) -> str:
    if isinstance(node, tuple):
        members = sorted(((k.encode("utf-8"), k, v) for k, v in node[1]), key=_jsonb_order)
        return "{" + ", ".join(f"{_spell_text(k)}: {_spell(v)}" for _, k, v in members) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(_spell(item) for item in node) + "]"
    if isinstance(node, str):
        return _spell_text(node)
    if isinstance(node, Decimal):
        return f"{node:f}" if node else f"{abs(node):f}"
    return {True: "true", False: "false", None: "null"}[node]


def _jsonb_order(member: tuple[bytes, str, Any]) -> tuple[int, bytes]:
    return len(member[0]), member[0]


def _spell_text(text: str) -> str:
    return '"' + _TO_ESCAPE.sub(lambda m: _ESCAPES.get(m[0], f"\\u{ord(m[0]):04x}"), text) + '"'
