"""The common row: SQL that tells it apart and hands it over as a CSV line.

SQLite itself checks the storage classes and shapes, doubles the quotes, prints the doubles, and
appends the offset of a time; Python only joins the lines that come back (law 4). What is common
in a column and how its cell is printed says the class of its kind (`steps/kinds`). Whatever the
predicate does not vouch for goes through `careful` cell by cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stillme.transfer.kinds import WhenSet
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.csv_format import quoted_cell
from stillme.transfer.plumbing.quoting import chained
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.huge_cells import none_is_huge
from stillme.transfer.sqlite.reading.other_rows import no_earlier
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.base import QUOTE_SQL, Table

_LITERAL = re.compile("'(?:[^']|'')*'")


@dataclass(frozen=True, slots=True)
class CommonRows:
    """`predicate` is true for a common row, whose `line` is then its CSV line.

    The line is one value because each value that crosses into Python costs time. `documents` are
    the JSON columns, to be looked at: jsonb would silently drop a repeated key. `quoted_cells` is
    how many other cells of each line are quoted: more quotes than these and the documents' are
    part of a text. It is None where the predicate has looked for quotes itself. `small` is to be
    asked before the predicate where a value may be huge.

    Of rows that SQL repairs (`mended_rows`) `inner` is what to select first, `originals` the lines
    of what is kept, and `prefix` the beginning of each of these, which is the same in all.
    """

    predicate: str
    small: str
    line: str
    documents: tuple[str, ...]
    quoted_cells: int | None
    inner: str = ""
    originals: str = ""
    prefix: bytes = b""


def common_rows(
    table: Table, other_cells: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> CommonRows:
    """The SQL for one table; columns that have `other_cells` are not tested."""
    mapping, source = table.mapping, table.source
    tests: list[str] = []
    cells: list[tuple[str, ...]] = []
    for column in mapping.columns:
        loader = loader_of(column.kind)
        if column.legacy in other_cells:
            cells.append(other_cells[column.legacy])
            continue
        tests.append(loader.common_test(column, table))
        cells.append(loader.cell(column, table))
    cells += [(_derived(mapping, rule),) for _, rule in mapping.derived]
    cells += [("''",)] * len(mapping.nulls)
    if mapping.extra:
        tests += [f"{quoted(name)} IS NULL" for name in mapping.extra]
        cells.append(("''",))
    if not mapping.key_columns or mapping.impossible:
        tests = ["0"]
    elif not mapping.key_is_unique:
        tests.append(no_earlier(mapping))
    texts = [c for c in mapping.columns if c.kind.is_free_text]
    constant = all(column.required for column in texts)
    if not constant:
        tests += [f"ifnull(instr({quoted(c.legacy)}, {QUOTE_SQL}) = 0, 1)" for c in texts]
    return CommonRows(
        predicate=chained([test for test in tests if test], "AND") or "1",
        small=none_is_huge(source.huge(mapping)),
        line=source.joined(_in_line(cells)),
        documents=tuple(quoted(c.legacy) for c in mapping.columns if c.kind.is_document),
        quoted_cells=len(texts) + len(mapping.derived) if constant else None,
    )


def _in_line(cells: list[tuple[str, ...]]) -> list[str]:
    """The parts of a line: cells, separators and its end, neighbouring literals as one."""
    separated = [part for cell in cells for part in ("','", *cell)]
    parts: list[str] = []
    for part in (*separated[1:], "'\n'"):
        if parts and _is_literal(parts[-1]) and _is_literal(part):
            parts[-1] = parts[-1][:-1] + part[1:]
        else:
            parts.append(part)
    return parts


def _is_literal(part: str) -> bool:
    return _LITERAL.fullmatch(part) is not None


def _derived(mapping: TableMapping, rule: WhenSet) -> str:
    column = mapping.column(rule.column)
    if column is None:
        return literal(quoted_cell(rule.otherwise))
    then, otherwise = literal(quoted_cell(rule.then)), literal(quoted_cell(rule.otherwise))
    return f"CASE WHEN {quoted(column.legacy)} IS NULL THEN {otherwise} ELSE {then} END"


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"
