"""The judge's reading of texts: the same code points, a number as its digits."""

from __future__ import annotations

from typing import Any, ClassVar

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    Expected,
    Fault,
    K,
    KindJudge,
    Mend,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    or_null,
    or_tilde,
    sized,
    utf8,
)
from stillme.transfer.verify.kinds.huge_text import HugeText
from stillme.transfer.verify.kinds.local_clock import LocalClock


def _is_utf8(stored: bytes) -> int:
    try:
        stored.decode()
    except UnicodeDecodeError:
        return 0
    return 1


class _AnyTextJudge(KindJudge[K]):
    functions: ClassVar = {"reads_as_utf8": _is_utf8}

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The text, or the digits of a number; PostgreSQL's text has no U+0000, and its varchar no
        text that is longer than the column."""
        expected = (
            Expected(utf8(raw)) if storage == "text" else Expected(str(raw), "number_in_text")
        )
        if "\x00" in expected.value:
            raise MustBeSetAside("nul_in_text")
        most = getattr(self.kind, "max_length", None)
        if most is not None and len(expected.value) > most:
            raise MustBeSetAside("too_long")
        return expected

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """The text after its size in bytes: length() stops at U+0000."""
        name = quoted(column.legacy)
        return or_tilde(column, f"octet_length({name})", "':'", name)

    def faults(self, column: MappedColumn, table: Table) -> tuple[Fault, ...]:
        """U+0000 in a text; a text that is longer than the column."""
        name, most = quoted(column.legacy), getattr(self.kind, "max_length", None)
        raw = f"CAST({name} AS BLOB)"
        nul = Fault("nul_in_text", _of_text(name, f"instr({raw}, x'00')", f"reads_as_utf8({raw})"))
        if most is None:
            return (nul,)
        long = _of_text(name, f"length({name}) > {most}", f"reads_as_utf8({raw})")
        return nul, Fault("too_long", long)

    def is_usual(self, column: MappedColumn, table: Table) -> str:
        """A text without U+0000 in it."""
        name = quoted(column.legacy)
        raw, shape = f"CAST({name} AS BLOB)", f"{self.shape(column, table)} >= 0"
        text = f"iif(instr({raw}, x'00') = 0, iif(reads_as_utf8({raw}), {shape}, 0), 0)"
        return f"iif(typeof({name}) = 'text', {text}, {shape})"

    def target_piece(self, name: str) -> str:
        """The text after its size in bytes."""
        return sized(name)

    def compared(self, name: str) -> str:
        """Its bytes: printed as a text, it would end at a U+0000 that a damaged page has."""
        return f"textsend({name})"

    def read(self, found: Any) -> Any:
        """The text. What is not UTF-8 equals no text of a legacy file."""
        return found.decode("utf-8", "surrogateescape") if isinstance(found, bytes) else found

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """Its bytes."""
        return "text", value


def _of_text(name: str, first: str, second: str) -> str:
    """SQL: a text of which both are true. (Of AND, SQLite would work out both sides.)"""
    return f"iif(typeof({name}) = 'text', iif({first}, {second}, 0), 0)"


class TextJudge(_AnyTextJudge[kinds.Text]):
    """A text, perhaps one of a few choices, perhaps a huge one."""

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """As any text; only a choice where there are choices."""
        expected = super().expect(storage, raw, around)
        if self.kind.choices and expected.value not in self.kind.choices:
            raise MustBeSetAside("not_a_choice")
        return expected

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """A text that fits, one of the choices. U+0000 is looked for in the finished lines."""
        name = quoted(column.legacy)
        test = f"typeof({name}) = 'text'"
        if self.kind.max_length is not None:
            test += f" AND length({name}) <= {self.kind.max_length}"
        if self.kind.choices:
            listed = ", ".join("'" + c.replace("'", "''") + "'" for c in self.kind.choices)
            test += f" AND {name} IN ({listed})"
        return or_null(column, test)

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """An integer, as its digits."""
        name, digits = quoted(column.legacy), f"CAST({quoted(column.legacy)} AS TEXT)"
        fits = (
            "1" if self.kind.max_length is None else f"length({digits}) <= {self.kind.max_length}"
        )
        test = f"typeof({name}) = 'integer' AND {fits}"
        if self.kind.choices:
            return ()
        return (Mend("number_in_text", test, f"length({digits}) || ':' || {digits}"),)

    def is_same(self, found: Any, wanted: Any) -> bool:
        """Of a huge text the size and the digest are compared."""
        if isinstance(found, HugeText):
            return found.is_same(wanted)
        return super().is_same(found, wanted)


class TextKeyJudge(_AnyTextJudge[kinds.TextKey]):
    """A text key."""
