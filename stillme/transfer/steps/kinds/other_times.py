"""SQL of the loader for times that are stored in another shape than their column's usual one.

``2025-11-20T10:11:12.5Z`` and ``2025-11-20 10:11:12+01:00`` go to PostgreSQL as they are, a time
without an offset gets one appended, a number becomes the instant that it counts. The original is
kept. What is not recognised here goes through `time_reading`, which makes the same of these, too.
"""

from __future__ import annotations

from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.sqlite.clock.epochs import MILLISECONDS, SECONDS
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.kinds.base import Mend, Table, plain_text

# By the unit: what numbers of it there are, and how many microseconds it has.
_UNITS = {SECONDS: (10**8, 10**11, 10**6), MILLISECONDS: (10**11, 10**14, 10**3)}
_OFFSET = "[+-][01][0-9]:[0-5][0-9]"


def other_shapes(
    column: MappedColumn, *, spaced: str, local: str, local_test: str = "1"
) -> tuple[Mend, ...]:
    """Texts with a date, hours, minutes and seconds.

    `spaced` is the offset of one with a space, `local` that of one with a ``T``, as SQL; NULL
    where SQL cannot tell, or where `local_test` is not true.
    """
    name = quoted(column.legacy)
    wall = f"substr({name}, 1, 19)"
    exists = f"datetime({wall}, '+0 days') = replace({wall}, 'T', ' ')"
    # The first and last days of the calendar may leave it when the offset is applied.
    inside = f"substr({name}, 12, 2) < '24' AND {name} BETWEEN '0001-01-03' AND '9999-12-29'"
    told = (
        f"CASE WHEN {name} GLOB '*Z' THEN 'Z'"
        f" WHEN substr({name}, 20) GLOB '*{_OFFSET}' AND substr({name}, -5, 2) < '16'"
        f" THEN substr({name}, -6) ELSE '' END"
    )
    fraction = f"substr({name}, 20, length({name}) - 19 - length({told}))"
    digits = f"length({fraction}) BETWEEN 2 AND 7 AND substr({fraction}, 2) NOT GLOB '*[^0-9]*'"
    rest = f"({fraction} = '' OR {fraction} GLOB '.*' AND {digits})"
    own = f"CASE substr({name}, 11, 1) WHEN 'T' THEN CASE WHEN {local_test} THEN {local} END"
    given = f"CASE WHEN {told} <> '' THEN '' ELSE {own} ELSE {spaced} END END"
    shape = f"{plain_text(name, 40)} AND {exists} AND {inside} AND {rest}"
    return (Mend("time_shape", f"{shape} AND {given} IS NOT NULL", f"{name} || {given}"),)


def date_alone(column: MappedColumn) -> tuple[Mend, ...]:
    """A date, which means midnight in UTC."""
    name = quoted(column.legacy)
    day = f"{plain_text(name, 10)} AND date({name}, '+0 days') = {name} AND {name} >= '0001'"
    return (Mend("time_shape", f"{day} AND length({name}) = 10", f"{name} || ' 00:00:00+00'"),)


def counted(column: MappedColumn, table: Table) -> tuple[Mend, ...]:
    """Seconds or milliseconds since 1970, to the nearest microsecond, half to even.

    What stands behind the point is a double of few bits, so that nothing here is rounded twice.
    """
    known = _UNITS.get(table.units.get(column.legacy, ""))
    if known is None:
        return ()
    low, high, scale = known
    name = quoted(column.legacy)
    whole = f"CAST({name} AS INTEGER)"
    part = f"(({name} - {whole}) * {scale}.0)"
    down = f"CAST({part} AS INTEGER)"
    half = f"({part} - {down} > 0.5 OR ({part} - {down} = 0.5 AND {down} % 2 = 1))"
    micros = f"({whole} * {scale} + {down} + {half})"
    test = f"typeof({name}) IN ('integer', 'real') AND {name} >= {low} AND {name} < {high}"
    day = f"datetime({micros} / 1000000, 'unixepoch')"
    return (Mend("epoch", test, f"{day} || printf('.%06d+00', {micros} % 1000000)"),)
