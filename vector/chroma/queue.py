"""The write-ahead queue: what has been done to each id since the segments were written.

The rules are Chroma's: an add is ignored where the id exists, an update where it doesn't, an upsert
is one or the other, a delete of nothing is nothing. Only positions are kept in memory; the vectors
stay in the file.

`max_seq_id` says how far a segment has the queue, and is not always right.

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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from stillme.transfer.errors import LegacyFileError
from vector.chroma.records import Value

NOTHING = -1
# A mark that is no number at all: beyond every queue.
NO_NUMBER = 2**63 - 1


class Operation(IntEnum):
    """The numbers in `embeddings_queue.operation`."""

    ADD = 0
    UPDATE = 1
    UPSERT = 2
    DELETE = 3


_CODES = frozenset(Operation)


class UnreadableMetadata(Exception):
    """The metadata of a queued operation cannot be read; `text` is what is stored."""

    def __init__(self, why: str, text: object) -> None:
        super().__init__(why)
        self.text = text if isinstance(text, str) else repr(text)


@dataclass(frozen=True, slots=True)
class Queued:
    """One row of the queue without its vector."""

    seq_id: int
    operation: Operation
    embedding_id: str
    has_vector: bool


def topics(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The topics of each collection: a topic ends with the collection's id."""
    found: dict[str, list[str]] = {}
    # A topic that is a blob is of no collection.
    texts = "SELECT DISTINCT topic FROM embeddings_queue WHERE typeof(topic) = 'text'"
    for (topic,) in connection.execute(texts):
        found.setdefault(topic.rpartition("/")[2], []).append(topic)
    return found


def operations(
    connection: sqlite3.Connection, topics: list[str], after: int = -1
) -> Iterator[Queued]:
    """The queue of one collection in the order of writing, from beyond `after`."""
    rows = connection.execute(
        "SELECT seq_id, operation, id, vector IS NOT NULL FROM embeddings_queue "
        "WHERE topic IN (SELECT value FROM json_each(?)) AND seq_id > ? ORDER BY seq_id",
        (json.dumps(topics), after),
    )
    for seq_id, operation, embedding_id, has_vector in rows:
        if operation not in _CODES:
            raise LegacyFileError(
                f"The queued operation {seq_id} has the unknown code {operation}: this store is of "
                "a version of Chroma that cannot be read."
            )
        if not isinstance(embedding_id, str):
            raise LegacyFileError(
                f"The queued operation {seq_id} has an id that is no text: correct it in a copy of "
                "the store, and import the copy."
            )
        yield Queued(seq_id, Operation(operation), embedding_id, bool(has_vector))


def vector_of(connection: sqlite3.Connection, seq_id: int) -> tuple[bytes, str]:
    """The vector and its encoding, as the queue holds them."""
    blob, encoding = connection.execute(
        "SELECT vector, encoding FROM embeddings_queue WHERE seq_id = ?", (seq_id,)
    ).fetchone()
    return (blob if isinstance(blob, bytes) else str(blob).encode(), str(encoding))


def metadata_of(
    connection: sqlite3.Connection, seq_id: int
) -> tuple[dict[str, Value | None], str | None]:
    """The metadata of a queued operation and its time. Raises UnreadableMetadata."""
    text, created = connection.execute(
        "SELECT metadata, created_at FROM embeddings_queue WHERE seq_id = ?", (seq_id,)
    ).fetchone()
    try:
        if isinstance(text, bytes):
            raise ValueError("the metadata is no text")
        content = json.loads(text) if text else {}
        if text and "\\ud" in text.lower():
            # Half of a surrogate pair is no text.
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UnreadableMetadata(str(error), text) from error
    if not isinstance(content, dict):
        raise UnreadableMetadata("the metadata is not an object", text)
    for key, value in content.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None and not isinstance(each, str | int | float | bool):
                what = f"the value of {key} is neither text, number, boolean nor a list of such"
                raise UnreadableMetadata(what, text)
    return content, time_text(created)


@dataclass(slots=True)
class Location:
    """Where an id's vector is: in the segment at `position`, or in the queue at `seq_id`."""

    position: int | None = None
    seq_id: int | None = None


def replay(located: dict[str, Location], queue: Iterator[Queued]) -> None:
    """Bring `located` from the state of the segment to the state after the queue."""
    for row in queue:
        exists = row.embedding_id in located
        if row.operation is Operation.DELETE:
            located.pop(row.embedding_id, None)
        elif row.has_vector and row.operation not in (
            Operation.ADD if exists else Operation.UPDATE,
        ):
            located[row.embedding_id] = Location(seq_id=row.seq_id)


@dataclass(frozen=True, slots=True)
class Witness:
    """The last queued vector of an id among the operations that the segment already contains.

    `certain` where nothing before it can have made it void: an update or upsert, or an add
    known to be the one that made the id.
    """

    seq_id: int
    certain: bool


def witnesses(queue: Iterator[Queued], upto: int, complete: bool) -> dict[str, Witness]:
    """What an unpurged queue still says about vectors that the segment holds."""
    found: dict[str, Witness] = {}
    deleted: set[str] = set()
    for row in queue:
        if row.seq_id > upto:
            break
        if row.operation is Operation.DELETE:
            found.pop(row.embedding_id, None)
            deleted.add(row.embedding_id)
        elif row.operation is Operation.ADD:
            if row.embedding_id not in found and row.has_vector:
                certain = complete or row.embedding_id in deleted
                found[row.embedding_id] = Witness(row.seq_id, certain)
        elif row.has_vector and not (
            # Everything is here and the id is not: the update did nothing.
            complete and row.operation is Operation.UPDATE and row.embedding_id not in found
        ):
            certain = row.operation is Operation.UPSERT or row.embedding_id in found
            found[row.embedding_id] = Witness(row.seq_id, certain)
    return found


def sequence(value: object) -> int | None:
    """A sequence number: an integer, or the 8 big-endian bytes of 0.4 (later ones have 24).

    None for what is no number, or none of 64 bits.
    """
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    return number if isinstance(number, int) and number <= NO_NUMBER else None


def time_text(stored: object) -> str | None:
    """A time as text; what is stored as something else is spelled as Python does."""
    return stored if stored is None or isinstance(stored, str) else repr(stored)


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
    # Whatever storage class the numbers have.
    rows = connection.execute(
        "SELECT max(seq_id) FROM embeddings NOT INDEXED WHERE segment_id = ? "
        "GROUP BY typeof(seq_id)",
        (segment,),
    )
    numbers = [sequence(value) for (value,) in rows]
    highest = max((number for number in numbers if number is not None), default=NOTHING)
    # Numbers beyond the queue's end are those of an earlier queue: this one began again.
    return NOTHING if highest > last else highest


def vector_mark(connection: sqlite3.Connection, topics: list[str], noted: int | None) -> int:
    """The same for a vector segment, whose ids have no numbers: the whole queue, or from there."""
    last = last_queued(connection, topics)
    if noted is None or (last is not None and noted > last):
        return NOTHING
    return noted
