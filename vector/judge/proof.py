"""What the proof of the vectors is made of, as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stillme.transfer.findings import Finding
from stillme.transfer.inventory.entries import InventoryLine

# Distance and id, nearest first.
Ranked = list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class ExpectedAside:
    """A record that must be in the quarantine: `number` is the label where there is no key.

    `cells` are what the store holds: text, bytes, integers, None, and metadata as a dict.
    """

    key: str | None
    number: int | None
    reason: str
    cells: dict[str, Any]


@dataclass(slots=True)
class ItemProof:
    """What was compared item by item, of a part of a collection or of all of it.

    `asides` are the records that must be in the quarantine, `nearest` the items nearest to each
    query among those that were read, `rows_read` the rows of each table of the store that were.
    """

    items: int = 0
    equal: int = 0
    repaired: int = 0
    documents: int = 0
    metadata_values: int = 0
    exact_vectors: int = 0
    near_vectors: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    asides: list[ExpectedAside] = field(default_factory=list)
    nearest: list[Ranked] = field(default_factory=list)
    rows_read: Counter[str] = field(default_factory=Counter)

    def add(self, other: ItemProof) -> None:
        """Sum the proof of another part; `nearest` is not summed, but merged by `ranking`."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.origins.update(other.origins)
        self.rows_read.update(other.rows_read)
        self.findings += other.findings
        self.seen |= other.seen
        self.asides += other.asides


_SUMMED = (
    "items", "equal", "repaired", "documents", "metadata_values", "exact_vectors", "near_vectors",
)  # fmt: skip


@dataclass(slots=True)
class CollectionProof:
    """What was compared of one collection."""

    name: str
    table: str
    metric: str
    dimension: int | None
    legacy_ids: int = 0
    target_rows: int = 0
    open: int = 0
    accepted: int = 0
    items: ItemProof = field(default_factory=ItemProof)
    queries: int = 0
    queries_equal: int = 0
    recall_at_10: float | None = None
    search: str = ""
    findings: list[Finding] = field(default_factory=list)
    # Rows of the target that the store has not, beyond those that `findings` list.
    more_extra: int = 0
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """How the vectors were compared, and the search: for the report."""
        parts = []
        if self.items.exact_vectors:
            exact = {name: n for name, n in self.items.origins.items() if name in _EXACT}
            parts.append(f"{self.items.exact_vectors:,} vectors bit-identical{_listed(exact)}")
        if self.items.near_vectors:
            what = "within 1e-6 of their norm (segment_cosine holds unit vectors and norms)"
            parts.append(f"{self.items.near_vectors:,} {what}")
        return "; ".join([*parts, self.search] if self.search else parts)


_EXACT = frozenset({"queue", "segment_l2", "segment_ip"})


def _listed(origins: dict[str, int]) -> str:
    named = ", ".join(f"{name} {rows:,}" for name, rows in sorted(origins.items()))
    return f" ({named})" if named else ""


@dataclass(slots=True)
class VectorProof:
    """The whole proof. No findings means equal. `general` findings are of no collection.

    `sha256` and `size` (bytes) are those of the copy that was judged.
    """

    layout: str
    sha256: str
    size: int
    collections: list[CollectionProof] = field(default_factory=list)
    general: list[Finding] = field(default_factory=list)
    inventory: list[InventoryLine] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """Those of all collections."""
        found = [finding for proof in self.collections for finding in proof.findings]
        return found + self.general
