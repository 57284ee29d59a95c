"""JSON documents as the judge sees them: trees of exact decimals, and jsonb's own spelling."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from stillme.postgresql.json_depth import DEEPEST


class Beyond(Exception):
    """More than jsonb can hold."""


class NotPlain(Exception):
    """The text is not a document that jsonb takes as it is."""


def _decimal(text: str) -> Decimal:
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
    """The tree of one JSON number, to its last digit."""
    return ("number", _decimal(text))


def target_tree(text: str | None) -> Any:
    """The tree of what PostgreSQL prints for a jsonb value; None for NULL."""
    try:
        return None if text is None else _tree(_parse(text, []))
    except RecursionError:
        # Deeper than any document that was loaded.
        return ("deep", text)


def is_same_tree(one: Any, other: Any) -> bool:
    """Whether two trees are equal. Step by step: `==` takes two frames of the stack a level."""
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
    """(the tree the target must hold, the reason to keep the original or "")."""
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
    mended = "".join(
        "\ufffd" if char == "\x00" or "\ud800" <= char <= "\udfff" else char for char in text
    )
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
    """The text as jsonb prints it: keys by length, then bytes; numbers as numeric prints them.

    Raises NotPlain for a document that needs a repair: it is then judged cell by cell.
    """
    if len(text) <= _SHORT:
        try:
            return _spell_simple(text)
        except ValueError:
            # Not simple, which says nothing yet about what it is.
            return _spell_any(text)
    return _spell_any(text)


def _spell_any(text: str) -> str:
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


# A text this short cannot nest deep enough to trouble jsonb or the parser.
_SHORT = 900


def _simple_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(sorted(members, key=_member_order))
    if len(found) != len(members):
        raise ValueError("a key twice")
    return found


def _member_order(member: tuple[str, Any]) -> tuple[int, bytes]:
    key = member[0].encode()
    return len(key), key


def _simple_real(text: str) -> float:
    number = float(text)
    if repr(number) != text or "e" in text or not number:
        raise ValueError("spelled otherwise by numeric")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_decode_simple = json.JSONDecoder(
    object_pairs_hook=_simple_object, parse_float=_simple_real, parse_constant=_refuse_constant
).decode
_encode_simple = json.JSONEncoder(ensure_ascii=False).encode


def _spell_simple(text: str) -> str:
    """The common document by the parser's fast road: no repeated key, numbers as Python prints
    them. Raises ValueError for any other, UnicodeEncodeError (one of them) included."""
    spelled = _encode_simple(_decode_simple(text))
    if not spelled.isascii():
        spelled.encode("utf-8")
    if "\\u0000" in spelled:
        raise ValueError("U+0000")
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
