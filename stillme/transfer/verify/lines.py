"""One canonical line per row, spelled alike by both databases, so that blocks compare by digest.

Cells are joined unambiguously: text is preceded by its length in bytes, numbers end with a
semicolon, NULL is ``-``. Reals and documents stand in the line with a mark only: their 64 bits and
their meaning are compared beside it. The legacy line is built from what SQLite stores by SQLite's
own functions, the target line by PostgreSQL; neither passes through the other. A row with anything
unusual in it has no line: it is judged cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

from stillme.transfer import kinds
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.mapping import TableMapping, Unfilled
from stillme.transfer.quoting import quoted as _q
from stillme.transfer.sqlite.connect import quoted as legacy_name
from stillme.transfer.sqlite.huge_cell import may_be_huge_text, none_is_huge
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.base import Table, or_dash, or_null, sized
from stillme.transfer.verify.local_clock import (
    LocalClock,
    row_minutes_sql,
    shape_sql,
    shift_modifier_sql,
)
from stillme.transfer.verify.unfilled import all_untouched


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


def lines_for(mapping: TableMapping, clock: LocalClock, parents: dict[str, str]) -> Lines:
    """The SQL of both sides. `parents` maps a parent table to an SQL test with ``{}`` for the
    referring column."""
    tests: list[str] = []
    pieces: list[str] = []
    target: list[str] = []
    table = Table(mapping, clock, parents)
    for column in mapping.columns:
        judge = judge_of(column.kind)
        if isinstance(column.kind, kinds.Timestamp):
            test, piece = _time_piece(column, mapping, clock)
        else:
            test, piece = judge.plain_test(column, table), judge.legacy_piece(column, table)
        tests.append(test)
        pieces.append(piece)
        target.append(judge.target_piece(_q(column.target)))
    for name, rule in mapping.derived:
        pieces.append(_derived(mapping, rule))
        target.append(sized(_q(name)))
    # One test for all that the file has nothing for.
    pieces.append("'-'")
    target.append(f"CASE WHEN {all_untouched(_without_legacy(mapping))} THEN '-' ELSE '!' END")
    tests += [f"{legacy_name(name)} IS NULL" for name in mapping.extra]
    if not mapping.key_columns or mapping.impossible or not mapping.key_is_unique:
        tests = ["0"]
    return Lines(
        small=none_is_huge(may_be_huge_text(mapping)),
        plain=" AND ".join(f"({test})" for test in tests),
        legacy=f"concat({', '.join(pieces)})",
        target=" || ".join(target),
        reals=tuple(_both_reals(c) for c in _beside(mapping, "bits")),
        documents=tuple(_both_documents(c) for c in _beside(mapping, "document")),
    )


def _without_legacy(mapping: TableMapping) -> tuple[Unfilled, ...]:
    # A row with undeclared columns is judged cell by cell: of a plain one legacy_extra is NULL.
    return (*mapping.unfilled, *map(Unfilled, mapping.extra_columns))


def _beside(mapping: TableMapping, what: str) -> list[MappedColumn]:
    """The columns of which the line holds a mark only."""
    return [c for c in mapping.columns if judge_of(c.kind).beside == what]


def _both_reals(column: MappedColumn) -> tuple[str, str]:
    # The line tells NULL from 0.
    legacy, target = legacy_name(column.legacy), _q(column.target)
    return f"ifnull({legacy}, 0.0)", f"float8send(coalesce({target}, 0))"


def _both_documents(column: MappedColumn) -> tuple[str, str]:
    # The line tells NULL from the document null.
    return (
        f"CAST({legacy_name(column.legacy)} AS BLOB)",
        f"coalesce({_q(column.target)}::text, 'null')",
    )


def _derived(mapping: TableMapping, rule: kinds.WhenSet) -> str:
    then, otherwise = (
        "'" + f"{len(text.encode())}:{text}".replace("'", "''") + "'"
        for text in (rule.then, rule.otherwise)
    )
    column = mapping.column(rule.column)
    if column is None:
        return otherwise
    return f"iif({legacy_name(column.legacy)} IS NULL, {otherwise}, {then})"


def _time_piece(column: MappedColumn, mapping: TableMapping, clock: LocalClock) -> tuple[str, str]:
    name = legacy_name(column.legacy)
    assert isinstance(column.kind, kinds.Timestamp)
    stamp = column.kind.stamp
    # Only text of this shape, of a day that exists, is what SQLite prints for it; the hour 24
    # it prints too.
    utc_test = f"datetime({name}) = {name} AND substr({name}, 12, 2) < '24'"
    if stamp is kinds.Stamp.SQL:
        return or_null(column, utc_test), or_dash(column, name, "'+00;'")
    local_test = _local_test(name, column.kind, mapping, clock)
    moved = f"datetime(substr({name}, 1, 19), {shift_modifier_sql(name, clock)})"
    local_piece = f"{moved} || rtrim(substr({name}, 20), '0') || '+00;'"
    if stamp is kinds.Stamp.ISO:
        return or_null(column, local_test), f"ifnull({local_piece}, '-')"
    piece = f"iif(substr({name}, 11, 1) = 'T', {local_piece}, {name} || '+00;')"
    test = f"({utc_test}) OR ({local_test})"
    return or_null(column, test), f"ifnull({piece}, '-')"


def _local_test(name: str, kind: kinds.Timestamp, mapping: TableMapping, clock: LocalClock) -> str:
    """A local stamp whose offset is surely the usual one, or the zone's of that day."""
    exists = f"datetime(substr({name}, 1, 19)) = replace(substr({name}, 1, 19), 'T', ' ')"
    test = f"{shape_sql(name)} AND {exists} AND {name} > '0001-01-04' AND {name} < '9999-12-28'"
    if kind.stamp is kinds.Stamp.MIXED:
        test += f" AND length({name}) = 26"
    if clock.zone is not None:
        return f"{test} AND {shift_modifier_sql(name, clock)} IS NOT NULL"
    if len(clock.offsets) <= 1:
        return test
    if mapping.clock is None:
        return "0"
    test += f" AND {row_minutes_sql(mapping.clock)} = {clock.usual}"
    earlier = mapping.column(kind.after or "")
    if earlier is None:
        return test
    start = legacy_name(earlier.legacy)
    return f"{test} AND ({start} IS NULL OR {shape_sql(start)} AND {name} >= {start})"
