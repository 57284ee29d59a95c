"""Rows that SQLite repairs while it hands them over, because the repair is a frequent one.

Example: ``'07'`` in a column of whole numbers. The row's line has 7. A second line, for another
COPY, has the original: ``18,text,\\x3037,numeric_text``. The class of each kind says which values
it repairs, and how (`KindLoader.mends`). All other unusual rows go through `unusual_rows` cell by
cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillme.transfer.key_columns import Condition
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.csv_format import csv_line, quoted_cell
from stillme.transfer.sqlite.reading.connect import EXACT_HEX, quoted
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.base import QUOTE_SQL, Mend, Table
from stillme.transfer.steps.rows.common_rows import CommonRows, common_rows, literal


def mended_rows(table: Table, run_id: int | None) -> CommonRows | None:
    """The SQL for one table; None where it repairs nothing.

    Each column's shape is found once, as a number (0: the common one), by an inner SELECT.
    """
    mapping = table.mapping
    keys = mapping.key_columns
    if not mapping.sql_tells_unusual:
        return None
    shapes: list[str] = []
    mended: dict[str, tuple[str, ...]] = {}
    kept: list[str] = []
    documents: list[str] = []
    for column in mapping.columns:
        mends = () if column in keys.columns else loader_of(column.kind).mends(column, table)
        if not mends:
            continue
        shape = quoted(f"mended {len(shapes)}")
        loader, name = loader_of(column.kind), quoted(column.legacy)
        shapes.append(f"{loader.shape(column, table)} AS {shape}")
        cells = [Mend("", "", " || ".join(loader.cell(column, table))), *mends]
        mended[column.legacy] = (_chosen(shape, [mend.cell for mend in cells]),)
        if column.kind.is_document:
            # What was mended need not be looked at again.
            documents.append(f"CASE {shape} WHEN 0 THEN {name} ELSE '{{}}' END")
        lines = [_original(mapping, name, mend.reason) for mend in mends]
        kept.append(_chosen(shape, ["NULL", *lines]))
    if not shapes:
        return None
    every = common_rows(table, mended)
    numbers = [quoted(f"mended {number}") for number in range(len(shapes))]
    prefix = csv_line((None if run_id is None else str(run_id), *mapping.identity))[:-1] + ","
    key = keys.legacy()
    quotes = f"ifnull(instr({key}, {QUOTE_SQL}) = 0, 1)"
    return CommonRows(
        predicate=f'"mended rest" AND {" + ".join(numbers)} > 0',
        small=every.small,
        line=every.line,
        documents=tuple(documents),
        quoted_cells=every.quoted_cells,
        # Before the table's own columns: of two of one name the first is meant.
        inner=f'{", ".join(shapes)}, ({every.predicate} AND {quotes}) AS "mended rest", '
        "rowid AS rowid, *",
        originals=table.source.joined([_each(part, prefix) for part in kept]),
        prefix=prefix.encode(),
    )


def _chosen(shape: str, values: Sequence[str]) -> str:
    whens = [f"WHEN {number} THEN {value}" for number, value in enumerate(values)]
    return f"CASE {shape} {' '.join(whens)} END"


def _original(mapping: TableMapping, name: str, reason: str) -> str:
    """SQL: the line of an original, from its key on."""
    key = mapping.key_columns.legacy()
    stored = f"CASE typeof({name}) WHEN 'real' THEN {EXACT_HEX}({name}) ELSE {name} END"
    column = next(c.legacy for c in mapping.columns if quoted(c.legacy) == name)
    head = f"{QUOTE_SQL} || {key} || {QUOTE_SQL} || {literal(f',{quoted_cell(column)},')}"
    value = rf"',\x' || hex(CAST({stored} AS BLOB))"
    return f"{head} || typeof({name}) || {value} || ',{reason}\n'"


def _each(line: str, prefix: str) -> str:
    return f"{literal(prefix)} || {line}"


@dataclass(frozen=True, slots=True)
class Rowids(KeyRange):
    """Some rows, in the place of a range; not too many to be bound as one text."""

    rowids: tuple[int, ...] = ()

    def where(self, mapping: TableMapping, table: str = "") -> Condition:
        """SQL condition on the legacy rows."""
        among = "SELECT value FROM json_each(?)"
        return f"{quoted(mapping.table)}.rowid IN ({among})", [
            f"[{', '.join(map(str, self.rowids))}]"
        ]
