"""Each unique index of a target table against the table: the same values, in the promised order.

A row that the index of a key misses is not found by its key, though the table has it. An index out
of order (a damaged file, a collation of another version of the operating system) no longer finds
some keys, and lets one in a second time.

So each is read from end to end and held against a full scan of its table. Not looked at are other
indexes (it would double the time of a verification), and those over expressions, over some rows, or
of values that PostgreSQL cannot hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connections, transaction

from stillme.postgresql.statements import set_local
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.verify.sides.row_query import read
from stillme.transfer.verify.sides.target_table import select, select_all
from stillme.visible import counted

# In a full scan no index has a part, in the other one PostgreSQL can only follow an index.
BY_SCAN = {"enable_seqscan": "on"} | dict.fromkeys(
    ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"), "off"
)
BY_INDEX = {"enable_indexscan": "on", "enable_indexonlyscan": "on"} | dict.fromkeys(
    ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort"), "off"
)
# Bit 1 of an option says DESC, bit 2 NULLS FIRST.
_INDEXES = """
SELECT relname, indisprimary, array_agg(quote_ident(attname) ORDER BY place),
    array_agg(CASE indoption[place] & 1 WHEN 1 THEN 'DESC' ELSE 'ASC' END
        || CASE indoption[place] & 2 WHEN 2 THEN ' NULLS FIRST' ELSE ' NULLS LAST' END
        ORDER BY place)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
CROSS JOIN LATERAL generate_series(0, indnkeyatts - 1) AS place
JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[place]
JOIN pg_opclass ON pg_opclass.oid = indclass[place]
WHERE indrelid = to_regclass(%s) AND amname = 'btree' AND indpred IS NULL AND indexprs IS NULL
AND indisunique AND indisvalid AND indisready AND indislive
GROUP BY relname, indisprimary
HAVING bool_and(opcdefault AND indcollation[place] = attcollation AND EXISTS (
    SELECT FROM pg_opclass AS h JOIN pg_am AS m ON m.oid = h.opcmethod
    WHERE m.amname = 'hash' AND h.opcdefault AND h.opcintype = pg_opclass.opcintype))
ORDER BY relname
"""


class Index(NamedTuple):
    """An index: its columns, quoted, and how each is ordered."""

    name: str
    is_primary: bool
    columns: list[str]
    orders: list[str]

    @property
    def digest(self) -> str:
        """SQL: a number that all values of its columns have a part in."""
        return f"sum(hash_record_extended(ROW({', '.join(self.columns)}), 0::bigint))"

    def read(self, relation: str) -> str:
        """SQL: its rows, their digest, and how many of them come before the one they follow."""
        columns = ", ".join(self.columns)
        pairs = zip(self.columns, self.orders, strict=True)
        order = ", ".join(f"{column} {way}" for column, way in pairs)
        names = [f'"previous {number}"' for number in range(len(self.columns))]
        pairs = zip(self.columns, names, strict=True)
        previous = ", ".join(f"lag({column}) OVER () AS {name}" for column, name in pairs)
        ways = {way.partition(" ")[0] for way in self.orders}
        sign = "<" if ways == {"ASC"} else ">"
        wrong = "FALSE" if len(ways) > 1 else f"ROW({columns}) {sign} ROW({', '.join(names)})"
        return (
            f"SELECT count(*), {self.digest}, count(*) FILTER (WHERE {wrong}) FROM "
            f"(SELECT {columns}, {previous} FROM (SELECT {columns} FROM {relation} "
            f"ORDER BY {order} OFFSET 0) AS ordered) AS rows"
        )


@dataclass(frozen=True, slots=True)
class WrongIndex:
    """An index that is not as its table: rows of either, and those that the index has misplaced."""

    index: Index
    scanned: int
    found: int
    misplaced: int
    # The shard that it is an index of, on a cluster.
    place: str = ""

    def finding(self, where: str) -> Finding:
        """What an operator reads of it."""
        found = f"{counted(self.found, 'row')} by the index {self.index.name}"
        if self.misplaced:
            found += f", {self.misplaced:,} of them out of order"
        elif self.found == self.scanned:
            found += ", with other values"
        found += f" in {self.place}" if self.place else ""
        note = "REINDEX the table, then run verify_migration again: it compares the rows"
        return Finding(
            FindingKind.INDEX,
            where,
            None,
            f"{counted(self.scanned, 'row')} by a full scan",
            found,
            note,
        )


@contextmanager
def one_moment(alias: str) -> Iterator[None]:
    """A transaction whose scans see the same rows: writers may be at work."""
    is_alone = not connections[alias].in_atomic_block
    with transaction.atomic(using=alias):
        if is_alone:
            select_all(alias, ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"])
        yield


def wrong_indexes(alias: str, relation: str) -> Iterator[WrongIndex]:
    """Those of a table's unique indexes that do not hold what the table holds, in `one_moment`."""
    indexes = unique_indexes(alias, relation)
    told = ", ".join(["count(*)", *(index.digest for index in indexes)])
    [(rows, *digests)] = planned(alias, BY_SCAN, f"SELECT {told} FROM {relation}")
    for index, digest in zip(indexes, digests, strict=True):
        [(found, other, misplaced)] = planned(alias, BY_INDEX, index.read(relation))
        if (found, other, misplaced) != (rows, digest, 0):
            yield WrongIndex(index, rows, found, misplaced)


def unique_indexes(alias: str, relation: str) -> list[Index]:
    """Those of a table's indexes that are looked at."""
    return [Index(*row) for row in select(alias, _INDEXES, [relation])]


def planned(alias: str, settings: dict[str, str], sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query under settings of the planner."""
    set_local(connections[alias], settings)
    found = read(alias, sql)
    # Inside a caller's transaction they would stay.
    set_local(connections[alias], dict.fromkeys(settings))
    return found
