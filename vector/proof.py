"""What the proof of the vectors is made of, as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from stillme.transfer.findings import Finding

# Distance and id, nearest first.
Ranked = list[tuple[float, str]]
# Key, label where there is no key, reason.
ExpectedAside = tuple[str | None, int | None, str]


@dataclass(slots=True)
class ItemProof:
    """What was compared item by item, of a part of a collection or of all of it.

    `asides` are the records that must be in the quarantine, `nearest` the items nearest to each
    query among those that were read.
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

    def add(self, other: ItemProof) -> None:
        """Sum the proof of another part; `nearest` is not summed, but merged by `ranking`."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.origins.update(other.origins)
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
    """The whole proof. No findings means equal. `strangers`: of no collection of the store.

    `sha256` and `size` (bytes) are those of the copy that was judged.
    """

    layout: str
    sha256: str
    size: int
    collections: list[CollectionProof] = field(default_factory=list)
    strangers: list[Finding] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """Those of all collections."""
        found = [finding for proof in self.collections for finding in proof.findings]
        return found + self.strangers
