"""Which JSON documents jsonb takes unchanged: the loader and the judge each find the same ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillme.transfer.steps.kinds import json_policy
from stillme.transfer.verify.kinds import json_documents


def is_unchanged(document: bytes) -> bool:
    """What the loader's policy says."""
    try:
        return json_policy.convert(document.decode("utf-8"))[1] == ""
    except (UnicodeDecodeError, json_policy.TooLarge):
        return False


def judge_expects_no_change(document: bytes) -> bool:
    """What the judge says of the same document."""
    try:
        return json_documents.expected_tree(document.decode("utf-8"))[1] == ""
    except (UnicodeDecodeError, json_documents.Beyond):
        return False


def is_refused_by_postgresql(document: bytes) -> bool:
    """Numbers that numeric does not hold: COPY fails, and the row is then looked at alone."""
    return b"e-16384" in document


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
    b"[" * 500 + b"]" * 500,
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


@pytest.mark.parametrize("document", CLEAN, ids=lambda document: document[:30])
def test_taken_unchanged(document: bytes) -> None:
    assert is_unchanged(document)
    assert judge_expects_no_change(document)


@pytest.mark.parametrize("document", UNCLEAN.values(), ids=UNCLEAN.keys())
def test_not_taken_unchanged(document: bytes) -> None:
    assert not is_unchanged(document)
    assert not judge_expects_no_change(document)
    assert not json_policy.all_clean([document]) or is_refused_by_postgresql(document)


@pytest.mark.slow_after(1, by="value")
@pytest.mark.parametrize("place", [4_999, 0, 255, 256])
@pytest.mark.parametrize("value", ["1", "[[[[[1]]]]]"])
def test_a_key_that_stands_twice_far_apart(place: int, value: str) -> None:
    members = [f'"key {number}": {value}' for number in range(5_000)]
    for more, is_clean in (([], True), ([f'"\\u006bey {place}": 1'], False)):
        document = ("{" + ", ".join([*members, *more]) + "}").encode()
        assert json_policy.all_clean([document]) == is_clean
        assert is_unchanged(document) == judge_expects_no_change(document) == is_clean


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
@given(DOCUMENTS, st.none() | st.tuples(st.floats(0, 1), DAMAGES))
def test_any_document(text: str, damage: tuple[float, bytes] | None) -> None:
    document = damaged(text, damage)
    assert is_unchanged(document) == judge_expects_no_change(document)
    assert is_unchanged(document) or not json_policy.all_clean([document])


NOT_FINITE = [
    '{"a": NaN}', "NaN", "[-Infinity, Infinity, NaN, 1.50, 1e40, -0]", '{"NaN": "NaN", "b": NaN}',
    '{"tri thức": [NaN, {"x": Infinity}], "😀": "-Infinity"}',
]  # fmt: skip
NOT_ONLY_THAT = [
    '{"a": 1}', '{"a": "NaN"}', '{"a": NaN, "a": 1}', '{"a": NaN', "-NaN", "+Infinity", "1NaN",
    "NaNNaN", "--Infinity", '{NaN: 1}', '{"\\"": NaN}', '{"\\u0000": NaN}', '"NaN" NaN', "nan",
    '["a"NaN]', "\ufeffNaN", "[" * 300 + "NaN" + "]" * 300, "[NaN, 1e400]",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_FINITE)
def test_what_is_not_finite_becomes_null_in_one_go(text: str) -> None:
    made = json_policy.made_finite(text)
    document, reason = json_policy.convert(text)
    assert made is not None
    assert (json.loads(made), reason) == (json.loads(document), "not_finite")


@pytest.mark.parametrize("text", NOT_ONLY_THAT)
def test_anything_else_is_looked_at_more_closely(text: str) -> None:
    assert json_policy.made_finite(text) is None


@settings(max_examples=300)
@given(st.text(alphabet='{}[]:,"\\ab -+1N', max_size=6), st.text(alphabet='{}[]:,"\\ab -+1N'))
def test_no_document_is_made_finite_that_is_mended_otherwise(before: str, after: str) -> None:
    for name in ("NaN", "Infinity", "-Infinity"):
        text = before + name + after
        made = json_policy.made_finite(text)
        if made is not None:
            document, reason = json_policy.convert(text)
            assert (json.loads(made), reason) == (json.loads(document), "not_finite")
