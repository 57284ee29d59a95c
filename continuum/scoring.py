"""What makes a memory item surprising, and what follows for its tier: pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

_WORD = re.compile(r"\b[a-z]{4,}\b")

MIDDLING = 0.5
FULL_RETRIEVAL = 100.0
STRONG_OVERLAP = 0.8
WEAK_OVERLAP = 0.3


@dataclass(frozen=True, slots=True)
class Standing:
    """The figures of an item that decide about its tier."""

    tier: str
    surprise_score: float
    retrieval_count_7d: int
    validator_overlap: float


@dataclass(frozen=True, slots=True)
class Move:
    """A step from one tier to another: the audit's reason, and the phrase for the caller."""

    from_tier: str
    to_tier: str
    reason: str
    phrase: str


def rarity(content: str, known_words: Iterable[str] | None = None) -> float:
    """How rare the words of a text are: within it, or against words already known."""
    words = _WORD.findall(content.lower()) if content else []
    if not words:
        return 0.0
    counts = Counter(words)
    if known_words is None:
        once = sum(1 for count in counts.values() if count == 1)
        return min(1.0, once / len(words) * 2.0)
    known = set(known_words)
    return sum(1 for word in counts if word not in known) / len(counts)


def novelty(
    vector: Sequence[float] | None, centroids: Sequence[Sequence[float]] | None = None
) -> float:
    """Cosine distance of a vector from the mean of the centroids, from 0 to 1.

    Raises ValueError for vectors of different lengths.
    """
    if _is_nothing(vector):
        return 0.0
    if _is_nothing(centroids):
        return MIDDLING
    assert vector is not None
    assert centroids is not None
    centre = [sum(column) / len(centroids) for column in zip(*centroids, strict=True)]
    dot = sum(a * b for a, b in zip(vector, centre, strict=True))
    lengths = hypot(*vector) * hypot(*centre)
    if lengths == 0:
        return MIDDLING
    return clamp(1.0 - dot / lengths)


def _is_nothing(values: Any) -> bool:
    """Whether a list is empty or none; an array of numpy's has no truth of its own."""
    return len(values) == 0 if hasattr(values, "__len__") else not values


def surprise(rarity: float, novelty: float, frequency: float, overlap: float) -> float:
    """The weighted sum of the four figures."""
    return 0.3 * rarity + 0.3 * novelty + 0.2 * frequency + 0.2 * overlap


def clamp(value: float) -> float:
    """The nearest number from 0 to 1."""
    return max(0.0, min(1.0, value))


def promotion(standing: Standing, threshold: float) -> Move | None:
    """The promotion an item has earned. Nothing is promoted to L3."""
    if standing.surprise_score < threshold:
        return None
    score = f"surprise_score={standing.surprise_score:.3f} >= {threshold}"
    if standing.tier == "L0" and standing.retrieval_count_7d > 0:
        return Move(
            "L0",
            "L1",
            f"{score} and retrieval_count_7d={standing.retrieval_count_7d} > 0",
            "High surprise score and active retrieval",
        )
    if standing.tier == "L1" and standing.validator_overlap >= STRONG_OVERLAP:
        return Move(
            "L1",
            "L2",
            f"{score} and validator_overlap={standing.validator_overlap:.3f} >= {STRONG_OVERLAP}",
            "High surprise score and strong validator evidence",
        )
    return None


def demotion(standing: Standing, threshold: float) -> Move | None:
    """The demotion an item is due. L3 is never demoted."""
    unused = standing.retrieval_count_7d == 0
    if standing.tier == "L2" and (unused or standing.validator_overlap < WEAK_OVERLAP):
        overlap = f"validator_overlap={standing.validator_overlap:.3f} < {WEAK_OVERLAP}"
        reason = "retrieval_count_7d=0" if unused else overlap
        return Move("L2", "L1", reason, reason)
    if standing.tier == "L1" and (standing.surprise_score < threshold or unused):
        score = f"surprise_score={standing.surprise_score:.3f} < {threshold}"
        reason = score if standing.surprise_score < threshold else "retrieval_count_7d=0"
        return Move("L1", "L0", reason, reason)
    return None
