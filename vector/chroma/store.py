"""The store: from a snapshot to items and problems, streamed.

Memory holds one small entry per id (where its vector is), never the vectors or documents: those
are read from the copy when their turn comes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.reading.connect import uri
from vector.chroma import inventory, metadata, queue
from vector.chroma.catalogue import LISTS, VALUES, Catalogue, read_catalogue
from vector.chroma.inventory import scan
from vector.chroma.records import WHOLE, Collection, Item, Part, Problem, as_text
from vector.chroma.snapshot import copy_store
from vector.chroma.vectors import Vectors
from vector.names import COPY, DATABASE

ResultT = TypeVar("ResultT")


class Store:
    """A copied Chroma folder, open for reading: its `collections`, by name.

    `notices` are remarks about the copy, `digest` its SHA-256 and bytes if it was hashed,
    `rows_read` how many rows of each table `items` has gone through.
    """

    def __init__(
        self,
        folder: Path,
        notices: tuple[str, ...] = (),
        digest: tuple[str, int] | None = None,
    ) -> None:
        self.folder, self.notices = folder, notices
        self.digest = digest
        self.rows_read: Counter[str] = Counter()
        location = uri(folder / COPY) + "&immutable=1"
        self.connection = sqlite3.connect(location, uri=True, isolation_level=None)
        self.connection.execute("PRAGMA mmap_size = 268435456")
        self._kept: Vectors | None = None
        try:
            self.catalogue: Catalogue = read_catalogue(self.connection)
            self._topics = queue.topics(self.connection)
            self._marks = {c.id: self._mark(c) for c in self.catalogue.collections}
            self.collections = tuple(map(self._with_dimension, self.catalogue.collections))
        except sqlite3.Error as error:
            self.connection.close()
            raise self._damaged(error) from error
        except LegacyFileError:
            self.connection.close()
            raise

    def _mark(self, collection: Collection) -> int:
        """Up to where a collection's tables have the queue, with a notice where that is odd."""
        segment = collection.metadata_segment or ""
        noted = self.catalogue.marks.get(segment)
        topics = self._topics.get(collection.id, [])
        mark = queue.metadata_mark(self.connection, segment, topics, noted)
        if noted is not None and mark != noted:
            self.notices += (
                f"Collection {collection.name}: max_seq_id says that the operations up to {noted} "
                f"are in the tables, which cannot be: those after {max(mark, 0)} were read from "
                "the queue.",
            )
        return mark

    def _with_dimension(self, collection: Collection) -> Collection:
        """Very early stores do not note the dimension: the first vector tells it."""
        if collection.dimension is not None:
            return collection
        items = (r for r in self.items(collection) if isinstance(r, Item))
        first = next(items, None)
        return replace(collection, dimension=len(first.vector) // 4) if first else collection

    def parts(self, collection: Collection, rows: int) -> list[Part]:
        """A collection cut into parts of about `rows` ids. Together they are the whole."""
        low, high, count = self.connection.execute(
            "SELECT min(id), max(id), count(*) FROM embeddings WHERE segment_id = ?",
            (collection.metadata_segment or "",),
        ).fetchone()
        parts = max(1, count // rows)
        bounds = [low + (high - low) * n // parts for n in range(1, parts)]
        edges = [None, *bounds, None]
        return [Part(edges[n], edges[n + 1]) for n in range(parts)]

    def items(
        self, collection: Collection, part: Part = WHOLE
    ) -> Generator[Item | Problem, None, None]:
        """Every item of a collection, or of a part, and a Problem for each that is not whole."""
        given = 0
        before = self.rows_read.copy()
        try:
            for record in self._items(collection, part):
                yield record
                given += 1
        except sqlite3.OperationalError as error:
            self._mind_encoding(error)
            self.rows_read = before
            yield from islice(self._items(collection, part), given, None)
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _items(self, collection: Collection, part: Part) -> Iterator[Item | Problem]:
        vectors = self._vectors(collection)
        if part.after is None:
            yield from vectors.problems
        source = metadata.Source(
            self.connection, self.catalogue, collection.metadata_segment or "", self.rows_read
        )
        topics = self._topics.get(collection.id, [])
        for entry in metadata.entries(source, topics, self._marks[collection.id], part):
            yield vectors.join(entry)
        if part.upto is None:
            yield from vectors.rest({as_text(key) for key in self._ids(collection)})

    def _vectors(self, collection: Collection) -> Vectors:
        """Where the vectors of a collection are. Kept, as its next part is mostly what follows."""
        if self._kept is None or self._kept.collection.id != collection.id:
            self._let_go()
            topics = self._topics.get(collection.id, [])
            mark = self.catalogue.marks.get(collection.vector_segment or "")
            self._kept = Vectors(self.connection, self.folder, collection, topics, mark)
        return self._kept

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _mind_encoding(self, error: sqlite3.OperationalError) -> None:
        """From now on let bytes that are no UTF-8 through as lone surrogates.

        `Vectors.join` looks for those. Not from the start: it makes reading a third slower.
        """
        if "decode" not in str(error):
            raise self._damaged(error) from error
        self.connection.text_factory = as_text
        self._let_go()

    def _damaged(self, error: sqlite3.Error) -> LegacyFileError:
        return LegacyFileError(
            f"The vector store's {DATABASE} is damaged ({error}): restore it from a backup."
        )

    def ids(self, collection: Collection) -> set[str | bytes]:
        """The ids of a collection, without reading any item; bytes where one is a blob."""
        try:
            return self._ids(collection)
        except sqlite3.OperationalError as error:
            self._mind_encoding(error)
            return self._ids(collection)

    def _ids(self, collection: Collection) -> set[str | bytes]:
        segment = collection.metadata_segment or ""
        rows = self.connection.execute(
            "SELECT embedding_id FROM embeddings WHERE segment_id = ?", (segment,)
        )
        ids = {row[0] for row in rows}
        topics = self._topics.get(collection.id, [])
        for row in queue.operations(self.connection, topics, self._marks[collection.id]):
            if row.operation is queue.Operation.DELETE:
                ids.discard(row.embedding_id)
            elif row.operation is not queue.Operation.UPDATE:
                ids.add(row.embedding_id)
        return ids

    def inventory(self, folder: Path) -> list[InventoryLine]:
        """What the database holds, and what is next to it in `folder`, which was copied."""
        try:
            lines = inventory.table_lines(self.connection)
            return lines + inventory.folder_lines(folder, self.connection)
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def unread(self, collection: Collection, rows_read: Counter[str]) -> list[InventoryLine]:
        """A line for each table of which a collection's items were not all of the rows.

        The rows are counted without any index; `rows_read` are those that the reader went through.
        """
        of_it = "segment_id = '" + (collection.metadata_segment or "").replace("'", "''") + "'"
        ids = f"id IN (SELECT id FROM embeddings NOT INDEXED WHERE {of_it})"
        tables = {metadata.IDS: of_it, VALUES: ids}
        if self.catalogue.has_lists:
            tables[LISTS] = ids
        scanned = {name: scan(self.connection, name, where) for name, where in tables.items()}
        return [
            inventory.unread_line(collection.name, name, rows, rows_read[name])
            for name, rows in scanned.items()
            if rows_read[name] != rows
        ]

    def close(self) -> None:
        """Close the copy."""
        self._let_go()
        self.connection.close()


def on_own_view(folder: Path, work: Callable[[Store, Part], ResultT], part: Part) -> ResultT:
    """Call `work` in a worker process, with a view of the copy that it keeps for the next part."""
    return work(_own_view(folder), part)


@cache
def _own_view(folder: Path) -> Store:
    return Store(folder)


@contextmanager
def open_store(folder: Path, *, hashed: bool = False) -> Iterator[Store]:
    """Copy the store in `folder` into the temporary folder, and open the copy.

    No row is believed from an index of the file: they are taken out of the copy, or built again
    (`file_indexes`). The digest of a `hashed` store is of the copy before that.
    """
    with scratch_folder("chroma") as temporary:
        copy = copy_store(folder, temporary / "store")
        digest = copy.digest() if hashed else None
        notices = tuple(f"{folder / DATABASE}: {each}." for each in copy.database.notices)
        with closing(Store(copy.folder, notices, digest)) as store:
            yield store
