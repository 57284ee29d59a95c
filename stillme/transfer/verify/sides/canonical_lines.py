"""One canonical line per plain row, spelled the same by both databases: blocks compare by checksum.

SQLite builds the legacy line with its own functions from what it stores, PostgreSQL the other one.
Example, of an id, a text, a NULL, a time, and of columns that the file has nothing for::

    7;5:hello~2025-01-02 03:04:05+00;~

A text comes after its length in bytes, a number ends with a semicolon, NULL is a tilde, with which
no value begins: different rows have different lines. (With a dash, the numbers NULL, 5, -7, 3 had
the line of -5, NULL, 7, 3.) Of doubles and JSON documents the line only says whether they are
there. Their 64 bits and their meaning are compared separately. A row with anything unusual in it
has no line: it is judged cell by cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stillme.transfer.kinds import WhenSet
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping, Unfilled
from stillme.transfer.plumbing.quoting import chained, concatenated
from stillme.transfer.plumbing.quoting import quoted as _q
from stillme.transfer.sqlite.reading.connect import quoted as legacy_name
from stillme.transfer.sqlite.reading.huge_cells import may_be_huge_text, none_is_huge
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.base import Table, sized
from stillme.transfer.verify.sides.target_only_columns import all_untouched


@dataclass(frozen=True, slots=True)
class Lines:
    """`plain` tells a plain row, `small` (to be asked first) one without huge texts.

    `legacy` and `target` are its line on either side.

    `reals` are the doubles that the legacy side gives and the 8 bytes of them that the target
    gives, `documents` the JSON columns as stored and as PostgreSQL prints them.
    """

    small: str
    plain: str
    legacy: str
    target: str
    reals: tuple[tuple[str, str], ...]
    documents: tuple[tuple[str, str], ...]


def lines_for(table: Table, other_pieces: Mapping[str, str] = MappingProxyType({})) -> Lines:
    """The SQL of both sides; columns that have `other_pieces` are not tested."""
    mapping = table.mapping
    tests: list[str] = []
    pieces: list[str] = []
    target: list[str] = []
    for column in mapping.columns:
        judge = judge_of(column.kind)
        if column.legacy in other_pieces:
            pieces.append(other_pieces[column.legacy])
        else:
            tests.append(judge.plain_test(column, table))
            pieces.append(judge.legacy_piece(column, table))
        target.append(judge.target_piece(_q(column.target)))
    for name, rule in mapping.derived:
        pieces.append(_derived(mapping, rule))
        target.append(sized(_q(name)))
    # One test for all that the file has nothing for.
    pieces.append("'~'")
    target.append(f"CASE WHEN {all_untouched(_without_legacy(mapping))} THEN '~' ELSE '!' END")
    tests += [f"{legacy_name(name)} IS NULL" for name in mapping.extra]
    if not mapping.key_columns or mapping.impossible or not mapping.key_is_unique:
        tests = ["0"]
    return Lines(
        small=none_is_huge(may_be_huge_text(mapping)),
        plain=chained([f"({test})" for test in tests], "AND"),
        legacy=concatenated(pieces),
        target=" || ".join(target),
        reals=tuple(_both_reals(c) for c in _beside(mapping, "bits")),
        documents=tuple(_both_documents(c) for c in _beside(mapping, "document")),
    )


def _without_legacy(mapping: TableMapping) -> tuple[Unfilled, ...]:
    # A row with undeclared columns is judged cell by cell: of a plain one legacy_extra is NULL.
    return (*mapping.unfilled, *map(Unfilled, mapping.extra_columns))


def _beside(mapping: TableMapping, what: str) -> list[MappedColumn]:
    """The columns of which the line holds a mark only."""
    return [c for c in mapping.columns if judge_of(c.kind).compared_apart == what]


def _both_reals(column: MappedColumn) -> tuple[str, str]:
    # The line tells NULL from 0. A plain row has doubles here only.
    legacy, target = legacy_name(column.legacy), _q(column.target)
    return f"ifnull(CAST({legacy} AS REAL), 0.0)", f"float8send(coalesce({target}, 0))"


def _both_documents(column: MappedColumn) -> tuple[str, str]:
    # The line tells NULL from the document null.
    return (
        f"CAST({legacy_name(column.legacy)} AS BLOB)",
        f"coalesce({_q(column.target)}::text, 'null')",
    )


def _derived(mapping: TableMapping, rule: WhenSet) -> str:
    then, otherwise = (
        "'" + f"{len(text.encode())}:{text}".replace("'", "''") + "'"
        for text in (rule.then, rule.otherwise)
    )
    column = mapping.column(rule.column)
    if column is None:
        return otherwise
    return f"iif({legacy_name(column.legacy)} IS NULL, {otherwise}, {then})"
