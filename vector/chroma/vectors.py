"""The vectors of one collection: from the segment, from the queue, or from both.

The segment holds the state at its mark (`max_seq_id`); the queue beyond the mark is replayed over
it. Where the queue was never purged it also still has the exact original of what a segment holds:
it is used if the two agree, or if the segment cannot be read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from stillme.visible import counted
from vector.chroma import queue
from vector.chroma.metadata import Entry
from vector.chroma.records import DOCUMENT_KEY, Collection, Item, Origin, Problem, Reason
from vector.chroma.segment import (
    PickleRefusedError,
    Segment,
    SegmentError,
    close_enough,
    read_label_map,
)

FLOAT32 = "FLOAT32"
_PICKLE = "index_metadata.pickle"
Found = tuple[bytes, Origin]


class Vectors:
    """Finds the vector of each id of a collection and says what is wrong where it can't."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path,
        collection: Collection,
        topics: list[str],
        mark: int | None,
    ) -> None:
        self.connection = connection
        self.collection = collection
        self.dimension = collection.dimension
        self.segment: Segment | None = None
        self.problems: list[Problem] = []
        self.unreadable: dict[str, str] = {}
        self.unlabelled: list[tuple[int, int]] = []
        self.located: dict[str, queue.Location] = {}
        self.mark = -1 if mark is None else mark
        if collection.vector_segment:
            self._load_segment(folder / collection.vector_segment, mark)
        self._load_queue(topics)

    def _load_segment(self, folder: Path, mark: int | None) -> None:
        """Find the elements of the segment, if Chroma has written it (before: a placeholder)."""
        if not (folder / _PICKLE).is_file():
            if mark is not None:
                self._segment_is_bad(Reason.BAD_PICKLE, f"{_PICKLE} is missing")
            return
        try:
            labels = read_label_map(folder / _PICKLE)
        except PickleRefusedError as error:
            self._segment_is_bad(Reason.BAD_PICKLE, f"{_PICKLE} is refused: {error}")
            return
        if mark is None and labels.max_seq_id is not None:
            self.mark = labels.max_seq_id
        try:
            self.segment = Segment(folder, self.collection.metric)
        except SegmentError as error:
            self._segment_is_bad(Reason.BAD_SEGMENT, str(error))
            self.unreadable = dict.fromkeys(labels.id_of.values(), str(error))
            return
        self._locate(labels.id_of)

    def _locate(self, id_of: dict[int, str]) -> None:
        assert self.segment is not None
        missing = dict(id_of)
        for label, position in self.segment.elements():
            embedding_id = missing.pop(label, None)
            if embedding_id is None:
                self.unlabelled.append((label, position))
            else:
                self.located[embedding_id] = queue.Location(position=position)
        if missing:
            what = f"its element is not among the {self.segment.readable} that can be read"
            self.unreadable = dict.fromkeys(missing.values(), what)
        if self.segment.readable < self.segment.header.count:
            written = counted(self.segment.header.count, "element")
            what = f"the files hold {self.segment.readable} of {written}"
            self._segment_is_bad(Reason.TRUNCATED, what)

    def _load_queue(self, topics: list[str]) -> None:
        # An id whose element is unreadable still exists: an add after it is ignored.
        for embedding_id in self.unreadable:
            self.located[embedding_id] = queue.Location()
        self.seen: dict[str, queue.Witness] = {}
        if not topics:
            return
        first = self.connection.execute("SELECT min(seq_id) FROM embeddings_queue").fetchone()[0]
        believed = queue.vector_mark(self.connection, topics, self.mark)
        if believed != self.mark and first == 1:
            named = {row.embedding_id for row in queue.operations(self.connection, topics)}
            if named.issuperset(self.located):
                # The whole history is there: the segment adds nothing to it.
                self.located.clear()
        self.mark = believed
        earlier = queue.operations(self.connection, topics)
        self.seen = queue.witnesses(earlier, self.mark, complete=first == 1)
        queue.replay(self.located, queue.operations(self.connection, topics, self.mark))

    def join(self, entry: Entry) -> Item | Problem:
        """The item that an entry and its vector make, or the Problem."""
        if not isinstance(entry.metadata.get(DOCUMENT_KEY, ""), str | None):
            entry.error = entry.error or "its document is no text"
        if entry.error:
            return self._problem(Reason.BAD_METADATA, entry, entry.error)
        found = self._find(entry)
        if isinstance(found, Problem):
            return found
        vector, origin = found
        if self.connection.text_factory is not str and not _is_unicode(entry):
            return self._problem(Reason.INVALID_UTF8, entry, "a text in it is not UTF-8", found)
        if self.dimension is None:
            self.dimension = len(vector) // 4
        if len(vector) != 4 * self.dimension:
            what = f"its vector has {counted(len(vector), 'byte')}, not {4 * self.dimension}"
            return self._problem(Reason.WRONG_DIMENSION, entry, what, found)
        document, metadata = entry.split()
        return Item(
            entry.embedding_id, document, metadata, vector, origin, entry.created_at, entry.seq_id
        )

    def _find(self, entry: Entry) -> Found | Problem:
        location = self.located.get(entry.embedding_id)
        witness = self.seen.get(entry.embedding_id)
        if location is None:
            return self._absent(entry, witness)
        if location.seq_id is not None:
            return self._queued(entry, location.seq_id)
        if location.position is None:
            return self._unreadable(entry, witness)
        assert self.segment is not None
        stored = self.segment.vector(location.position)
        if witness is not None:
            exact = self._queued(entry, witness.seq_id)
            if not isinstance(exact, Problem) and close_enough(exact[0], stored):
                return exact
        return stored, self.segment.origin

    def _queued(self, entry: Entry, seq_id: int) -> Found | Problem:
        vector, encoding = queue.vector_of(self.connection, seq_id)
        if encoding != FLOAT32:
            what = f"its vector is encoded as {encoding}, not {FLOAT32}"
            return self._problem(Reason.UNKNOWN_ENCODING, entry, what, (vector, Origin.QUEUE))
        return vector, Origin.QUEUE

    def _unreadable(self, entry: Entry, witness: queue.Witness | None) -> Found | Problem:
        if witness is not None and (witness.certain or witness.seq_id == entry.seq_id):
            return self._queued(entry, witness.seq_id)
        why = self.unreadable.get(entry.embedding_id, "the segment cannot be read")
        return self._problem(
            Reason.TRUNCATED if self.segment else Reason.BAD_SEGMENT,
            entry,
            f"its vector is in a segment file that is cut short or damaged: {why}",
        )

    def _absent(self, entry: Entry, witness: queue.Witness | None) -> Found | Problem:
        """The segment was not readable at all, or there really is no vector."""
        if self.problems and self.segment is None:
            return self._unreadable(entry, witness)
        return self._problem(Reason.NO_VECTOR, entry, "it has metadata but no vector")

    def rest(self, ids: set[str]) -> Iterator[Problem]:
        """Vectors of no entry: in the segment without an id, or of none of the collection's ids."""
        for embedding_id, location in self.located.items():
            if embedding_id not in ids:
                bare = Entry(embedding_id, location.seq_id or 0, None)
                found = self._find(bare)
                raw = None if isinstance(found, Problem) else found
                what = "the store has a vector for it but neither document nor metadata"
                yield self._problem(Reason.NO_ID, bare, what, raw)
        if self.segment is None:
            return
        for label, position in self.unlabelled:
            what = f": the element with label {label} has a vector and no id."
            vector = self.segment.vector(position)
            yield self._told(Reason.NO_ID, None, what, {"label": label, "vector": vector})

    def _problem(
        self, reason: Reason, entry: Entry, what: str, found: Found | None = None
    ) -> Problem:
        key = _printable(entry.embedding_id)
        raw: dict[str, object] = {
            "embedding_id": key,
            "seq_id": entry.seq_id,
            "created_at": entry.created_at,
            "metadata": {_printable(k): _plain(v) for k, v in entry.metadata.items()},
        }
        if found is not None:
            raw |= {"vector": found[0], "origin": str(found[1])}
        return self._told(reason, key, f", id {key}: {what}.", raw)

    def _segment_is_bad(self, reason: Reason, what: str) -> None:
        what = f", segment {self.collection.vector_segment}: {what}."
        self.problems.append(self._told(reason, None, what, {}))

    def _told(self, reason: Reason, key: str | None, what: str, raw: dict[str, object]) -> Problem:
        name = self.collection.name
        return Problem(reason, name, key, f"Collection {name}{what}", raw)

    def close(self) -> None:
        """Unmap the segment."""
        if self.segment is not None:
            self.segment.close()


def _is_unicode(entry: Entry) -> bool:
    texts: list[object] = [entry.embedding_id, *entry.metadata]
    for value in entry.metadata.values():
        texts += value if isinstance(value, list) else [value]
    try:
        "".join(t for t in texts if isinstance(t, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(value: str) -> str:
    """Text that JSON can hold: bytes that were no UTF-8 as \\xNN."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return _printable(value) if isinstance(value, str) else value
