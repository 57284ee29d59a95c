"""Level "sample": which key ranges are compared in full, and what that tells about the others.

Rows are taken in runs of ten neighbouring keys, evenly spread, with a random start. Such runs are
cheap to read. The report says how small an error the sample would have found.
"""

from __future__ import annotations

import math
import random
from contextlib import closing
from itertools import pairwise

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
    parts = []
    with closing(case.snapshot.open()) as connection:
        low, high = connection.execute(f"SELECT min({key}), max({key}) FROM {table}").fetchone()
        # One run in each of so many equal ranges of keys: no row is in two of them.
        edges = [low - 1 + (high - low + 1) * number // runs for number in range(runs + 1)]
        for start, stop in pairwise(edges):
            after = max(dice.randint(start, max(start, stop - RUN_ROWS)), -(2**63))
            edge = connection.execute(
                f"SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > ? "
                f"AND {key} <= ? ORDER BY {key} LIMIT {RUN_ROWS})",
                (after, stop),
            ).fetchone()[0]
            if edge is not None:
                parts.append(Part(Key.of(after), Key.of(edge)))
    return parts


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
