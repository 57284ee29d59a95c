"""Reading and trimming the change log of a legacy file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import stored_part
from stillme.transfer.sqlite.capture.tables import explain_write, open_writable
from stillme.transfer.sqlite.capture.templates import CHANGE_TABLE

_UNIX_EPOCH_JULIAN = 2_440_587.5


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the row `key` of table `name`, as logged. `at` is Unix time of the writer."""

    sequence: int
    name: str
    key: Key
    at: float


# The change at the replayed position (number, table, time), as the ledger keeps it: another one at
# that number is another file.
Witness = list[object]


class ChangeLog:
    """The log through one open connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def capture_id(self) -> str:
        """The identity given when capture was installed, "" where it is gone."""
        row = self._connection.execute(
            f"SELECT key FROM {CHANGE_TABLE} WHERE sequence = 0"
        ).fetchone()
        return "" if row is None else str(row[0])

    def after(self, position: int, limit: int) -> list[Change]:
        """The changes after a position, oldest first."""
        rows = self._connection.execute(
            f"SELECT sequence, name, at, {stored_part('key')} "
            f"FROM {CHANGE_TABLE} WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (max(position, 0), limit),
        )
        return [
            Change(number, name, Key((tuple(part),)), (at - _UNIX_EPOCH_JULIAN) * 86_400)
            for number, name, at, *part in rows
        ]

    def last(self) -> int:
        """The number of the last change."""
        return last_sequence(self._connection)

    def written_after(self, position: int) -> int:
        """How many writes are logged after a position; what a rollback left there is none."""
        query = f"SELECT count(*) FROM {CHANGE_TABLE} WHERE sequence > ? AND name <> ''"
        return int(self._connection.execute(query, (position,)).fetchone()[0])

    def leave_mark(self) -> None:
        """Log a change of no row: a copy of the file from before now lacks it."""
        self._connection.execute(f"INSERT INTO {CHANGE_TABLE} (name, key) VALUES ('', NULL)")

    def witness(self, position: int) -> Witness | None:
        """The change at that number, None where it is gone (or the position is the start)."""
        row = self._connection.execute(
            f"SELECT sequence, name, at FROM {CHANGE_TABLE} WHERE sequence = ?", (position,)
        ).fetchone()
        return None if row is None else list(row)

    def next_after(self, position: int) -> Change | None:
        """The first change after a position, None where there is none. Numbers have no gaps."""
        return next(iter(self.after(position, 1)), None)


def last_sequence(connection: sqlite3.Connection, database: str = "main") -> int:
    """The number of the last change in the file, 0 where there is none."""
    row = connection.execute(f"SELECT max(sequence) FROM {database}.{CHANGE_TABLE}").fetchone()
    return int(row[0] or 0)


def trim(
    path: Path,
    position: int,
    *,
    history: tuple[str, Witness | None],
    at_once: int = 2000,
    timeout: float = 0.2,
) -> int:
    """Delete what is replayed, in short transactions. Returns the number of rows deleted.

    `history` is the capture's identity and the witness at `position`: a log that has another one,
    or another change at that number, is left as it is. The statement itself looks, so that no
    other file can come in between.

    The row at the position stays as its witness, sequence 0 as the installation's identity, and
    so the numbers never start over. A busy file is left for the next time.
    """
    capture_id, witness = history
    if witness is None:
        return 0
    deleted = 0
    named = dict(zip(("sequence", "name", "at"), witness, strict=True))
    values = {"upto": position, "most": at_once, "id": capture_id, **named}
    with closing(open_writable(path, timeout=timeout)) as connection:
        try:
            while (done := connection.execute(_TRIM, values).rowcount) == at_once:
                deleted += done
                # A writer waiting for the lock gets its turn.
                time.sleep(0.002)
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                return deleted
            raise explain_write(path, error) from error
    return deleted + done


_TRIM = f"""
DELETE FROM {CHANGE_TABLE} WHERE sequence IN (
    SELECT sequence FROM {CHANGE_TABLE} WHERE sequence > 0 AND sequence < :upto LIMIT :most
)
AND EXISTS (SELECT 1 FROM {CHANGE_TABLE} WHERE sequence = 0 AND key = :id)
AND EXISTS (
    SELECT 1 FROM {CHANGE_TABLE} WHERE sequence = :sequence AND name = :name AND at = :at
)
"""


def collapse(changes: Iterable[Change], mappings: Iterable[TableMapping]) -> dict[str, list[Key]]:
    """Table -> keys, each once, in the order of their first change."""
    found: dict[str, dict[Key, None]] = {}
    for change in changes:
        if change.name:
            found.setdefault(change.name, {})[change.key] = None
    of_log = {m.table: m.key_columns.of_log for m in mappings if len(m.key_columns.columns) > 1}
    return {
        name: [of_log[name](key) for key in keys] if name in of_log else list(keys)
        for name, keys in found.items()
    }
