"""Booleans and decimal numbers: `boolean` and `numeric` in the target.

SQLite stores Django's ``Decimal("12.50")`` as the double 12.5, and ``Decimal("12.00")`` as the
integer 12. A double gives back 15 digits, and Django reads no more: what needs more of them, or has
more places than the column, is no value of the column.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Context
from decimal import Decimal as Exact
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
    repaired,
)

# Of a decimal number with so many digits the nearest double gives all of them back.
_EXACT_DIGITS = 15
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE]([+-]?[0-9]+))?\Z")
_AS_DJANGO = Context(prec=_EXACT_DIGITS, rounding=ROUND_HALF_EVEN)
_WORDS = {b"true": "1", b"false": "0"}


class BooleanLoader(KindLoader[kinds.Boolean]):
    """PostgreSQL reads 0 and 1 as booleans."""

    compared = "{}"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """0 or 1."""
        test = super().common_test(column, table)
        return f"{test} AND ifnull({quoted(column.legacy)} IN (0, 1), 1)"

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """0 and 1 as doubles and texts, and the words."""
        name = quoted(column.legacy)
        text, words = f"CAST({name} AS TEXT)", f"lower(CAST({name} AS TEXT))"
        is_text, is_real = (f"typeof({name}) = '{storage}' AND" for storage in ("text", "real"))
        return (
            Mend("real_in_integer", f"{is_real} {name} IN (0, 1)", f"({name} = 1)"),
            Mend("numeric_text", f"{is_text} {text} IN ('0', '1')", text),
            Mend("boolean_text", f"{is_text} {words} IN ('true', 'false')", f"({words} = 'true')"),
        )

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """0 and 1 in any storage class; the words true and false."""
        if storage == "text":
            text = decode(raw).encode()
            if text in (b"0", b"1"):
                return repaired(text.decode(), "numeric_text")
            if text.lower() in _WORDS:
                return repaired(_WORDS[text.lower()], "boolean_text")
        elif raw in (0, 1):
            shown = "1" if raw else "0"
            return Cell(shown) if storage == "integer" else repaired(shown, "real_in_integer")
        raise Refused("not_a_boolean", f"Stored as {storage} that is neither 0 nor 1.")

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """1 or 0."""
        return Rendered(int(value))


class DecimalLoader(KindLoader[kinds.Decimal]):
    """A decimal number within the digits of the column."""

    decides_blobs = True

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """An integer in range, or the double of a number with 15 digits and with these places.

        That is one which n / 100 gives for a whole n: SQLite divides as IEEE 754 says, to the
        nearest double. (Half the time of `round(x, 2)`, which prints and reads the number.) What is
        no number does not equal one, if no type of the column makes SQLite convert it: hence the +.
        """
        name, places = quoted(column.legacy), self.kind.places
        if self._counts_exactly:
            most = Exact(10**self.kind.digits - 1).scaleb(-places)
            within = f"{name} BETWEEN -{most:f} AND {most:f}"
            same = f"round({name} * 1e{places}) / 1e{places} = +{name}"
            is_one = f"({name} <> CAST({name} AS INTEGER) OR typeof({name}) = 'integer')"
            test = f"{within} AND {same} AND {is_one}"
            return test if column.required else f"({name} IS NULL OR {test})"
        limit = min(10 ** (self.kind.digits - places) - 1, 2**63 - 1)
        whole = f"{name} BETWEEN -{limit} AND {limit}"
        real = "0"
        if 0 < places <= _EXACT_DIGITS:
            below = f"1e{min(self.kind.digits, _EXACT_DIGITS) - places}"
            real = f"abs({name}) < {below} AND round({name} * 1e{places}) / 1e{places} = {name}"
            real += f" AND {name} <> CAST({name} AS INTEGER)"
        null = "" if column.required else " WHEN 'null' THEN 1"
        either = f"WHEN 'real' THEN {real} WHEN 'integer' THEN {whole}"
        return f"CASE typeof({name}) {either}{null} ELSE 0 END"

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """``1250e-2`` for 12.5: SQLite takes twice as long to print a double as a whole number.

        So many digits a double counts exactly.
        """
        name, places = quoted(column.legacy), self.kind.places
        if not self._counts_exactly:
            return super().cell(column, table)
        shifted = f"CAST(round({name} * 1e{places}) AS INTEGER)"
        if column.required:
            return shifted, f"'e-{places}'"
        return (f"{shifted} || 'e-{places}'",)

    @property
    def _counts_exactly(self) -> bool:
        """Whether a double counts every number of the column, shifted by its places, exactly."""
        return 0 < self.kind.places <= self.kind.digits <= _EXACT_DIGITS

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """The number that is meant, if it is one of the column's."""
        number, reason, is_exact = _number(storage, raw)
        self._check_range(number)
        if not (is_exact and self._has_places(number)):
            if not self.kind.rounded:
                raise Refused(
                    "beyond_places",
                    f"The number has more than {self.kind.places} decimal places, or more than the "
                    f"{_EXACT_DIGITS} digits that Django reads of a double.",
                )
            wide = Context(prec=self.kind.digits + 2, rounding=ROUND_HALF_EVEN)
            number = number.quantize(Exact(1).scaleb(-self.kind.places), context=wide)
            reason = "rounded"
            self._check_range(number)
        text = format(number or Exact(0), "f")
        return repaired(text, reason) if reason else Cell(text)

    def _check_range(self, number: Exact) -> None:
        whole = self.kind.digits - self.kind.places
        if number and number.adjusted() >= whole:
            raise Refused("out_of_range", f"The number has more than {whole} digits in front.")

    def _has_places(self, number: Exact) -> bool:
        """Whether nothing but zeros stands beyond the places."""
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        beyond = -exponent - self.kind.places
        return not number or beyond <= 0 or not any(digits[-beyond:])

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """What SQLite makes of the text that Django writes: an integer or the nearest double."""
        if not value.is_finite():
            return Rendered("NaN" if required else None, "not_a_number")
        if value == int(value) and -(2**63) <= value < 2**63:
            return Rendered(int(value))
        double = float(value)
        is_exact = math.isfinite(double) and _AS_DJANGO.create_decimal_from_float(double) == value
        return Rendered(double, "" if is_exact else "beyond_places")


def _number(storage: str, raw: Raw) -> tuple[Exact, str, bool]:
    """The number, the reason to keep its original, and whether it is all of what is stored."""
    if storage == "integer":
        assert isinstance(raw, int)
        return Exact(raw), "", True
    if storage != "real":
        return _from_text(storage, raw), "numeric_text", True
    assert isinstance(raw, float)
    if not math.isfinite(raw):
        raise Refused("out_of_range", f"{raw!r} is no decimal number.")
    number = _AS_DJANGO.create_decimal_from_float(raw)
    reason = "real_in_integer" if raw.is_integer() else ""
    if raw == 0 and math.copysign(1, raw) < 0:
        reason = "negative_zero"
    return number, reason, float(number) == raw


def _from_text(storage: str, raw: Raw) -> Exact:
    text = decode(raw) if storage == "text" else ""
    match = _DECIMAL.match(text)
    if match is None:
        raise Refused("not_a_number", f"Stored as {storage} that is not a finite number.")
    exponent = (match[4] or "0").lstrip("+-").lstrip("0")
    if len(exponent) < 10:
        return Exact(text)
    # Too large for Python, and for every column: no stored text is long enough to make up for it.
    mantissa, sign = re.split("[eE]", text)[0], "-" if "-" in text[1:] else "+"
    return Exact(f"{mantissa}e{sign}999999999")
