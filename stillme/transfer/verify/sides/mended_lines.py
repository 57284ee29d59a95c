"""The judge's lines of rows that were repaired in a frequent way: such rows are compared in blocks.

Example: ``'07'`` in a column of whole numbers. The row's line says 7, and the target's line must
say the same. A second line says what must be kept: ``18|n|text|numeric_text|3037`` (its parts are
separated by U+001F; the bytes come last, as PostgreSQL prints a text up to a U+0000 only). The
class of each kind says which values are repaired, and how (`KindJudge.mends`). If the lines of the
two sides differ, the rows are judged cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

from stillme.transfer.plumbing.quoting import concatenated, quoted
from stillme.transfer.sqlite.reading.connect import EXACT_HEX
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.base import Table
from stillme.transfer.verify.sides.canonical_lines import Lines, lines_for

# Between the parts of a kept original; PostgreSQL's chr() and SQLite's char() know it by number.
SEPARATOR, END = 31, 10


@dataclass(frozen=True, slots=True)
class MendedLines:
    """`inner` is what to select of the table first, `lines` are those of the rows it gives, and
    `originals` is SQL for what must be kept of each."""

    inner: str
    lines: Lines
    originals: str


def mended_lines(table: Table) -> MendedLines | None:
    """The SQL of the legacy side; None where no column has such values."""
    mapping = table.mapping
    keys = mapping.key_columns
    if not (mapping.sql_tells_unusual and mapping.key_is_unique):
        return None
    shapes: list[str] = []
    pieces: dict[str, str] = {}
    kept: list[str] = []
    # What is stored -> what the target must hold.
    documents: dict[str, str] = {}
    for column in mapping.columns:
        judge = judge_of(column.kind)
        mends = () if column in keys.columns else judge.mends(column, table)
        if not mends:
            continue
        shape = quoted(f"shape {len(shapes)}")
        shapes.append(f"{judge.shape(column, table)} AS {shape}")
        found = (f"WHEN {n} THEN {mend.piece}" for n, mend in enumerate(mends, start=1))
        usual = f"WHEN 0 THEN concat({judge.legacy_piece(column, table)})"
        pieces[column.legacy] = f"CASE {shape} {usual} {' '.join(found)} END"
        meant = [f"WHEN {n} THEN {m.document}" for n, m in enumerate(mends, start=1) if m.document]
        stored = f"CAST({quoted(column.legacy)} AS BLOB)"
        if meant:
            documents[stored] = f"CASE {shape} {' '.join(meant)} ELSE {stored} END"
        told = (f"WHEN {n} THEN '{mend.reason}'" for n, mend in enumerate(mends, start=1))
        reason = f"CASE {shape} {' '.join(told)} END"
        original = _original(keys.legacy(), column.legacy, reason)
        kept.append(f"iif({shape} > 0, {original}, NULL)")
    if not shapes:
        return None
    lines = lines_for(table, pieces)
    numbers = " + ".join(quoted(f"shape {number}") for number in range(len(shapes)))
    # Before the table's own columns: of two of one name the first is meant.
    inner = f'{", ".join(shapes)}, ({lines.plain}) AS "other columns", rowid AS rowid, *'
    rest = Lines(
        lines.small,
        f'"other columns" AND {numbers} > 0',
        lines.legacy,
        lines.target,
        lines.reals,
        tuple((documents.get(legacy, legacy), target) for legacy, target in lines.documents),
    )
    return MendedLines(inner, rest, concatenated(kept))


def _original(key: str, name: str, reason: str) -> str:
    value = f"iif(typeof({quoted(name)}) = 'real', {EXACT_HEX}({quoted(name)}), {quoted(name)})"
    told = "'" + name.replace("'", "''") + "'"
    parts = (key, told, f"typeof({quoted(name)})", reason, f"hex({value})")
    return f"{f' || char({SEPARATOR}) || '.join(parts)} || char({END})"
