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
from stillme.transfer.sqlite.clock_sql import row_offset_sql
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.rows.read_range import RangeReader

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

    That is where the key is not the rowid, or where a row shows an offset of the local clock that
    may change the file's decision.
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
    if _may_change_the_clock(source):
        return None
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


def _may_change_the_clock(source: TableSource) -> bool:
    """Whether one of the rows is evidence other than more of what the file showed last."""
    mapping, clock = source.job.mapping, source.job.clock
    if mapping.clock is None or clock.zone is not None:
        return False
    key, local = mapping.key_columns.legacy(), quoted(mapping.clock.local)
    last = clock.spans[-1] if clock.spans else None
    since = "1" if last is None else f"{local} >= '{last.first}'"
    rows = source.connection.execute(
        f"SELECT DISTINCT {row_offset_sql(mapping.clock)}, {since} FROM {quoted(mapping.table)} "
        f"WHERE {key} IN (SELECT key FROM temp.{_KEYS})"
    )
    known = set(clock.evidence) if last is None else {last.minutes}
    return any(
        minutes is not None and not (is_last and minutes in known) for minutes, is_last in rows
    )
