"""Reading the rows of many keys at once: common rows as a stream, like the import's ranges.

Cell by cell in Python a row costs some 60 microseconds; the common rows of a large round go from
SQLite to PostgreSQL untouched (law 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillme.transfer.key_columns import Condition
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.rows.read_range import RangeReader
from stillme.transfer.steps.rows.table_source import TableSource

# Below this the temporary table costs more than it saves.
MANY = 500
_KEYS = "replay_keys"


class _KeySet(KeyRange):
    """The keys in the temporary table, in the place of a range."""

    def where(self, mapping: TableMapping, table: str = "") -> Condition:
        """SQL condition on the legacy rows."""
        return f"{mapping.key_columns.legacy(table)} IN (SELECT key FROM temp.{_KEYS})", []


@dataclass(slots=True)
class ManyRows:
    """The rows of a set of keys: `blocks` of CSV for `common` rows, the others raw."""

    blocks: list[bytes]
    common: int
    others: list[RawRow]
    present: set[Key]


def read_many(source: TableSource, keys: Sequence[Key]) -> ManyRows | None:
    """The rows of whole keys; None where they must be read one by one.

    That is where the key is not the rowid.
    """
    mapping = source.job.mapping
    if not mapping.key_is_rowid or not mapping.has_rowid:
        return None
    connection = source.connection
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {_KEYS} (key INTEGER PRIMARY KEY)")
    connection.execute(f"DELETE FROM temp.{_KEYS}")
    connection.executemany(
        f"INSERT OR IGNORE INTO temp.{_KEYS} VALUES (?)", (key.values for key in keys)
    )
    reader = RangeReader(source, _KeySet(0))
    blocks = list(reader.blocks())
    if reader.by_hand:
        return None
    common = reader.rows
    others = list(reader.others())
    key, table = mapping.key_columns.legacy(), quoted(mapping.table)
    present = connection.execute(
        f"SELECT {key} FROM {table} WHERE {key} IN (SELECT key FROM temp.{_KEYS})"
    )
    return ManyRows(blocks, common, others, {Key.of(*row) for row in present})
