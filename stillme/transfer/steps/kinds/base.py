"""The base of the loader's classes, one class per kind of value, and what they give back.

A class says five things about the values of its kind. For `Integer()` and a column `n` that the
target requires:

- `common_test`: SQL that is true for a value the loader may hand over untouched
  (``typeof("n") = 'integer' AND "n" BETWEEN -2147483648 AND 2147483647``);
- `cell`: SQL for the cell of such a value in a CSV line (``"n"``);
- `convert`: what becomes of any other value (the text ``'7'`` is loaded as 7, its original kept as
  ``numeric_text``; the text ``'x'`` is `Refused`);
- `spell_back`: the legacy value that is written for a value of the target;
- `compared`: the form in which PostgreSQL tells two values of the target apart.

The judge (`verify/kinds`) has classes of its own for the same kinds and uses none of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from stillme.transfer.kinds import Kind
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.csv_format import QUOTE
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.clock.time_spans import Span
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.other_rows import ParentTable
from stillme.transfer.sqlite.reading.row_source import RowSource

K = TypeVar("K", bound=Kind)
# The quote of a CSV line as an SQL literal, so that neighbours become one.
QUOTE_SQL = f"'{QUOTE}'"
Stored = None | int | float | str | bytes


class Refused(Exception):
    """The cell has no lossless target: the row is quarantined for `reason`."""

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason = reason
        self.sentence = sentence
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Cell:
    """What the target gets: `text` in PostgreSQL's input format, None for NULL.

    `reason` is set where the original must be kept; `repaired` tells whether that makes the row
    a repaired one.
    """

    text: str | None
    reason: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class RowContext:
    """What a cell needs to know of its surroundings.

    `row_offset` is the offset that the row's twin shows, `earlier` the cell whose moment was never
    later (`Timestamp.after`), as (storage class, value).
    """

    clock: Clock = field(default_factory=Clock)
    row_offset: int | None = None
    epoch_unit: str | None = None
    earlier: tuple[str, Raw] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What the SQL of a column's common values depends on besides the column.

    `parents` maps each declared parent table to where it was found (None where it was not), `spans`
    a column of times to the days between which most of them lie, `units` one of numbers to the
    unit of all of them. `documents_are_clean`: those of which SQL cannot tell are looked at by the
    stream.
    """

    mapping: TableMapping
    clock: Clock
    parents: dict[str, ParentTable | None]
    source: RowSource
    spans: Mapping[str, Span] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    documents_are_clean: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """What to store, and why it is not all of the target's value ("" where it is)."""

    value: Stored
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Mend:
    """A shape of values that SQLite itself repairs: the reason to keep the original, SQL that is
    true for a value of that shape, and SQL for its cell. `convert` makes the same of it."""

    reason: str
    test: str
    cell: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Values of which SQLite itself can tell that their row is set aside: the reason, SQL that is
    true for them, and the sentence, with ``{}`` for the `detail` of a value. `convert` says the
    same."""

    reason: str
    test: str
    sentence: str
    detail: Callable[[Raw], object] = lambda raw: None

    def told(self, raw: Raw) -> str:
        """The sentence about a stored value."""
        return self.sentence.format(self.detail(raw))


class KindLoader(ABC, Generic[K]):
    """What the loader does with the values of one kind. The defaults are those of a plain value:
    SQLite prints it as PostgreSQL reads it, and stores what PostgreSQL's driver returns."""

    # Whether `convert` decides about binary data; else its row is quarantined before.
    decides_blobs: ClassVar[bool] = False
    # SQL functions of one value, by name, that the SQL for uncommon rows calls.
    functions: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    # The text of any type is exact. "{}" where PostgreSQL's own equality is.
    compared: ClassVar[str] = "{}::text"

    def __init__(self, kind: K) -> None:
        self.kind = kind

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """SQL: the value may be handed over untouched. "" where every one may."""
        return storage_test(column)

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        """SQL expressions that, joined, are the cell of a common value; nothing for NULL."""
        return (quoted(column.legacy),)

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Shapes of values that are not common, and that SQLite repairs; the first that fits."""
        return ()

    def shape(self, column: MappedColumn, table: Table) -> str:
        """SQL: 0 for a common value, n for one that the n-th of `mends` repairs, else NULL."""
        mends = enumerate(self.mends(column, table), start=1)
        tests = " ".join(f"WHEN {mend.test} THEN {number}" for number, mend in mends)
        return f"CASE WHEN {self.common_test(column, table) or '1'} THEN 0 {tests} END"

    def faults(self, column: MappedColumn, table: Table) -> tuple[Fault, ...]:
        """What is refused, as far as SQL tells: of values for which `sound_test` is true."""
        return ()

    def sound_test(self, name: str) -> str:
        """SQL: a text is what it looks like to SQLite, whose functions stop at U+0000."""
        return f"(typeof({name}) <> 'text' OR length(CAST({name} AS BLOB)) = length({name}))"

    def strict_test(self, name: str) -> str:
        """SQL for what `common_test` leaves to PostgreSQL, which refuses it; "" for nothing."""
        return ""

    @abstractmethod
    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """What becomes of a stored value that is not NULL; text is bytes. Raises Refused."""

    def read_target(self, name: str) -> str:
        """SQL that reads a (quoted, qualified) target column in a form Python can take whole."""
        return name

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """The stored value for one that was read with `read_target` and is not NULL.

        `explicit` writes a local time with its offset, for a time that would be misread without.
        """
        return Rendered(value)


def storage_test(column: MappedColumn) -> str:
    """SQL: the value has the storage class of its kind, or is a lawful NULL."""
    name, storage = quoted(column.legacy), column.kind.storage
    if column.required:
        return f"typeof({name}) = '{storage}'"
    return f"typeof({name}) IN ('{storage}', 'null')"


def shape_test(column: MappedColumn, shape: str) -> str:
    """SQL: the value is a text for which `shape` is true, or a lawful NULL."""
    name = quoted(column.legacy)
    test = f"(typeof({name}) = 'text' AND {shape})"
    return test if column.required else f"({name} IS NULL OR {test})"


def text_cell(column: MappedColumn) -> tuple[str, ...]:
    """A quoted cell, NULL for NULL; what is never NULL is copied once, with the quotes next to it.

    Texts that hold the quote are told apart by the predicate or by the stream.
    """
    name = quoted(column.legacy)
    if column.required:
        return QUOTE_SQL, name, QUOTE_SQL
    return (f"{QUOTE_SQL} || {name} || {QUOTE_SQL}",)


def plain_text(name: str, most: int) -> str:
    """SQL: a text of at most so many characters, all of them ASCII, U+0000 not among them."""
    size = f"length(CAST({name} AS BLOB))"
    return f"typeof({name}) = 'text' AND {size} = length({name}) AND {size} BETWEEN 1 AND {most}"


def repaired(text: str, reason: str) -> Cell:
    """A cell whose original is kept."""
    return Cell(text, reason, True)


def decode(raw: Raw) -> str:
    """The text of stored bytes. Raises Refused."""
    assert isinstance(raw, bytes)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(
            "invalid_utf8", f"Not UTF-8 at byte {error.start} of the stored text."
        ) from error
