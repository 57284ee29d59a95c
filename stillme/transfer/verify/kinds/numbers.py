"""The judge's reading of numbers: whole ones as exact fractions, doubles as their 64 bits."""

from __future__ import annotations

import math
import re
import struct
from fractions import Fraction
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    MARK,
    Expected,
    KindJudge,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    or_null,
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
        return f"iif({quoted(column.legacy)} IS NULL, '-', '{MARK}')"

    def target_piece(self, name: str) -> str:
        """A mark."""
        return f"CASE WHEN {name} IS NULL THEN '-' ELSE '{MARK}' END"

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
