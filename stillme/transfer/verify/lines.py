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
from stillme.transfer.verify.local_clock import LocalClock, row_minutes_sql, shape_sql
from stillme.transfer.verify.unfilled import all_untouched

_VALUE_MARK = "v"


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
    for column in mapping.columns:
        test, piece = _legacy_piece(column, mapping, clock, parents)
        tests.append(test)
        pieces.append(piece)
        target.append(_target_piece(column))
    for name, rule in mapping.derived:
        pieces.append(_derived(mapping, rule))
        target.append(_sized(_q(name)))
    # One test for all that the file has nothing for.
    pieces.append("'-'")
    target.append(f"CASE WHEN {all_untouched(_without_legacy(mapping))} THEN '-' ELSE '!' END")
    tests += [f"{legacy_name(name)} IS NULL" for name in mapping.extra]
    if mapping.key is None or mapping.impossible or not mapping.key_is_unique:
        tests = ["0"]
    return Lines(
        small=none_is_huge(may_be_huge_text(mapping)),
        plain=" AND ".join(f"({test})" for test in tests),
        legacy=f"concat({', '.join(pieces)})",
        target=" || ".join(target),
        reals=tuple(_both_reals(c) for c in mapping.columns if isinstance(c.kind, kinds.Real)),
        documents=tuple(
            _both_documents(c) for c in mapping.columns if isinstance(c.kind, kinds.Json)
        ),
    )


def _without_legacy(mapping: TableMapping) -> tuple[Unfilled, ...]:
    # A row with undeclared columns is judged cell by cell: of a plain one legacy_extra is NULL.
    return (*mapping.unfilled, *map(Unfilled, mapping.extra_columns))


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


def _sized(value: str) -> str:
    return f"coalesce(octet_length({value}) || ':' || {value}, '-')"


def _target_piece(column: MappedColumn) -> str:
    name = _q(column.target)
    match column.kind:
        case kinds.Text() | kinds.TextKey():
            return _sized(name)
        case kinds.Real() | kinds.Json():
            return f"CASE WHEN {name} IS NULL THEN '-' ELSE '{_VALUE_MARK}' END"
        case kinds.Timestamp() | kinds.Date():
            # Not by the session's zone: on a Citus cluster the line is made on another node.
            return f"coalesce(({name} AT TIME ZONE 'UTC')::text || '+00;', '-')"
    return f"coalesce({name}::text || ';', '-')"


def _legacy_piece(
    column: MappedColumn, mapping: TableMapping, clock: LocalClock, parents: dict[str, str]
) -> tuple[str, str]:
    """A test of a plain cell, and its part of the line: arguments of concat()."""
    name = legacy_name(column.legacy)
    number = _or_dash(column, name, "';'")
    mark = f"iif({name} IS NULL, '-', '{_VALUE_MARK}')"
    match column.kind:
        case kinds.Key():
            return f"typeof({name}) = 'integer'", number
        case kinds.Reference(parent=parent):
            qualified = f"{legacy_name(mapping.table)}.{name}"
            test = f"typeof({name}) = 'integer' AND {parents[parent].format(qualified)}"
            return _or_null(column, name, test), number
        case kinds.Integer(low=low, high=high):
            test = f"typeof({name}) = 'integer' AND {name} >= {low} AND {name} <= {high}"
            return _or_null(column, name, test), number
        case kinds.Real():
            return _or_null(column, name, f"typeof({name}) = 'real'"), mark
        case kinds.Json():
            return _or_null(column, name, f"typeof({name}) = 'text'"), mark
        case kinds.Text() | kinds.TextKey():
            # length() of a text stops at U+0000, that of its bytes does not.
            sized = _or_dash(column, f"octet_length({name})", "':'", name)
            return _or_null(column, name, _text_test(column.kind, name)), sized
    return _time_piece(column, name, mapping, clock)


def _or_dash(column: MappedColumn, *parts: str) -> str:
    """The parts one after the other, a dash for NULL; what is never NULL is copied once only."""
    return ", ".join(parts) if column.required else f"ifnull({' || '.join(parts)}, '-')"


def _text_test(kind: kinds.Kind, name: str) -> str:
    # U+0000 is looked for in the finished lines.
    test = f"typeof({name}) = 'text'"
    choices = getattr(kind, "choices", ())
    if choices:
        listed = ", ".join("'" + choice.replace("'", "''") + "'" for choice in choices)
        test += f" AND {name} IN ({listed})"
    return test


def _or_null(column: MappedColumn, name: str, test: str) -> str:
    return test if column.required else f"{name} IS NULL OR ({test})"


def _derived(mapping: TableMapping, rule: kinds.WhenSet) -> str:
    then, otherwise = (
        "'" + f"{len(text.encode())}:{text}".replace("'", "''") + "'"
        for text in (rule.then, rule.otherwise)
    )
    column = mapping.column(rule.column)
    if column is None:
        return otherwise
    return f"iif({legacy_name(column.legacy)} IS NULL, {otherwise}, {then})"


def _time_piece(
    column: MappedColumn, name: str, mapping: TableMapping, clock: LocalClock
) -> tuple[str, str]:
    if isinstance(column.kind, kinds.Date):
        shape = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
        test = f"typeof({name}) = 'text' AND {name} GLOB '{shape}' AND date({name}) = {name}"
        return _or_null(column, name, test), f"ifnull({name} || ' 00:00:00+00;', '-')"
    assert isinstance(column.kind, kinds.Timestamp)
    stamp = column.kind.stamp
    # Only text of this shape, of a day that exists, is what SQLite prints for it; the hour 24
    # it prints too.
    utc_test = f"datetime({name}) = {name} AND substr({name}, 12, 2) < '24'"
    if stamp is kinds.Stamp.SQL:
        return _or_null(column, name, utc_test), _or_dash(column, name, "'+00;'")
    local_test = _local_test(name, mapping, clock, stamp)
    moved = f"datetime(substr({name}, 1, 19), '{-clock.usual} minutes')"
    local_piece = f"{moved} || rtrim(substr({name}, 20), '0') || '+00;'"
    if stamp is kinds.Stamp.ISO:
        return _or_null(column, name, local_test), f"ifnull({local_piece}, '-')"
    piece = f"iif(substr({name}, 11, 1) = 'T', {local_piece}, {name} || '+00;')"
    test = f"({utc_test}) OR ({local_test})"
    return _or_null(column, name, test), f"ifnull({piece}, '-')"


def _local_test(name: str, mapping: TableMapping, clock: LocalClock, stamp: kinds.Stamp) -> str:
    """A local stamp whose offset is surely the usual one."""
    exists = f"datetime(substr({name}, 1, 19)) = replace(substr({name}, 1, 19), 'T', ' ')"
    test = f"{shape_sql(name)} AND {exists} AND {name} > '0001-01-04' AND {name} < '9999-12-28'"
    if stamp is kinds.Stamp.MIXED:
        test += f" AND length({name}) = 26"
    if clock.zone is not None:
        # A zone's offset changes with the date: such times are judged one by one.
        return "0"
    if len(clock.offsets) <= 1:
        return test
    if mapping.clock is None:
        return "0"
    return f"{test} AND {row_minutes_sql(mapping.clock)} = {clock.usual}"
