"""Whole numbers and doubles.

What is stored as the other number, or as the text of one, is loaded where nothing of it is lost:
``3.0`` and ``'3'`` in a column of whole numbers become 3, with the original kept.
"""

from __future__ import annotations

import math
import re
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.kinds.base import (
    Cell,
    KindLoader,
    Mend,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
    plain_text,
    repaired,
)

_WHOLE = re.compile(r"[+-]?[0-9]+\Z")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


class IntegerLoader(KindLoader[kinds.Integer]):
    """A whole number within the bounds of the target's column."""

    decides_blobs = True
    compared = "{}"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """An integer within the bounds."""
        name = quoted(column.legacy)
        low, high = self.kind.low, self.kind.high
        test = super().common_test(column, table)
        if (low, high) == (-(2**63), 2**63 - 1):
            return test
        within = f"{name} BETWEEN {low} AND {high}"
        return f"{test} AND {within if column.required else f'({name} IS NULL OR {within})'}"

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """A double without a fraction, a text of digits."""
        name = quoted(column.legacy)
        whole, body = f"CAST({name} AS INTEGER)", _body(name)
        within = f"{whole} BETWEEN {self.kind.low} AND {self.kind.high}"
        digits = f"{plain_text(name, 18)} AND {body} <> '' AND {body} NOT GLOB '*[^0-9]*'"
        real = f"typeof({name}) = 'real' AND {name} = {whole}"
        return (
            Mend("real_in_integer", f"{real} AND {within}", whole),
            Mend("numeric_text", f"{digits} AND {within}", whole),
        )

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The whole number that is meant, if it is within the bounds."""
        reason = ""
        if storage == "integer":
            assert isinstance(raw, int)
            number = raw
        elif storage == "real":
            number, reason = _whole_from_real(raw), "real_in_integer"
        else:
            number, reason = _whole_from_text(storage, raw), "numeric_text"
        low, high = self.kind.low, self.kind.high
        if not low <= number <= high:
            raise Refused("out_of_range", f"{number} is not within {low} to {high}.")
        return repaired(str(number), reason) if reason else Cell(str(number))


def _whole_from_real(raw: Raw) -> int:
    assert isinstance(raw, float)
    if not math.isfinite(raw):
        raise Refused("out_of_range", f"{raw!r} in a whole-number column.")
    if raw != int(raw):
        raise Refused("not_whole", f"{raw!r} is not a whole number.")
    return int(raw)


def _whole_from_text(storage: str, raw: Raw) -> int:
    text = decode(raw) if storage == "text" else ""
    if not _WHOLE.match(text):
        raise Refused("not_a_number", f"Stored as {storage} that is not a whole number.")
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 40:
        raise Refused("out_of_range", f"A number of {len(digits)} digits.")
    return -int(digits or "0") if text[0] == "-" else int(digits or "0")


def _body(name: str) -> str:
    """SQL: a text without its sign."""
    return f"substr({name}, 1 + ({name} GLOB '[+-]*'))"


class RealLoader(KindLoader[kinds.Real]):
    """A double, the same 64 bits on both sides."""

    decides_blobs = True
    # To PostgreSQL's own equality 0.0 is -0.0.
    compared = "float8send({})"

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """The shortest text that is read as the same double."""
        return (table.source.double_text(quoted(column.legacy)),)

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """An integer that a double holds exactly; a text of digits with a point, for which
        PostgreSQL finds the nearest double, as Python does."""
        name = quoted(column.legacy)
        double, body = f"CAST({name} AS REAL)", _body(name)
        digits = f"{body} NOT GLOB '*[^0-9.]*' AND {body} NOT GLOB '*.*.*'"
        exact = f"typeof({name}) = 'integer' AND {double} = {name}"
        text = f"{plain_text(name, 40)} AND {digits} AND {body} GLOB '*[0-9]*'"
        return (
            Mend("integer_in_real", exact, table.source.double_text(double)),
            Mend("numeric_text", text, name),
        )

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The double that is meant: exactly, or the nearest one of a decimal text."""
        if storage == "real":
            return Cell(repr(raw))
        if storage == "integer":
            assert isinstance(raw, int)
            if int(float(raw)) != raw:
                raise Refused("out_of_range", f"No double holds {raw} exactly.")
            return repaired(repr(float(raw)), "integer_in_real")
        text = decode(raw) if storage == "text" else ""
        if not _DECIMAL.match(text) or not math.isfinite(float(text)):
            raise Refused("not_a_number", f"Stored as {storage} that is not a finite number.")
        return repaired(repr(float(text)), "numeric_text")

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """The double; SQLite has no NaN, and no negative zero in a REAL column."""
        number = float(value)
        if number == 0 and math.copysign(1, number) < 0:
            # A REAL column stores whole numbers as integers, which have no such zero.
            return Rendered(0.0, "negative_zero")
        if not math.isnan(number):
            return Rendered(number)
        # SQLite stores NaN as NULL, which is what the old application did to it.
        return Rendered("NaN" if required else None, "not_a_number")
