"""The base of all kinds, and the shapes of times."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Stamp(StrEnum):
    """Which shape of time the old application wrote into a column.

    `SQL` is SQLite's CURRENT_TIMESTAMP (``YYYY-MM-DD HH:MM:SS``, UTC, whole seconds), `ISO` is
    Python's naive ``datetime.isoformat()`` of the local clock, `MIXED` holds both, `DATE` is a
    date alone. The shape decides what is rebuilt on the way back; the clock of a value is always
    read off the value: a space means UTC, a ``T`` without offset means local, an offset says so
    itself.

    `DJANGO` is Python's ``str(datetime)`` (``YYYY-MM-DD HH:MM:SS``, then ``.ffffff`` unless that is
    zero): a wall time of the column's own zone.
    """

    SQL = "sql"
    ISO = "iso"
    MIXED = "mixed"
    DATE = "date"
    DJANGO = "django"


@dataclass(frozen=True, slots=True)
class Kind:
    """Base of all meanings. What the class attributes say holds for every value of the kind.

    `words` are those of docs/reference/schema.md. `storage` is SQLite's storage class of the usual
    value.
    `is_key`: such a column is always the table's key; one of another kind is where it is declared
    `primary_key`. `key_type`: PostgreSQL's type of such a key; "" where no key can be of the kind.
    `is_free_text`: any characters may stand in it.
    `is_document`: a JSON document. `is_time`: a time, which has a `shape` and may be stored as a
    number.
    `depends_on_clock`: what a value means depends on the clock of the machine that wrote it.
    `may_be_huge`: it is text that may be so large that it is read in pieces. `probe`: a text of the
    usual shape, with the place of a digit.
    """

    words: ClassVar[str] = ""
    storage: ClassVar[str] = "text"
    is_key: ClassVar[bool] = False
    key_type: ClassVar[str] = ""
    is_free_text: ClassVar[bool] = False
    is_document: ClassVar[bool] = False
    is_time: ClassVar[bool] = False
    shape: ClassVar[Stamp | None] = None
    depends_on_clock: ClassVar[bool] = False
    may_be_huge: ClassVar[bool] = False
    probe: ClassVar[str] = "probe{}"

    @property
    def name(self) -> str:
        """The kind's word in output, e.g. ``timestamp``."""
        return type(self).__name__.lower()

    @property
    def meaning(self) -> str:
        """The kind in the words of docs/reference/schema.md."""
        return self.words or self.name

    def sample(self, number: int) -> int | float | str | bytes:
        """A stored value of the usual shape, for `number` from 1 to 9."""
        return self.probe.format(number) if self.storage == "text" else number
