"""The base of the judge's classes, one class per kind of value, and what they say.

A class answers for the values of its kind, here `Integer()` in a legacy column ``n`` whose target
column is ``n``:

- `expect`: what the target must hold for a stored value (7 for the text ``'7'``, whose original
  must be kept as ``numeric_text``), or that its row must be set aside;
- `plain_test`, `legacy_piece`, `target_piece`: the value's part of the line that both sides build
  of a plain row (``7;``);
- `compared`, `read`, `is_same`, `show`: how a value of the target is read, compared and shown;
- `rebuilt`: the legacy cell that the old application would have written for a target value.

The loader (`steps/kinds`) has classes of its own for the same kinds; none of them is used here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from stillme.transfer.kinds import Kind
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.time_spans import Span
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.cell_comparison import show
from stillme.transfer.verify.kinds.local_clock import LocalClock

K = TypeVar("K", bound=Kind)
# A legacy cell: storage class and value, text as bytes.
Stored = tuple[str, Raw]
# Stands in a line for a value that is compared apart from it.
MARK = "v"


class MustBeSetAside(Exception):
    """By the policy the row belongs into the quarantine, for `reason`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Expected:
    """The value the target must hold, and the reason for which the original must be kept."""

    value: Any
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a time depends on in addition to its own text.

    `start` is the cell of the moment that this one came after, if any.
    """

    clock: LocalClock
    row_minutes: int | None = None
    unit: str | None = None
    start: Stored | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What a plain value depends on besides its column.

    `parents` maps a parent table and its named column ("" for its key) to an SQL test with ``{}``
    for the referring column, `spans` a column of times to the days between which most of them lie,
    `units` one of numbers to the unit of all of them. `documents_are_plain`: those of which SQL
    cannot tell are compared as they are.
    """

    mapping: TableMapping
    clock: LocalClock
    parents: dict[tuple[str, str], str]
    spans: Mapping[str, Span] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    documents_are_plain: bool = False


@dataclass(frozen=True, slots=True)
class Mend:
    """Values that are repaired in a well-known way, in SQL of the legacy side: the reason to keep
    the original, which values they are, and their part of the line, as the target's must be. Of a
    document `document` is SQL for what is compared apart from the line."""

    reason: str
    test: str
    piece: str
    document: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Values of which SQL of the legacy side tells that their row must be set aside, and why."""

    reason: str
    test: str


class KindJudge(ABC, Generic[K]):
    """The judge's reading of one kind.

    The defaults are those of a number: both databases print it in the same way, and the driver
    returns what is compared.
    """

    # Whether `expect` decides about binary data; else its row must be set aside.
    decides_blobs: ClassVar[bool] = False
    # SQL functions of one value, by name, that `mends` and `is_usual` call.
    functions: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    # A plain line may hold only a mark: then the 64 bits, or the document, are compared apart.
    compared_apart: ClassVar[Literal["", "bits", "document"]] = ""

    def __init__(self, kind: K) -> None:
        self.kind = kind

    @abstractmethod
    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The expectation for a value that is not NULL. Raises MustBeSetAside."""

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """SQL of the legacy side: the value is plain, so that its line says all of it."""
        return or_null(column, f"typeof({quoted(column.legacy)}) = '{self.kind.storage}'")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """SQL of the legacy side: a plain value's part of the line, as arguments of concat().

        It must show where it ends, whatever the value is: by its length, or by a semicolon that
        `plain_test` allows nowhere else.
        """
        return or_tilde(column, quoted(column.legacy), "';'")

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Values that are not plain, and of which SQL knows what must become; the first that fits.
        Those of a double are compared as ``CAST(... AS REAL)``."""
        return ()

    def shape(self, column: MappedColumn, table: Table) -> str:
        """SQL of the legacy side: 0 for a plain value, n for one of the n-th of `mends`."""
        numbered = enumerate(self.mends(column, table), start=1)
        tests = " ".join(f"WHEN {mend.test} THEN {number}" for number, mend in numbered)
        return f"CASE WHEN {self.plain_test(column, table)} THEN 0 {tests} END"

    def faults(self, column: MappedColumn, table: Table) -> tuple[Fault, ...]:
        """Well-known faults, the first that must be noticed first."""
        return ()

    def is_usual(self, column: MappedColumn, table: Table) -> str:
        """SQL of the legacy side: no row must be set aside for this value.

        A plain value has a line, which the target's may still refute. Here nothing is compared.
        """
        name, shape = quoted(column.legacy), self.shape(column, table)
        sure = f"CASE {shape} WHEN 0 THEN {self.surely_plain(name)} ELSE {shape} > 0 END"
        return f"iif(typeof({name}) = 'text' AND NOT {is_ascii(name)}, 0, {sure})"

    def surely_plain(self, name: str) -> str:
        """SQL of the legacy side: what `plain_test` leaves to the comparison with the target."""
        return "1"

    def target_piece(self, name: str) -> str:
        """SQL of the target side for the same part. `name` is quoted, here and below."""
        return f"coalesce({name}::text || ';', '~')"

    def compared(self, name: str) -> str:
        """SQL that reads a target value in a form that loses nothing."""
        return name

    def read(self, found: Any) -> Any:
        """What was read with `compared`, as it is compared and shown."""
        return found

    def is_same(self, found: Any, wanted: Any) -> bool:
        """Whether a target value that was read is the expected one."""
        return bool(found == wanted) and type(found) is type(wanted)

    def show(self, value: Any) -> str | None:
        """A value for a person's eyes."""
        return show(value)

    def parameter(self, value: Any) -> Any:
        """An expected value that is not NULL, for PostgreSQL to take."""
        return value

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """The legacy cell for a target value, read with `compared`, that is not NULL."""
        return self.kind.storage, value

    def is_other_spelling(self, before: Stored, after: Stored) -> bool:
        """Whether a rebuilt cell that differs from the legacy's means the same by declaration."""
        return False


def is_ascii(name: str) -> str:
    """SQL of the legacy side: a text of ASCII only, and without U+0000, where SQLite's functions
    take a text to end."""
    return f"octet_length({name}) = length({name})"


def or_tilde(column: MappedColumn, *parts: str) -> str:
    """The parts one after the other, a tilde for NULL; what is never NULL is copied once only."""
    return ", ".join(parts) if column.required else f"ifnull({' || '.join(parts)}, '~')"


def or_null(column: MappedColumn, test: str) -> str:
    """The test, or a lawful NULL."""
    return test if column.required else f"{quoted(column.legacy)} IS NULL OR ({test})"


def sized(value: str) -> str:
    """SQL of the target side: a text behind its length in bytes, a tilde for NULL."""
    return f"coalesce(octet_length({value})::text || ':' || {value}, '~')"


def utf8(raw: Raw) -> str:
    """The text of stored bytes. Raises MustBeSetAside."""
    try:
        return bytes(raw).decode("utf-8")  # type: ignore[arg-type]
    except UnicodeDecodeError:
        raise MustBeSetAside("invalid_utf8") from None
