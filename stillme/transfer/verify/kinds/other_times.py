"""SQL of the judge for times in another shape than their column's usual one, and for numbers.

By SQLite's own reading of offsets (``2025-11-20T10:11:12+01:00`` is 09:11:12), where the loader
leaves them to PostgreSQL. What is not recognised here is judged by cell (`time_reading`).
"""

from __future__ import annotations

from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import Mend, Table, is_ascii

_SCALES = {"seconds": 1_000_000, "milliseconds": 1_000}


def other_shapes(
    column: MappedColumn, *, spaced: str | None, local: str | None
) -> tuple[Mend, ...]:
    """Texts with hours, minutes and seconds, and those of a date alone.

    What datetime() is told to take a time without offset to UTC, `spaced` or with a ``T``; NULL
    where that is unsure, None where such a time is of no well-known shape.
    """
    name = quoted(column.legacy)
    wall = f"substr({name}, 1, 19)"
    zone = (
        f"iif(substr({name}, -1) = 'Z', 'Z', iif(length({name}) > 24"
        f" AND substr({name}, -3, 1) = ':' AND substr({name}, -6, 1) IN ('+', '-'),"
        f" substr({name}, -6), ''))"
    )
    fraction = f"substr({name}, 20, length({name}) - 19 - length({zone}))"
    six = f"rtrim({fraction}, '0123456789') = '.' AND length({fraction}) <= 7"
    shift = f"iif(substr({name}, 11, 1) = 'T', {local or 'NULL'}, {spaced or 'NULL'})"
    moved = f"iif({zone} = '', datetime({wall}, {shift}), datetime({wall} || {zone}))"
    test = (
        f"typeof({name}) = 'text' AND octet_length({name}) BETWEEN 19 AND 40"
        f" AND {is_ascii(name)}"
        f" AND datetime({wall}) = replace({wall}, 'T', ' ') AND substr({name}, 12, 2) < '24'"
        f" AND date({wall}, '+0 days') = substr({name}, 1, 10)"
        f" AND {name} > '0001-01-04' AND {name} < '9999-12-28'"
        f" AND length({fraction}) <> 1 AND ({fraction} = '' OR {six}) AND {moved} IS NOT NULL"
    )
    piece = f"{moved} || rtrim(rtrim({fraction}, '0'), '.') || '+00;'"
    return (Mend("time_shape", test, piece),)


def date_alone(column: MappedColumn) -> tuple[Mend, ...]:
    """A date, which means midnight in UTC."""
    name = quoted(column.legacy)
    ten = f"typeof({name}) = 'text' AND octet_length({name}) = 10 AND {name} > '0001-01-00'"
    exists = f"date({name}) = {name} AND date({name}, '+0 days') = {name}"
    return (Mend("time_shape", f"{ten} AND {exists}", f"{name} || ' 00:00:00+00;'"),)


def counted(column: MappedColumn, table: Table) -> tuple[Mend, ...]:
    """Seconds or milliseconds since 1970; one that lies between two microseconds is left out."""
    scale = _SCALES.get(table.units.get(column.legacy, ""))
    if scale is None:
        return ()
    name = quoted(column.legacy)
    whole = f"CAST({name} AS INTEGER)"
    part = f"({scale}.0 * ({name} - {whole}))"
    nearest = f"CAST({part} + 0.5 AS INTEGER)"
    second = f"(({whole} * {scale} + {nearest}) / 1000000)"
    micros = f"(({whole} * {scale} + {nearest}) % 1000000)"
    test = (
        f"typeof({name}) IN ('integer', 'real') AND {name} >= 1e8 AND {name} < 1e14"
        f" AND {part} - CAST({part} AS INTEGER) <> 0.5"
    )
    shown = f"rtrim(rtrim(format('.%06d', {micros}), '0'), '.')"
    return (Mend("epoch", test, f"datetime({second}, 'unixepoch') || {shown} || '+00;'"),)
