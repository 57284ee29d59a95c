"""Search, judged: the ten nearest by brute force in the store against the ten of the target.

The store's side is computed here from its own vectors; the target's side is asked of PostgreSQL
in SQL of this module's own. Then what the HNSW index finds is held against the exact ten.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db import DataError, connections, transaction

from stillme.transfer.postgresql.copy import execute, fetch_all
from vector import chroma, models
from vector.chroma.optional import numpy_if_installed
from vector.expectation import distances

TOP = 10
# Multiplications that may be spent on brute force without numpy: some ten seconds.
BUDGET = 200_000_000
CLOSE = 1e-4
Ranked = list[tuple[float, str]]
_OPERATOR = {"l2": "<->", "cosine": "<=>", "ip": "<#>"}


@dataclass(slots=True)
class SearchProof:
    """What the comparison came to."""

    queries: int = 0
    equal: int = 0
    recall: float | None = None
    sentence: str = ""
    differences: list[str] = field(default_factory=list)


def compare(
    store: chroma.Store,
    collection: chroma.Collection,
    row: models.Collection,
    samples: Sequence[bytes],
    count: int,
    known: set[str],
) -> SearchProof:
    """Search both sides for some queries made of the collection's own vectors."""
    proof = SearchProof()
    queries = list(_queries(samples, _affordable(count, len(known), row.dimension or 0)))
    if not queries:
        proof.sentence = "nothing to search"
        return proof
    alias = row._state.db or "default"
    legacy = _nearest_in_store(store, collection, queries, known)
    pgvector = bool(
        fetch_all(connections[alias], "SELECT 1 FROM pg_extension WHERE extname = 'vector'")
    )
    indexed = pgvector and _has_index(alias, row)
    hits, wanted = 0, 0
    for number, (query, expected) in enumerate(zip(queries, legacy, strict=True), 1):
        found = _exact_in_target(alias, row, query, pgvector=pgvector)
        proof.queries += 1
        if _same(expected, found):
            proof.equal += 1
        else:
            what = f"query {number} in {row.name}: the ten nearest differ"
            proof.differences.append(f"{what}: {_names(expected)} against {_names(found)}")
        if indexed:
            near = _pgvector_nearest(alias, row, query, indexed=True)
            wanted += len(found)
            hits += len({key for _, key in near} & {key for _, key in found})
    if wanted:
        proof.recall = hits / wanted
    proof.sentence = _sentence(proof)
    return proof


def _has_index(alias: str, row: models.Collection) -> bool:
    sql = (
        "SELECT 1 FROM pg_indexes WHERE schemaname = 'vector' AND tablename = 'items' "
        "AND indexdef LIKE '%%USING hnsw%%' AND indexdef LIKE %s"
    )
    return bool(fetch_all(connections[alias], sql, [f"%WHERE (collection_id = {row.pk})"]))


def _sentence(proof: SearchProof) -> str:
    exact = f"{proof.equal} of {proof.queries} exact searches equal"
    if proof.recall is None:
        return f"{exact}; there is no index to measure"
    return f"{exact}; recall@{TOP} of the index {proof.recall:.3f}"


def _affordable(count: int, rows: int, dimension: int) -> int:
    if numpy_if_installed() is not None:
        return count
    return max(1, min(count, BUDGET // max(1, rows * dimension)))


def _queries(samples: Sequence[bytes], count: int) -> Iterator[list[float]]:
    """Half-way points of two items: near something, equal to nothing."""
    finite = [v for v in (array("f", s) for s in samples) if all(abs(x) < 1e30 for x in v)]
    for one, two in islice(zip(finite[::2], finite[1::2] or finite, strict=False), count):
        if len(one) == len(two):
            yield array("f", [(x + y) / 2 for x, y in zip(one, two, strict=True)]).tolist()


def _nearest_in_store(
    store: chroma.Store,
    collection: chroma.Collection,
    queries: list[list[float]],
    known: set[str],
) -> list[Ranked]:
    best: list[Ranked] = [[] for _ in queries]
    records = store.items(collection)
    while batch := list(islice(records, 5_000)):
        items = [r for r in batch if isinstance(r, chroma.Item) and r.embedding_id in known]
        keys = [item.embedding_id for item in items]
        measured = _measure(collection.metric.value, queries, [item.vector for item in items])
        for number, values in enumerate(measured):
            ranked = zip(values, keys, strict=True)
            best[number] = heapq.nsmallest(TOP, [*best[number], *ranked])
    return best


def _measure(
    metric: str, queries: list[list[float]], vectors: list[bytes]
) -> Iterator[list[float]]:
    numpy = numpy_if_installed()
    if numpy is None or not vectors:
        plain = [array("f", v) for v in vectors]
        for query in queries:
            raw = distances(metric, query, plain)
            yield [math.inf if math.isnan(far) else far for far in raw]
        return
    matrix: Any = numpy.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
    matrix = matrix.astype("f8")
    with numpy.errstate(all="ignore"):
        for query in queries:
            wanted = numpy.array(query)
            if metric == "l2":
                result = ((matrix - wanted) ** 2).sum(axis=1)
            else:
                result = matrix @ wanted
                if metric == "cosine":
                    norms = numpy.sqrt((matrix**2).sum(axis=1)) * numpy.sqrt(wanted @ wanted)
                    result = numpy.where(norms == 0, 0.0, result / norms)
                result = 1 - result
            yield numpy.where(numpy.isnan(result), numpy.inf, result).tolist()


def _exact_in_target(
    alias: str, row: models.Collection, query: list[float], *, pgvector: bool
) -> Ranked:
    if pgvector:
        try:
            return _pgvector_nearest(alias, row, query, indexed=False)
        except DataError:
            # pgvector takes no NaN or infinity, which real[] holds.
            pass
    return _plain_nearest(alias, row, query)


def _pgvector_nearest(
    alias: str, row: models.Collection, query: list[float], *, indexed: bool
) -> Ranked:
    distance = f"embedding::vector({row.dimension}) {_OPERATOR[row.metric]} %s::vector"
    # The sum keeps the index out: it gives the order of the bare distance only.
    order = distance if indexed else f"({distance}) + 0"
    with transaction.atomic(using=alias):
        if indexed:
            execute(connections[alias], "SET LOCAL hnsw.ef_search = 100")
        found = fetch_all(
            connections[alias],
            f'SELECT {distance}, embedding_id FROM "vector"."items" '
            f"WHERE collection_id = {int(row.pk)} ORDER BY {order} LIMIT {TOP}",
            [str(query)] * 2,
        )
    return sorted((_chroma_distance(row.metric, float(far)), key) for far, key in found)


def _chroma_distance(metric: str, distance: float) -> float:
    if metric == "l2":
        return distance * distance
    if metric == "ip":
        return 1 + distance
    return 1.0 if distance != distance else distance


def _plain_nearest(alias: str, row: models.Collection, query: list[float]) -> Ranked:
    """Brute force in the target: fetch and measure, as nothing there can."""
    rows = fetch_all(
        connections[alias],
        'SELECT embedding_id, embedding FROM "vector"."items" WHERE collection_id = %s',
        [row.pk],
    )
    vectors = [array("f", embedding) for _, embedding in rows]
    raw = distances(row.metric, query, vectors)
    measured = [math.inf if math.isnan(far) else far for far in raw]
    return heapq.nsmallest(TOP, zip(measured, [key for key, _ in rows], strict=True))


def _same(expected: Ranked, found: Ranked) -> bool:
    """The same ids in the same order; ids may change places where the distances are one."""
    if [key for _, key in expected] == [key for _, key in found]:
        return True
    return len(expected) == len(found) and all(
        abs(one - two) <= CLOSE * max(1.0, abs(one))
        for (one, _), (two, _) in zip(expected, found, strict=True)
    )


def _names(ranked: Ranked) -> str:
    return ", ".join(f"{key} ({far:.4g})" for far, key in ranked)
