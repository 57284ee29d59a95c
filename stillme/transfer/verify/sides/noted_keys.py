"""Of which rows the ledger says something: an original of them was kept, or they were set aside.

The ledger has no index in the order of keys: to ask it for a range reads all that it holds of a
table. So a million keys are asked for at a time (8 MB), of which the next ranges are given out.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from typing import Any

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.verify.sides.row_query import read

Keys = set[tuple[Any, ...]]
AT_ONCE = 1_000_000
# Of a key that spells a 64-bit integer. What is cast to one must be asked first; a regular
# expression that counts digits takes five times as long.
_NUMBER = (
    "CASE WHEN key ~ '^-?[0-9]+$' THEN CASE WHEN octet_length(key) < 19 THEN key::bigint "
    "WHEN octet_length(key) < 21 AND key::numeric "
    "BETWEEN -9223372036854775808 AND 9223372036854775807 THEN key::bigint END END"
)
_LEAST, _MOST = -(2**63), 2**63 - 1


class NotedKeys:
    """The values of keys of one table."""

    def __init__(self, alias: str, mapping: TableMapping) -> None:
        self._kept, self._aside = (
            _Window(alias, mapping, table) for table in ("kept_cell", "quarantined_row")
        )

    def within(self, after: Key | None, upto: Key | None) -> tuple[Keys, Keys]:
        """Those of a range, or of more, of which something was kept, and those set aside."""
        return self._kept.within(after, upto), self._aside.within(after, upto)


class _Window:
    """The keys of one table of the ledger from `_first` to `_last`, in order."""

    def __init__(self, alias: str, mapping: TableMapping, table: str) -> None:
        self._alias, self._identity = alias, mapping.identity
        self._keys = mapping.key_columns
        self._source = f"FROM transfer.{table} WHERE {OF_TABLE}"
        self._others: Keys | None = None
        self._numbers = array("q")
        # Of nothing, as long as nothing was asked.
        self._first, self._last = 0, -1

    def within(self, after: Key | None, upto: Key | None) -> Keys:
        """Of keys that are no integers, all."""
        if not self._keys.is_whole:
            return self._all()
        first = _LEAST if after is None else int(after.values[0]) + 1
        last = _MOST if upto is None else int(upto.values[0])
        found: Keys = set()
        while first <= last:
            if not self._first <= first <= self._last:
                self._read_from(first)
            start, end = (bisect_right(self._numbers, bound) for bound in (first - 1, last))
            found.update((number,) for number in self._numbers[start:end])
            first = self._last + 1
        return found

    def _all(self) -> Keys:
        if self._others is None:
            texts = read(self._alias, f"SELECT DISTINCT key {self._source}", self._identity)
            self._others = self._keys.values_of(text for (text,) in texts)
        return self._others

    def _read_from(self, first: int) -> None:
        [(sent,)] = read(
            self._alias,
            "SELECT string_agg(int8send(number), '' ORDER BY number) FROM (SELECT DISTINCT number "
            f"FROM (SELECT {_NUMBER} AS number {self._source}) AS noted "
            f"WHERE number >= %s ORDER BY number LIMIT {AT_ONCE}) AS keys",
            [*self._identity, first],
        )
        self._numbers = array("q", sent or b"")
        if sys.byteorder == "little":
            self._numbers.byteswap()
        is_end = len(self._numbers) < AT_ONCE
        self._first, self._last = first, _MOST if is_end else self._numbers[-1]
