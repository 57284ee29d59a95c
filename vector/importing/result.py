"""What became of one collection, or of a part of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from stillme.transfer.records.outcome import Outcome
from stillme.transfer.steps.loading.import_options import TableResult
from vector.chroma import Collection
from vector.names import FILE


@dataclass(slots=True)
class CollectionResult(TableResult):
    """`origins` counts where the vectors were read, `index` says what came of the index.

    `seen` are the ids that were read; `aside_keys` those that were set aside, and the labels (int)
    of vectors without an id. `rows_read` counts the rows of each table of the store.
    """

    origins: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    aside_keys: set[str | int | None] = field(default_factory=set)
    rows_read: Counter[str] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)
    index: str = ""

    def add(self, part: CollectionResult) -> None:
        """Sum the result of a part into this one."""
        self.outcome.add(part.outcome)
        self.chunks += part.chunks
        self.origins.update(part.origins)
        self.rows_read.update(part.rows_read)
        self.seen |= part.seen
        self.aside_keys |= part.aside_keys

    def has(self, key: str | int | None) -> bool:
        """Whether the store has an item of this id, or a vector of this number."""
        return key in self.seen or key in self.aside_keys


def empty_result(collection: Collection) -> CollectionResult:
    """A result to which parts are added."""
    return CollectionResult(FILE, collection.table, "vector.items", Outcome(), 0.0)
