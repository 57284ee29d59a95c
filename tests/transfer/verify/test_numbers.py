"""Numbers in JSON are compared to the last digit, as PostgreSQL's own jsonb compares them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any

import pytest

from stillme.transfer.verify.kinds.json_documents import expected_tree, is_same_tree, target_tree
from stillme.transfer.verify.sides.json_blocks import DocumentBlock
from tests.made_once import put_samples
from tests.transfer.load.support import change, query, run_import
from tests.transfer.verify.support import (
    close_database,
    empty_target,
    judge,
    legacy_folder,
    places,
    undone,
)

pytestmark = pytest.mark.django_db

# Every pair of a group is compared: some are one number in two spellings, some nearly the same.
NEIGHBOURS = [
    ["1" + "0" * 40, "1" + "0" * 39 + "1", "1e40", "1.0E+40", "1" + "0" * 40 + ".0"],
    ["1.10", "1.1", "11e-1", "1.1" + "0" * 60, "1.1" + "0" * 60 + "1"],
    ["1E+2", "100", "100.0", "1e2", "99.9999999999999999999999999999999"],
    ["0", "-0", "0.0", "-0.0", "0e400", "1e-400", "-1e-400"],
    ["1e400", "1" + "0" * 400, "1" + "0" * 399 + "1", "1e401"],
    ["1e-400", "0." + "0" * 399 + "1", "0." + "0" * 399 + "10", "0." + "0" * 399 + "11"],
    ["0." + "3" * 45, "0." + "3" * 44, "0." + "3" * 44 + "4", "0." + "3" * 45 + "0"],
    ["0.1", "0.1000000000000000055511151231257827", "0.10000000000000001"],
    ["9" * 5000, "9" * 4999 + "8", "9" * 5000 + ".0", "-" + "9" * 5000],
    ["9" * 4300, "9" * 4301, "1" + "0" * 4300, "1e4300"],
    ["9007199254740993", "9007199254740992", "9007199254740993.0"],
    ["18446744073709551616", "18446744073709551615", "18446744073709551616.5"],
    ["123456789012345678901234567890", "123456789012345678901234567891"],
    ["5e-324", "4e-324", "2.5e-324"],
    ["9" * 131_072, "9" * 131_071 + "8"],
    ["0." + "0" * 16_382 + "1", "0." + "0" * 16_382 + "2"],
]


def _short(group: list[str]) -> str:
    return group[0] if len(group[0]) < 20 else f"{group[0][:4]}..{len(group[0])}"


@pytest.mark.parametrize("around", ["%s", '{"a": [%s, 1.5]}'])
@pytest.mark.parametrize("group", NEIGHBOURS, ids=_short)
def test_as_postgresql_compares_them(group: list[str], around: str) -> None:
    documents = [around % number for number in group]
    pairs = list(combinations_with_replacement(documents, 2))
    rows = query(
        "SELECT a::jsonb = b::jsonb, b::jsonb::text "
        "FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS x (a, b, n) ORDER BY n",
        [first for first, _ in pairs],
        [second for _, second in pairs],
    )
    for (first, second), (same, printed) in zip(pairs, rows, strict=True):
        named = first[:60], second[:60]
        assert is_same_tree(expected_tree(first)[0], target_tree(printed)) is same, named
        # A block may doubt what is equal: its rows are then judged by their trees.
        assert same or not DocumentBlock([first.encode()]).is_same(f"[{printed}]".encode()), named


# What a document holds, what is planted in its place, and whether that is the same number.
PLANTED = {
    9001: ("1" + "0" * 40, "1" + "0" * 39 + "1", False),
    9002: ("1e400", "1" + "0" * 399 + "1", False),
    9003: ("9" * 5000, "9" * 4999 + "8", False),
    9004: ("0." + "3" * 45, "0." + "3" * 44 + "4", False),
    9005: ("1E+2", "100.00", True),
    9006: ("1.10", "1.1", True),
    9007: ("-0", "0", True),
    9008: ("1" + "0" * 40, "1" + "0" * 40 + ".000", True),
}
# The same numbers in documents so large that the server compares them.
HUGE = {key + 100: PLANTED[key] for key in (9001, 9003, 9008)}
ITEMS = "knowledge.knowledge_items"


@pytest.fixture(scope="module")
def imported(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """Each number of the table in a document, and an integer in an undeclared column."""
    folder = tmp_path_factory.mktemp("numbers")
    put_samples(folder, rows=30, variant="clean", files=["knowledge"])
    padding = {**dict.fromkeys(PLANTED, ""), **dict.fromkeys(HUGE, "x" * (5 * 2**20))}
    change(
        folder,
        "knowledge",
        "ALTER TABLE knowledge_items ADD COLUMN surplus",
        *(
            "INSERT INTO knowledge_items (id, content, source, knowledge_type, metadata, surplus) "
            f"VALUES ({key}, 'c', 's', 't', '{{\"n\": {number}, \"p\": \"{padding[key]}\"}}', "
            f"iif({key} = 9005, {2**63 - 1}, NULL))"
            for key, (number, _, _) in (PLANTED | HUGE).items()
        ),
    )
    with django_db_blocker.unblock(), legacy_folder(folder):
        empty_target()
        run_import()
        yield
        empty_target()
        close_database()


def test_equal_numbers_are_proven(imported: None) -> None:
    result = judge()
    assert [finding.sentence() for finding in result.findings.kept] == []


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("key", PLANTED | HUGE)
def test_another_number_is_found(imported: None, key: int) -> None:
    _, planted, same = (PLANTED | HUGE)[key]
    with undone():
        query(
            f"UPDATE {ITEMS} SET metadata = jsonb_set(metadata, '{{n}}', %s::jsonb) WHERE id = %s",
            planted,
            key,
        )
        found = places(judge().findings.kept)
    assert found == (set() if same else {(f"{ITEMS}:metadata", str(key))})


def test_an_integer_of_an_undeclared_column(imported: None) -> None:
    with undone():
        query(
            f"UPDATE {ITEMS} SET legacy_extra = "
            f"jsonb_build_object('surplus', {2**63 - 1}.0000000000000000000000001) WHERE id = 9005"
        )
        found = places(judge().findings.kept)
    assert found == {(f"{ITEMS}:legacy_extra", "9005")}
