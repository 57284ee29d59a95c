"""What a Chroma folder holds, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vector.names import ledger_name

Scalar = str | int | float | bool
# A list's None is an element without a value, as a NaN leaves it.
Value = Scalar | list[Scalar | None]

DOCUMENT_KEY = "chroma:document"


class Metric(StrEnum):
    """The distance of a collection, under Chroma's names."""

    L2 = "l2"
    COSINE = "cosine"
    IP = "ip"


class Origin(StrEnum):
    """Where a vector was read from, and so how exact it is.

    The queue holds the client's float32 bits; so do the segments of l2 and ip collections. A
    cosine segment holds the unit vector and its norm: their product is within 1e-6 of the
    original (relative to the norm).
    """

    QUEUE = "queue"
    SEGMENT_L2 = "segment_l2"
    SEGMENT_IP = "segment_ip"
    SEGMENT_COSINE = "segment_cosine"


class Reason(StrEnum):
    """Why something in the store is not an item."""

    NO_VECTOR = "no_vector"
    NO_ID = "vector_without_id"
    TRUNCATED = "truncated_segment"
    BAD_SEGMENT = "bad_segment"
    BAD_PICKLE = "bad_pickle"
    WRONG_DIMENSION = "wrong_dimension"
    UNKNOWN_ENCODING = "unknown_encoding"
    INVALID_UTF8 = "invalid_utf8"
    BAD_METADATA = "bad_metadata"


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection."""

    id: str
    name: str
    tenant: str
    database: str
    dimension: int | None
    metric: Metric
    metadata: dict[str, Scalar | None]
    configuration: str | None
    schema: str | None
    vector_segment: str | None
    metadata_segment: str | None

    @property
    def table(self) -> str:
        """The name under which it stands in ledger, quarantine and reports."""
        return ledger_name(self.tenant, self.database, self.name)


@dataclass(slots=True)
class Item:
    """One record of a collection. `vector` is little-endian float32.

    A metadata value of None is a row whose values are all NULL: what Chroma leaves of a NaN.
    """

    embedding_id: str
    document: str | None
    metadata: dict[str, Value | None]
    vector: bytes
    origin: Origin
    created_at: str | None
    seq_id: int

    @property
    def raw(self) -> dict[str, object]:
        """All of it, for the record of one that cannot be loaded."""
        return {
            "embedding_id": self.embedding_id,
            "document": self.document,
            "metadata": self.metadata,
            "origin": self.origin.value,
            "created_at": self.created_at,
            "vector": self.vector,
            "seq_id": self.seq_id,
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not an item: it has lost a part, or a part cannot be read.

    `raw` is what there is of it: texts, numbers, metadata as a dict, the vector as bytes.
    """

    reason: Reason
    collection: str
    embedding_id: str | None
    sentence: str
    raw: dict[str, object]


def as_text(stored: bytes | str) -> str:
    """An id or a text as a text; bytes that are no UTF-8 as lone surrogates."""
    return stored.decode("utf-8", "surrogateescape") if isinstance(stored, bytes) else stored


@dataclass(frozen=True, slots=True)
class Part:
    """The stored ids of a collection with ``after < number <= upto``; None is no bound.

    What is in the queue alone belongs to the last part.
    """

    after: int | None
    upto: int | None


WHOLE = Part(None, None)
