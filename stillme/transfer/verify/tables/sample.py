"""Level "sample": which key ranges are compared in full, and what that tells about the others.

Rows are taken in runs of ten neighbouring keys, evenly spread, with a random start. Such runs are
cheap to read. The report says how small an error the sample would have found.
"""

from __future__ import annotations

import math
import random

from stillme.transfer.keys import Key
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.tables.table_judge import Part, TableCase

RUN_ROWS = 10
CONFIDENCE = 0.95


def sample_parts(case: TableCase, rows: int, wanted: int) -> list[Part] | None:
    """Key ranges of `RUN_ROWS` rows, about `wanted` rows in all; None where all must be read."""
    mapping = case.mapping
    if wanted >= rows or not mapping.key_is_rowid:
        return None
    key, table = mapping.key_columns.legacy(), quoted(mapping.table)
    runs = max(1, wanted // RUN_ROWS)
    dice = random.SystemRandom()
    connection = case.snapshot.open()
    try:
        low, high = connection.execute(f"SELECT min({key}), max({key}) FROM {table}").fetchone()
        parts: dict[int, int] = {}
        for number in range(runs):
            start = low + (high - low) * number // runs
            stop = low + (high - low) * (number + 1) // runs
            after = dice.randint(start, max(start, stop - 1)) - 1
            edge = connection.execute(
                f"SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > ? "
                f"ORDER BY {key} LIMIT {RUN_ROWS})",
                (max(after, -(2**63)),),
            ).fetchone()[0]
            if edge is not None and edge not in parts:
                parts[edge] = max(after, -(2**63))
        return _apart(sorted((after, edge) for edge, after in parts.items()))
    finally:
        connection.close()


def _apart(ranges: list[tuple[int, int]]) -> list[Part]:
    """Ranges that do not overlap, so that no row is counted twice."""
    found: list[tuple[int, int]] = []
    for after, upto in ranges:
        after = max(after, found[-1][1]) if found else after
        if after < upto:
            found.append((after, upto))
    return [Part(Key.of(after), Key.of(upto)) for after, upto in found]


def confidence_sentence(compared: int, rows: int) -> str:
    """What a sample of `compared` rows of `rows` would have found."""
    if compared >= rows:
        return "every row compared"
    if not compared:
        return "no row compared"
    # (1 - share) ** compared <= 1 - CONFIDENCE: rows that err independently of one another.
    share = 1 - (1 - CONFIDENCE) ** (1 / compared)
    percent = math.ceil(share * 10_000) / 100
    return (
        f"{compared:,} of {rows:,} rows compared: finds with 95 % confidence an error that touches "
        f"more than {percent:g} % of the rows at random"
    )
