"""The nearest items by brute force, from the store's own vectors: the judge's side of a search.

Distances follow the definitions of Chroma's metrics, in double precision. A rough measure (one
multiplication of matrices) chooses who is measured by the definition.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

# Distance and id, nearest first.
Ranked = list[tuple[float, str]]
TOP = 10
# How many of a batch are measured by the definition: where the rough measure errs, it errs less.
CANDIDATES = 4 * TOP


def nearest(
    metric: str, queries: Sequence[Sequence[float]], keys: Sequence[str], vectors: Sequence[bytes]
) -> list[Ranked]:
    """The items nearest to each query. All vectors are of the queries' size."""
    if not keys or not queries:
        return [[] for _ in queries]
    import numpy

    matrix = numpy.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1).astype("f8")
    wanted = numpy.array(queries)
    best = []
    with numpy.errstate(all="ignore"):
        rough = _rough(metric, matrix, wanted)
        for number, query in enumerate(wanted):
            places = numpy.arange(len(vectors))
            if len(vectors) > CANDIDATES:
                places = numpy.argpartition(rough[:, number], CANDIDATES)[:CANDIDATES]
            measured = _by_definition(metric, matrix[places], query).tolist()
            pairs = zip(measured, places.tolist(), strict=True)
            ranked = [(math.inf if math.isnan(far) else far, keys[n]) for far, n in pairs]
            best.append(heapq.nsmallest(TOP, ranked))
    return best


def merged(one: Sequence[Ranked], two: Sequence[Ranked]) -> list[Ranked]:
    """The nearest of both, query by query."""
    pairs = zip_longest(one, two, fillvalue=())
    return [heapq.nsmallest(TOP, [*first, *second]) for first, second in pairs]


def _rough(metric: str, matrix: Any, queries: Any) -> Any:
    """What orders the rows as the distance to each query does, but for rounding."""
    import numpy

    products = -(matrix @ queries.T)
    if metric != "ip":
        squares = numpy.einsum("ij,ij->i", matrix, matrix)[:, None]
        if metric == "l2":
            products = squares + 2 * products
        else:
            products = numpy.where(squares == 0, 0.0, products / numpy.sqrt(squares))
    return numpy.where(numpy.isnan(products), numpy.inf, products)


def _by_definition(metric: str, rows: Any, query: Any) -> Any:
    import numpy

    if metric == "l2":
        return ((rows - query) ** 2).sum(axis=1)
    products = rows @ query
    if metric == "ip":
        return 1 - products
    norms = numpy.sqrt((rows**2).sum(axis=1)) * numpy.sqrt(query @ query)
    return 1 - numpy.where(norms == 0, 0.0, products / norms)
