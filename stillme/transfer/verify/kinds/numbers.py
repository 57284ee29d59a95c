"""The judge's reading of numbers: whole ones as exact fractions, doubles as their 64 bits,
decimal ones digit by digit."""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal
from fractions import Fraction
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    MARK,
    Expected,
    KindJudge,
    Mend,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    is_ascii,
    or_null,
    or_tilde,
    utf8,
)
from stillme.transfer.verify.kinds.local_clock import LocalClock


class IntegerJudge(KindJudge[kinds.Integer]):
    """A whole number within the target's bounds."""

    decides_blobs = True

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The number that is meant, if it is whole and within the bounds."""
        number, kept = _fraction(storage, raw)
        if number.denominator != 1:
            raise MustBeSetAside("not_whole")
        if number < self.kind.low or number > self.kind.high:
            raise MustBeSetAside("out_of_range")
        return Expected(int(number), kept)

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """An integer within the bounds."""
        name = quoted(column.legacy)
        within = f"{name} >= {self.kind.low} AND {name} <= {self.kind.high}"
        return or_null(column, f"typeof({name}) = 'integer' AND {within}")

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Doubles without a fraction that surely are whole numbers, texts of digits."""
        name = quoted(column.legacy)
        within = f"{name} + 0 >= {self.kind.low} AND {name} + 0 <= {self.kind.high}"
        real = f"typeof({name}) = 'real' AND abs({name}) < 1e15 AND round({name}) = {name}"
        text = _is_number(name, "0123456789", 19)
        return (
            Mend("real_in_integer", f"{real} AND {within}", f"format('%d;', {name})"),
            Mend("numeric_text", f"{text} AND {within}", f"({name} + 0) || ';'"),
        )


def _is_number(name: str, characters: str, most: int) -> str:
    """SQL: a text of a sign, perhaps, and of these characters, one of them a digit."""
    bare = f"iif(substr({name}, 1, 1) IN ('+', '-'), substr({name}, 2), {name})"
    return (
        f"typeof({name}) = 'text' AND {is_ascii(name)}"
        f" AND length({name}) < {most} AND trim({bare}, '{characters}') = ''"
        f" AND rtrim({bare}, '.+-') <> ''"
    )


class BooleanJudge(KindJudge[kinds.Boolean]):
    """False or true."""

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """What 0 and 1, or a word, mean."""
        if storage == "text":
            meant = {"0": False, "1": True, "false": False, "true": True}.get(utf8(raw).lower())
            kept = "numeric_text" if utf8(raw) in ("0", "1") else "boolean_text"
        else:
            meant = {0: False, 1: True}.get(raw)  # type: ignore[arg-type]
            kept = "" if storage == "integer" else "real_in_integer"
        if meant is None:
            raise MustBeSetAside("not_a_boolean")
        return Expected(meant, kept)

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """0 or 1."""
        name = quoted(column.legacy)
        return or_null(column, f"typeof({name}) = 'integer' AND {name} >= 0 AND {name} <= 1")

    def target_piece(self, name: str) -> str:
        """0 or 1."""
        return f"coalesce({name}::int::text || ';', '~')"

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """0 or 1."""
        return "integer", int(value)


def _fraction(storage: str, raw: Raw) -> tuple[Fraction, str]:
    if storage == "integer":
        return Fraction(int(raw)), ""  # type: ignore[arg-type]
    if storage == "real":
        if math.isinf(raw):  # type: ignore[arg-type]
            raise MustBeSetAside("out_of_range")
        return Fraction(raw), "real_in_integer"  # type: ignore[arg-type]
    if storage == "text" and re.fullmatch("[+-]?[0-9]+", utf8(raw)):
        sign, digits = re.fullmatch("([+-]?)0*([0-9]*)", utf8(raw)).groups()  # type: ignore[union-attr]
        if len(digits) > 100:
            raise MustBeSetAside("out_of_range")
        return Fraction(int(f"{sign}0{digits}")), "numeric_text"
    raise MustBeSetAside("not_a_number")


class RealJudge(KindJudge[kinds.Real]):
    """A double. Its bits tell -0.0 from 0.0."""

    decides_blobs = True
    compared_apart = "bits"

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The 64 bits of the double that is meant."""
        if storage == "real":
            return Expected(_bits(raw))  # type: ignore[arg-type]
        if storage == "integer":
            double = float(raw)  # type: ignore[arg-type]
            if Fraction(double) != raw:
                raise MustBeSetAside("out_of_range")
            return Expected(_bits(double), "integer_in_real")
        if storage == "text":
            text = utf8(raw)
            if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
                double = float(text)
                if not math.isinf(double):
                    return Expected(_bits(double), "numeric_text")
        raise MustBeSetAside("not_a_number")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """A mark: the bits are compared apart from the line."""
        return f"iif({quoted(column.legacy)} IS NULL, '~', '{MARK}')"

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Integers of 53 bits, texts of few digits: SQLite surely gives the nearest double."""
        name = quoted(column.legacy)
        whole = f"typeof({name}) = 'integer' AND {name} BETWEEN -{2**53} AND {2**53}"
        text = f"{_is_number(name, '.0123456789', 16)} AND {name} NOT LIKE '%.%.%'"
        return (
            Mend("integer_in_real", whole, f"'{MARK}'"),
            Mend("numeric_text", text, f"'{MARK}'"),
        )

    def target_piece(self, name: str) -> str:
        """A mark."""
        return f"CASE WHEN {name} IS NULL THEN '~' ELSE '{MARK}' END"

    def compared(self, name: str) -> str:
        """Its bits."""
        return f"float8send({name})"

    def parameter(self, value: Any) -> Any:
        """The double."""
        return struct.unpack(">d", value)[0]

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """The double."""
        return "real", struct.unpack(">d", value)[0]


def _bits(number: float) -> bytes:
    return struct.pack(">d", number)


class DecimalJudge(KindJudge[kinds.Decimal]):
    """A decimal number. Its digits are counted where they stand in the text of it."""

    decides_blobs = True

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The number that is meant, if the column has such numbers."""
        if storage == "text":
            text, kept, is_all = utf8(raw), "numeric_text", True
        elif storage == "integer":
            text, kept, is_all = str(raw), "", True
        elif storage == "real":
            text, kept, is_all = _real_text(raw)  # type: ignore[arg-type]
        else:
            raise MustBeSetAside("not_a_number")
        sign, digits, point = _digits(text)
        places = self.kind.places
        if point > self.kind.digits - places:
            raise MustBeSetAside("out_of_range")
        cut = point + places
        if not is_all or digits[max(cut, 0) :]:
            if not self.kind.rounded:
                raise MustBeSetAside("beyond_places")
            kept = "rounded"
        number = _nearest(digits, cut)
        if number >= 10**self.kind.digits:
            raise MustBeSetAside("out_of_range")
        return Expected(Decimal(f"{sign if number else ''}{number}e-{places}"), kept)

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """An integer, or the nearest double of a number with so many places, within 15 digits."""
        name, places, digits = quoted(column.legacy), self.kind.places, self.kind.digits
        limit = 10 ** (digits - places)
        test = f"typeof({name}) = 'integer'"
        if limit < 2**63:
            test += f" AND {name} > -{limit} AND {name} < {limit}"
        if 0 < places <= 15:
            within = f"abs({name}) < 1e{min(digits, 15) - places}"
            same = f"CAST({self._format(name)} AS REAL) = {name}"
            has_fraction = f"{name} - CAST({name} AS INTEGER) <> 0"
            real = f"typeof({name}) = 'real' AND {within} AND {has_fraction} AND {same}"
            test = f"({test}) OR ({real})"
        return or_null(column, test)

    def _format(self, name: str) -> str:
        return f"format('%.{self.kind.places}f', {name})"

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """With all places, as PostgreSQL prints it."""
        name, zeros = quoted(column.legacy), "0" * self.kind.places
        if not zeros:
            return or_tilde(column, name, "';'")
        whole = f"{name} || '.{zeros}'"
        piece = f"iif(typeof({name}) = 'integer', {whole}, {self._format(name)})"
        return or_tilde(column, f"iif({name} IS NULL, NULL, {piece})", "';'")

    def show(self, value: Any) -> str | None:
        """Its digits."""
        return str(value)

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """What SQLite makes of it in a column of numbers."""
        if not value.is_finite():
            return "text", str(value).encode()
        if value % 1 == 0 and abs(value) < 2**63:
            return "integer", int(value)
        return "real", float(value)


def _real_text(number: float) -> tuple[str, str, bool]:
    """Return the 15 digits of a double, the reason to keep its original, and if they are exact.

    The reason is "" for none. Raises MustBeSetAside if the double is infinite.
    """
    if math.isinf(number):
        raise MustBeSetAside("out_of_range")
    text = f"{number:.15g}"
    if number == 0:
        return "0", "negative_zero" if text.startswith("-") else "real_in_integer", True
    return text, "real_in_integer" if number % 1 == 0 else "", float(text) == number


def _digits(text: str) -> tuple[str, str, int]:
    """Sign, digits without zeros at either end, and where the point is: 0.digits times 10^point."""
    parts = re.fullmatch(r"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?)0*([0-9]*))?", text)
    if parts is None or not parts[2] + parts[3] or re.search("[eE][+-]?$", text):
        raise MustBeSetAside("not_a_number")
    both = parts[2] + parts[3]
    digits = both.lstrip("0")
    # No stored text is long enough to make up for an exponent of ten digits.
    exponent = int((parts[5] or "0")[:10]) if parts[4] != "-" else -int((parts[5] or "0")[:10])
    point = len(parts[2]) - (len(both) - len(digits)) + exponent
    digits = digits.rstrip("0")
    return parts[1].replace("+", ""), digits, point if digits else 0


def _nearest(digits: str, cut: int) -> int:
    """The digits before `cut`, as a whole number; rounded half to even by those after it."""
    before = digits[: max(cut, 0)].ljust(cut, "0")
    after = "0" if cut < 0 else digits[cut:]
    number = int(before or "0")
    return number + (after > "5" or (after == "5" and number % 2 == 1))
