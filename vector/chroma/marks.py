"""How far a segment has the queue. `max_seq_id` says so, and is not always right.

A migration of Chroma's turned numbers that were integers already into others (300 became
1229782938249408560), and a mark beyond the end of the queue makes every operation that is still
queued look applied. Chroma never writes such a mark: it keeps the last operation of a collection
in the queue (it deletes only what is *below* the marks).

Where a mark cannot be, the segment itself tells. The highest number among its ids is a place up
to which everything was applied. Operations from there on may have been applied too, but to apply
them again, in their order, changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from vector.chroma.records import Notice

NOTHING = -1
# A mark that is no number at all: beyond every queue.
NO_NUMBER = 2**63 - 1


def sequence(value: object) -> int | None:
    """A sequence number: an integer, or the 8 big-endian bytes of 0.4 (later ones have 24).

    None for what is no number.
    """
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    return value if isinstance(value, int) else None


def mark_of(value: object) -> int:
    """What a row of `max_seq_id` says."""
    number = sequence(value)
    return NO_NUMBER if number is None else number


def last_queued(connection: sqlite3.Connection, topics: Iterable[str]) -> int | None:
    """The last operation of a collection in the queue; None where it has none."""
    last: int | None = connection.execute(
        "SELECT max(seq_id) FROM embeddings_queue WHERE topic IN (SELECT value FROM json_each(?))",
        (json.dumps(list(topics)),),
    ).fetchone()[0]
    return last


def metadata_mark(
    connection: sqlite3.Connection, segment: str, topics: list[str], noted: int | None
) -> int:
    """Up to where the tables of a metadata segment have the queue; `noted` says `max_seq_id`."""
    last = last_queued(connection, topics)
    if noted is None or last is None:
        return NOTHING if noted is None else noted
    if noted <= last:
        return noted
    highest = _highest_stored(connection, segment)
    # Numbers beyond the queue's end are those of an earlier queue: this one began again.
    return NOTHING if highest > last else highest


def vector_mark(connection: sqlite3.Connection, topics: list[str], noted: int | None) -> int:
    """The same for a vector segment, whose ids have no numbers: the whole queue, or from there."""
    last = last_queued(connection, topics)
    if noted is None or (last is not None and noted > last):
        return NOTHING
    return noted


def doubt(collection: str, noted: int, believed: int) -> Notice:
    """What is said of a mark that was not believed."""
    return Notice(
        "mark_not_believed",
        f"Collection {collection}: max_seq_id says that the operations up to {noted} are in the "
        f"tables, which cannot be: those after {max(believed, 0)} were read from the queue.",
    )


def _highest_stored(connection: sqlite3.Connection, segment: str) -> int:
    """The highest number among the ids of a segment, whatever storage class the numbers have."""
    rows = connection.execute(
        "SELECT max(seq_id) FROM embeddings NOT INDEXED WHERE segment_id = ? "
        "GROUP BY typeof(seq_id)",
        (segment,),
    )
    numbers = [sequence(value) for (value,) in rows]
    return max((number for number in numbers if number is not None), default=NOTHING)
