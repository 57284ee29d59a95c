"""Texts and text keys: kept code point for code point.

A number in such a column (SQLite keeps 17 in a column without a type) is loaded as its digits and
kept as ``number_in_text``. PostgreSQL's text holds no U+0000: such a row is quarantined.
"""

from __future__ import annotations

from typing import ClassVar

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.kinds.base import (
    QUOTE_SQL,
    Cell,
    Fault,
    K,
    KindLoader,
    Mend,
    Refused,
    RowContext,
    Table,
    decode,
    repaired,
    storage_test,
    text_cell,
)

# PostgreSQL's btree takes no entry beyond a third of a page.
LONGEST_KEY = 2690

_NUL = "U+0000 at character {} of the text."


def _is_utf8(stored: bytes) -> bool:
    try:
        stored.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _FreeTextLoader(KindLoader[K]):
    compared = "{}"
    functions: ClassVar = {"is_utf8": _is_utf8}

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """The text in quotes."""
        return text_cell(column)

    def sound_test(self, name: str) -> str:
        """UTF-8."""
        return f"CASE typeof({name}) WHEN 'text' THEN is_utf8(CAST({name} AS BLOB)) ELSE 1 END"

    def faults(self, column: MappedColumn, table: Table) -> tuple[Fault, ...]:
        """U+0000; too many characters."""
        name, most = quoted(column.legacy), self.kind.max_length  # type: ignore[attr-defined]
        is_text = f"typeof({name}) = 'text' AND"
        nul = f"{is_text} instr(CAST({name} AS BLOB), x'00')"
        found = Fault("nul_in_text", nul, _NUL, lambda raw: decode(raw).index("\0"))
        if most is None:
            return (found,)
        sentence = f"{{}} characters, and the column takes {most}."
        long = f"{is_text} length({name}) > {most}"
        return found, Fault("too_long", long, sentence, lambda raw: len(decode(raw)))

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """A text stays, a number becomes its digits."""
        cell = Cell(decode(raw)) if storage == "text" else repaired(repr(raw), "number_in_text")
        text = cell.text or ""
        if "\0" in text:
            raise Refused("nul_in_text", _NUL.format(text.index("\0")))
        return cell


class TextLoader(_FreeTextLoader[kinds.Text]):
    """A text may have to be short, or one of a few choices, which the target enforces."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """A text, short enough, and one of the choices.

        PostgreSQL would cut spaces off that are too many for a varchar.
        """
        name = quoted(column.legacy)
        test = storage_test(column) + _fits(name, self.kind.max_length)
        if not self.kind.choices:
            return test
        listed = ", ".join("'" + choice.replace("'", "''") + "'" for choice in self.kind.choices)
        return f"{test} AND ({name} IS NULL OR {name} IN ({listed}))"

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """An integer, as its digits."""
        name = quoted(column.legacy)
        if self.kind.choices:
            return ()
        test = f"typeof({name}) = 'integer'{_fits(name, self.kind.max_length)}"
        return (Mend("number_in_text", test, f"{QUOTE_SQL} || {name} || {QUOTE_SQL}"),)

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """As any text; what is too long, or none of the choices, is refused."""
        cell = _fitting(super().convert(storage, raw, row), self.kind.max_length)
        if self.kind.choices and cell.text not in self.kind.choices:
            raise Refused(
                "not_a_choice", f"The value is not one of: {', '.join(self.kind.choices)}."
            )
        return cell


class TextKeyLoader(_FreeTextLoader[kinds.TextKey]):
    """A text key must be short enough for its column and for PostgreSQL's index."""

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """A text. `common_rows` asks whether it is the first of its key."""
        name = quoted(column.legacy)
        return f"typeof({name}) = 'text'{_fits(name, self.kind.max_length)}"

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """As any text; what is too long is refused."""
        return _fitting(super().convert(storage, raw, row), self.kind.max_length)

    def strict_test(self, name: str) -> str:
        """Fits an index entry."""
        return f"length(CAST({name} AS BLOB)) <= {LONGEST_KEY}"


def _fits(name: str, most: int | None) -> str:
    """SQL: and no longer than that; PostgreSQL would cut spaces off that are too many."""
    return "" if most is None else f" AND ifnull(length({name}) <= {most}, 1)"


def _fitting(cell: Cell, most: int | None) -> Cell:
    """The cell. Raises Refused if its text is longer than that."""
    length = len(cell.text or "")
    if most is not None and length > most:
        raise Refused("too_long", f"{length} characters, and the column takes {most}.")
    return cell
