"""What the proof of a collection is made of, as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.verify.result import TableProof
from stillme.visible import counted
from vector.judge.nearest import Ranked, merged
from vector.names import FILE, target_name


@dataclass(frozen=True, slots=True)
class ExpectedAside:
    """A record that must be in the quarantine: `number` is the label where there is no key.

    `cells` are what the store holds: text, bytes, integers, None, and metadata as a dict.
    """

    key: str | None
    number: int | None
    reason: str
    column: str
    cells: dict[str, Any]


@dataclass(slots=True)
class CollectionProof(TableProof):
    """What was compared of a collection, or of a part of it: `compared` items, `by_cell` equal.

    `exact_vectors` were compared bit by bit, `near_vectors` within 1e-6 of their norm; `origins`
    says where they were read. `asides` are the records that must be in the quarantine, `nearest`
    the items nearest to each query among those that were read, `rows_read` the rows of each table
    of the store that were. `search` says what came of the queries.
    """

    exact_vectors: int = 0
    near_vectors: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    asides: list[ExpectedAside] = field(default_factory=list)
    nearest: list[Ranked] = field(default_factory=list)
    rows_read: Counter[str] = field(default_factory=Counter)
    queries: int = 0
    queries_equal: int = 0
    recall_at_10: float | None = None
    search: str = ""

    def add(self, other: TableProof) -> None:
        """Add the proof of a part."""
        assert isinstance(other, CollectionProof)
        # By its name: the class that dataclass makes for its slots is not the one `super()` means.
        TableProof.add(self, other)
        self.add_figures(other, ("compared", "exact_vectors", "near_vectors", "asides"))
        self.origins.update(other.origins)
        self.rows_read.update(other.rows_read)
        self.seen |= other.seen
        self.nearest = merged(self.nearest, other.nearest)

    def find(
        self, kind: FindingKind, where: str, key: str | None, *values: object, note: str = ""
    ) -> None:
        """Add a finding at `where` of the schema; `values` are what was expected and found."""
        shown = [None if value is None else str(value) for value in values]
        expected, found = shown or (None, None)
        self.findings.add(Finding(kind, f"vector.{where}", key, expected, found, note))

    @property
    def words(self) -> str:
        """How the vectors were compared, and the search: for the report."""
        parts = []
        if self.exact_vectors:
            exact = [name for name in sorted(self.origins) if name in _EXACT]
            named = ", ".join(f"{name} {self.origins[name]:,}" for name in exact)
            parts.append(f"{counted(self.exact_vectors, 'vector')} bit-identical ({named})")
        if self.near_vectors:
            what = "within 1e-6 of their norm (segment_cosine holds unit vectors and norms)"
            parts.append(f"{self.near_vectors:,} {what}")
        return "; ".join([*parts, self.search] if self.search else parts)


_EXACT = frozenset({"queue", "segment_l2", "segment_ip"})


def empty_proof(table: str) -> CollectionProof:
    """A proof to which parts are added."""
    return CollectionProof(FILE, table, target_name(table))
