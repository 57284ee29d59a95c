"""A document in pieces is told clean where the policy, which has all of it, says that it is."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillme.transfer.steps.kinds import json_policy
from stillme.transfer.steps.rows import json_scan

MB = 1_000_000


def pieces(document: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(document), size):
        yield document[start : start + size]


def is_unchanged(document: bytes) -> bool:
    """What the policy says of the whole document."""
    try:
        return json_policy.convert(document.decode("utf-8"))[1] == ""
    except (UnicodeDecodeError, json_policy.TooLarge):
        return False


CLEAN = [
    b"{}",
    b"[]",
    b" [ ] ",
    b"0",
    b"-0.0e-0",
    b"true",
    b'"x"',
    b'{"a": {"a": {"a": [{"a": 1}, {"a": 1}]}}}',
    b'{"a":1,"A":1,"a ":1,"":1,"\\u0041\\n":1}',
    b'[1, 2.5, -3e10, 1e-5, [], {}, [[]], "a\\"b\\\\", null, false]',
    b'\t\r\n {"k" \n:\t[ 1 , 2 ] ,\r"l" : "m" } \n',
    '{"tri thức": "知識 😀", "emoji": "\\ud83d\\ude00"}'.encode(),
    b'["\\ud7ff\\ue000\\uffff\\u0001\\u0022\\/\\b\\f\\n\\r\\t"]',
    b"[0e999999, 1e131071, 1e-16383, 0.000]",
    b"[" + b"9" * 131_072 + b"]",
    b"[[[[[[[[[1]]]]]]]], [[[[[[[[{}]]]]]]]]]",
    b'{"a":[[[[[{"b":[1],"c":{"b":1}}]]]]],"b":{"c":{"d":{"e":{"f":{"a":1}}}}}}',
    b"[" * 499 + b"]" * 499,
]
UNCLEAN = {
    "nothing": b"",
    "white space": b"  ",
    "a key twice": b'{"a": 1, "b": {"a": 2}, "a": 1}',
    "twice deep inside": b'[[[[[[{"b": {"a": 1, "c": [1, 2, {}], "a": 2}}]]]]]]',
    "twice as an escape": b'{"a": 1, "\\u0061": 2}',
    "twice, a quote": b'{"\\"": 1, "\\u0022": 2}',
    "twice beside a quote": b'[{"a": 1, "a": "\\u0022\\u0022"}]',
    "twice, around a container": b'{"a": [1, {"b": []}], "c": "x", "a": 3}',
    "empty key twice": b'{"": 1, "": 2}',
    "U+0000": b'["a\\u0000b"]',
    "U+0000 in a key": b'{"a\\u0000b": 1}',
    "first half": b'["\\ud83d"]',
    "first half and a letter": b'["\\ud83dx"]',
    "second half": b'["\\ude00"]',
    "halves the wrong way": b'["\\ude00\\ud83d"]',
    "two first halves": b'["\\ud83d\\ud83d\\ude00"]',
    "half in a key": b'{"\\uDC00": 1}',
    "NaN": b"[NaN]",
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b"[-Infinity]",
    "invalid UTF-8": b'["a\xffb"]',
    "surrogate bytes": b'["\xed\xa0\x80"]',
    "cut UTF-8": b'["\xc3"]',
    "NUL": b'["a\0b"]',
    "control character": b'["a\x01b"]',
    "line in a text": b'["a\nb"]',
    "trailing": b"{} x",
    "trailing document": b"{}{}",
    "trailing comma": b"[1, 2,]",
    "trailing comma in an object": b'{"a": 1,}',
    "two commas": b"[1,, 2]",
    "first comma": b"[,1]",
    "no colon": b'{"a" 1}',
    "no value": b'{"a":}',
    "no key": b"{1: 2}",
    "wrong end": b'{"a": [1}',
    "wrong end of an array": b'[{"a": 1]',
    "no end": b'{"a": [1, 2',
    "no end of a text": b'{"a": "bcd',
    "too many ends": b"[1]]",
    "comment": b"[1 /* x */]",
    "byte order mark": b"\xef\xbb\xbf{}",
    "form feed": b"[1,\x0c2]",
    "single quotes": b"{'a': 1}",
    "bad escape": b'["\\x41"]',
    "short escape": b'["\\u12"]',
    "leading zero": b"[01]",
    "plus": b"[+1]",
    "no fraction": b"[1.]",
    "no exponent": b"[1e]",
    "minus": b"[-]",
    "word": b"[truest]",
    "beyond numeric": b"[1e999999]",
    "beyond numeric below": b"[1e-16384]",
    "200000 digits": b"[" + b"7" * 200_000 + b"]",
    "131073 digits": b"[" + b"7" * 131_073 + b"]",
    "depth 600": b"[" * 600 + b"1" + b"]" * 600,
    "depth 600 of objects": b'{"a":' * 600 + b"1" + b"}" * 600,
    "depth 501": b"[" * 501 + b"]" * 501,
}


def sizes(document: bytes) -> Iterator[int]:
    """Of the pieces: every place is an end of one for short documents."""
    yield from range(1, len(document) + 1) if len(document) < 100 else (1000, 1 << 17)


@pytest.mark.parametrize("document", CLEAN, ids=lambda document: document[:30])
def test_clean_however_it_is_cut(document: bytes) -> None:
    assert is_unchanged(document)
    for size in sizes(document):
        assert json_scan.is_clean(pieces(document, size)), size


@pytest.mark.parametrize("document", UNCLEAN.values(), ids=UNCLEAN.keys())
def test_not_clean_however_it_is_cut(document: bytes) -> None:
    assert not is_unchanged(document)
    for size in sizes(document):
        assert not json_scan.is_clean(pieces(document, size)), size


def test_doubt_at_the_deepest_that_is_allowed() -> None:
    document = b"[" * 500 + b"]" * 500
    assert is_unchanged(document)
    assert not json_scan.is_clean([document])


@pytest.mark.parametrize("place", [0, 255, 256, 4_999])
@pytest.mark.parametrize("value", ["1", "[[[[[1]]]]]"])
def test_a_key_that_stands_twice_far_apart(place: int, value: str) -> None:
    members = [f'"key {number}": {value}' for number in range(5_000)]
    document = "{" + ", ".join(members) + "}"
    assert json_scan.is_clean(pieces(document.encode(), 777))
    document = "{" + ", ".join([*members, f'"\\u006bey {place}": 1']) + "}"
    assert not json_scan.is_clean(pieces(document.encode(), 777))
    assert not json_scan.is_clean(pieces(f'[0, {{"x": [{document}]}}]'.encode(), 777))


KEYS = st.sampled_from(["a", "b", "\\u0061", "é", "", "c" * 20, '\\"', "\\u0022"])
SCALARS = st.sampled_from(
    ["0", "-1.5e3", "1e400", "9" * 150, "true", "null", '"x\\n"', '"\\u0022"', '"\\ud83d\\ude00"']
)
SPACE = st.sampled_from(["", "", "", " ", "\n\t"])


def spelled(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arrays = st.tuples(SPACE, st.lists(values, max_size=4)).map(
        lambda found: "[" + found[0] + ("," + found[0]).join(found[1]) + "]"
    )
    members = st.tuples(SPACE, KEYS, values).map(lambda m: f'{m[0]}"{m[1]}"{m[0]}:{m[0]}{m[2]}')
    objects = st.lists(members, max_size=4).map(lambda found: "{" + ",".join(found) + "}")
    return arrays | objects


DOCUMENTS = st.recursive(SCALARS, spelled, max_leaves=30)
DAMAGES = st.sampled_from([b"", b",", b"}", b"]", b'"', b"\\", b"1", b" ", b"\xff", b"NaN", b":"])


def damaged(text: str, damage: tuple[float, bytes] | None) -> bytes:
    """The document, with something else in the place of one byte."""
    document = text.encode()
    if damage is None:
        return document
    place = int(damage[0] * len(document))
    return document[:place] + damage[1] + document[place + 1 :]


@settings(max_examples=400)
@given(DOCUMENTS, st.integers(1, 40), st.none() | st.tuples(st.floats(0, 1), DAMAGES))
def test_any_document(text: str, size: int, damage: tuple[float, bytes] | None) -> None:
    document = damaged(text, damage)
    assert json_scan.is_clean(pieces(document, size)) == is_unchanged(document)


def many(member: str, count: int, start: str = "{", end: str = "}") -> Iterator[bytes]:
    """A document that is nowhere whole."""
    yield start.encode()
    for number in range(0, count, 1000):
        joined = ", ".join(member % (n,) for n in range(number, number + 1000))
        yield f"{', ' if number else ''}{joined}".encode()
    yield end.encode()


ITEM: Any = json.dumps({"title": "tri th\u1ee9c", "score": 1 / 7, "tags": ["a"], "n": {"m": {}}})


@pytest.mark.parametrize(
    ("document", "most"),
    [
        (lambda: many('"key %09d": "some text of a member, long enough"', 80_000), 3 * MB),
        (lambda: many('"key %09d": ' + ITEM, 40_000), 3 * MB),
        (lambda: many("[%d, " + ITEM + "]", 44_000, "[", "]"), 2 * MB),
        (lambda: many("%d.25", 480_000, "[", "]"), 2 * MB),
        (lambda: many("%d text", 400_000, '{"text": "', '"}'), 2 * MB),
        (lambda: many(" " * 10 + "%d", 280_000, "[" * 300 + '"', '"' + "]" * 300), 2 * MB),
    ],
    ids=["members", "objects by key", "objects", "numbers", "one text", "a text deep inside"],
)
def test_memory_does_not_grow_with_the_document(document: Any, most: int) -> None:
    size = 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for piece in document():
            size += len(piece)
            yield piece

    json_scan.is_clean([b"[1, 2]"])
    tracemalloc.start()
    try:
        assert json_scan.is_clean(counted())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 4 * MB
    assert peak < most


def test_no_pattern_needs_a_repaired_python() -> None:
    """Python before 3.11.5 (Debian 12 has 3.11.2) matches possessive quantifiers wrongly."""
    patterns = [*json_scan._runs(), json_scan._key.__self__, json_scan._number.__self__]
    for pattern in patterns:
        assert not re.search(rb"[*+?}]\+|\(\?>", pattern.pattern)


def test_many_short_items_need_little_memory() -> None:
    """A pattern remembers each item that it took."""
    for document in (b"[" + b"1," * 500_000 + b"1]", b'"' + rb"\n" * 500_000 + b'"'):
        tracemalloc.start()
        assert json_scan.is_clean(pieces(document, 128 << 10))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12_000_000
