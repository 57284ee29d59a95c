"""Of which rows the ledger says something: an original of them was kept, or they were set aside.

Read once for a table. Range by range, each range would read all that the ledger holds of the table.
A key that is an integer takes 8 bytes here.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.verify.sides.row_query import read

Keys = set[tuple[Any, ...]]
# The keys between two bounds: after < key <= upto.
_Within = Callable[[Key | None, Key | None], Keys]
# Of a key that spells a 64-bit integer. What is cast to one must be asked first.
_NUMBER = (
    "CASE WHEN key ~ '^-?[0-9]{1,18}$' THEN key::bigint WHEN key ~ '^-?[0-9]{19}$' THEN "
    "CASE WHEN key::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 "
    "THEN key::bigint END END"
)


class NotedKeys:
    """The values of keys of one table. Asks PostgreSQL when it is asked first."""

    def __init__(self, alias: str, mapping: TableMapping) -> None:
        self._alias, self._mapping = alias, mapping
        self._tables: tuple[_Within, _Within] | None = None

    def within(self, after: Key | None, upto: Key | None) -> tuple[Keys, Keys]:
        """Those of a range, or of more, of which something was kept, and those set aside."""
        if self._tables is None:
            self._tables = self._read("kept_cell"), self._read("quarantined_row")
        kept, aside = self._tables
        return kept(after, upto), aside(after, upto)

    def _read(self, table: str) -> _Within:
        source = f"FROM transfer.{table} WHERE {OF_TABLE}"
        keys, identity = self._mapping.key_columns, self._mapping.identity
        if not keys.is_whole:
            texts = read(self._alias, f"SELECT DISTINCT key {source}", identity)
            found = keys.values_of(text for (text,) in texts)
            return lambda after, upto: found
        sent = "string_agg(int8send(number), '' ORDER BY number)"
        numbers = array("q")
        for (told,) in read(
            self._alias,
            f"SELECT {sent} FROM (SELECT DISTINCT {_NUMBER} AS number {source}) AS keys",
            identity,
        ):
            numbers.frombytes(told or b"")
        if sys.byteorder == "little":
            numbers.byteswap()

        def within(after: Key | None, upto: Key | None) -> Keys:
            first = 0 if after is None else bisect_right(numbers, after.values[0])
            end = len(numbers) if upto is None else bisect_right(numbers, upto.values[0])
            return {(number,) for number in numbers[first:end]}

        return within
