"""Documents by the block: what PostgreSQL printed of them is the same, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillme.transfer.verify.sides.json_blocks import DocumentBlock
from tests.transfer.load.support import query

pytestmark = pytest.mark.django_db

DOCUMENTS: list[bytes | None] = [
    b"{}",
    None,
    b"null",
    b'{"b": 1, "a": [1.50, -0.0, 1e5, 123456789012345678901234567890], "longer key": true}',
    b'{"score": 0.8333333333333334, "tiny": 1e-20, "id": 9007199254740993}',
    '{"title": "na\\u00efve tri thức 知識 \\"quoted\\": x", "t": "2024.01.02.03.04.05"}'.encode(),
    b'[[], {}, "", 0, false]',
]


def printed(column: list[bytes | None]) -> bytes:
    """The column as PostgreSQL prints it, as one array."""
    texts = [None if d is None else d.decode() for d in column]
    return str(
        query(
            "SELECT '[' || coalesce(string_agg(coalesce(d::jsonb::text, 'null'), ',' "
            "ORDER BY n), '') || ']' FROM unnest(%s::text[]) WITH ORDINALITY AS t (d, n)",
            texts,
        )[0][0]
    ).encode()


def test_what_postgresql_prints_is_the_same() -> None:
    block = DocumentBlock(DOCUMENTS)
    assert all(block.plain)
    assert block.is_same(printed(DOCUMENTS))
    for document in DOCUMENTS:
        assert DocumentBlock([document]).is_same(printed([document]))


@pytest.mark.parametrize(
    ("legacy", "target"),
    [
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": 1.0000000000000000001}'),
        ('{"a": 0.1}', '{"a": 0.10000000000000000555}'),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}'),
        ('{"a": 12345678901234567890123}', '{"a": 12345678901234567890124}'),
        ('{"a": 1e-400}', '{"a": 0}'),
        ('{"a": 1e-400}', '{"a": 0.0}'),
        ('{"a": 0.0}', '{"a": 1e-400}'),
        ('{"a": null}', "{}"),
        ('{"a": "x"}', '{"a": "x "}'),
        ('{"a": "é"}', '{"a": "e\\u0301"}'),
        ("[1, 2]", "[2, 1]"),
        ("[]", "{}"),
        ("null", "0"),
        ('{"a": [{"b": 1}]}', '{"a": [{"c": 1}]}'),
    ],
)
def test_another_document_is_not_the_same(legacy: str, target: str) -> None:
    around: list[bytes | None] = [b"{}", b'{"n": 1.25}']
    block = DocumentBlock([*around, legacy.encode(), *around])
    assert block.is_same(printed([*around, legacy.encode(), *around]))
    assert not block.is_same(printed([*around, target.encode(), *around]))


def test_key_order_and_white_space_are_no_difference() -> None:
    written = [b'{"bb": 1, "a": 2}', b'{"a":\n2 , "bb" : 1}']
    first, second = (DocumentBlock([document]) for document in written)
    assert first.is_same(printed([written[1]]))
    assert second.is_same(printed([written[0]]))


@pytest.mark.parametrize(
    "document",
    [
        b'{"a": 1, "a": 1}',
        rb'{"a": 1, "a": "\u0022"}',
        rb'{"a": "\u0000"}',
        rb'{"a": "\ud800"}',
        b"NaN",
        b"nothing",
        b'{"a": "\xff"}',
        b"[" * 501 + b"]" * 501,
    ],
)
def test_what_jsonb_does_not_take_unchanged_is_not_plain(document: bytes) -> None:
    assert DocumentBlock([b"{}", document, None]).plain == [True, False, True]


@pytest.mark.parametrize(
    ("legacy", "target"),
    [
        ([b"1,2", b'"a', b'b"'], [b"1", b"2", b'"a,b"']),
        ([b"[1", b"2]", b"3,4"], [b"[1, 2]", b"3", b"4"]),
        ([b"1,2", b"[3", b"4]"], [b"1", b"2", b"[3, 4]"]),
    ],
)
def test_texts_that_are_documents_only_together(legacy: list[bytes], target: list[bytes]) -> None:
    block = DocumentBlock(legacy)
    assert not all(block.plain)
    assert not block.is_same(printed([*target]))


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('abé"\\:', max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.lists(_VALUES, max_size=5), st.integers(0, 4), _VALUES)
def test_some_documents(values: list[Any], place: int, other: Any) -> None:
    column: list[bytes | None] = [json.dumps(value).encode() for value in values]
    block = DocumentBlock(column)
    assert all(block.plain)
    assert block.is_same(printed(column))
    if place < len(values) and json.dumps(values[place]) != json.dumps(other):
        changed = [*column[:place], json.dumps(other).encode(), *column[place + 1 :]]
        assert block.is_same(printed(changed)) is (printed(changed) == printed(column))
