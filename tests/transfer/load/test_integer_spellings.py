"""Which text is an integer: of a key, of an argument, of an address, of an edited cell."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from stillme.services.arguments import row_key, stored_real
from stillme.transfer.errors import TransferError
from stillme.transfer.keys import whole_key
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine.decisions import edit

SPELLINGS = (
    "5", "-5", "0", "-0", "+5", "007", " 5", "5 ", "5\n", "\t5", "\x0b5", "\x1c5", "\x855",
    "\xa05", "²", "٣", "\uff15", "½", "--5", "+-5", "-", "", "1_0", "0x10", "5.0", "5.", ".5e1",
    "5.5", "1e1", "1e400", "9" * 400, "9" * 5000, "0" * 5000 + "5", "5\0", "inf", "nan", "5e",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "9223372036854775807.0",
)  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS, ids=lambda text: ascii(text[:24]))
def test_an_argument_is_read_as_sqlite_reads_it(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        ids = (5, -5, 0, 7, 3, 10, 1, 16, 2**63 - 1, -(2**63))
        db.executemany("INSERT INTO t VALUES (?)", [(each,) for each in ids])
        found = db.execute("SELECT id FROM t WHERE id = ?", (text,)).fetchone()
    key = row_key(text)
    assert (key if key in ids else None) == (found[0] if found else None)


@pytest.mark.parametrize("text", SPELLINGS, ids=lambda text: ascii(text[:24]))
def test_the_text_of_a_key_is_an_integers_own_digits(text: str) -> None:
    own = {"5": 5, "-5": -5, "0": 0, str(2**63 - 1): 2**63 - 1, str(-(2**63)): -(2**63)}
    assert whole_key(text) == own.get(text)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["²", "٣", "--5", "1_0", "9" * 5000, "5.5", "", str(2**63)])
def test_an_edited_cell_is_an_integer_that_sqlite_can_store(text: str) -> None:
    """Of 2**63 the retry made a row that no file can hold; of ``٣`` it made 3."""
    row = QuarantinedRow.objects.create(
        file="knowledge", table="knowledge_items", cells={"id": ["text", "YQ=="]}
    )
    with pytest.raises(TransferError, match="is no integer that SQLite can store"):
        edit("default", row, "id", text, "integer")
    assert row.repairs == {}


@pytest.mark.parametrize("text", ["1_0.5", "٣.5", "nan", "x"])
def test_an_edited_cell_is_a_real_that_sqlite_can_store(text: str) -> None:
    with pytest.raises(ValueError):
        stored_real(text)
    assert stored_real("-2.5e3") == -2500.0
