"""The nearest items by brute force, from the store's own vectors: the judge's side of a search.

Distances follow the definitions of Chroma's metrics, in double precision. With numpy a rough
measure (one multiplication of matrices) chooses who is measured by the definition.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from vector.chroma.segment import numpy_if_installed
from vector.judge.expectation import distances
from vector.judge.proof import Ranked

TOP = 10
# How many of a batch are measured by the definition: where the rough measure errs, it errs less.
CANDIDATES = 4 * TOP


class Nearest:
    """The items nearest to each query among all that it is shown."""

    def __init__(self, metric: str, queries: list[list[float]]) -> None:
        self.metric, self.queries = metric, queries
        self.best: list[Ranked] = [[] for _ in queries]

    def look_at(self, keys: list[str], vectors: list[bytes]) -> None:
        """Measure these too. All vectors are of the queries' size."""
        if not keys or not self.queries:
            return
        numpy = numpy_if_installed()
        found = self._measure_plain(vectors) if numpy is None else self._measure(numpy, vectors)
        for number, (places, measured) in enumerate(found):
            ranked = [(far, keys[n]) for n, far in zip(places, measured, strict=True)]
            self.best[number] = heapq.nsmallest(TOP, [*self.best[number], *ranked])

    def _measure_plain(self, vectors: list[bytes]) -> Iterator[tuple[Sequence[int], list[float]]]:
        plain = [array("f", v) for v in vectors]
        for query in self.queries:
            measured = [_or_inf(far) for far in distances(self.metric, query, plain)]
            yield range(len(plain)), measured

    def _measure(
        self, numpy: Any, vectors: list[bytes]
    ) -> Iterator[tuple[Sequence[int], list[float]]]:
        """A multiplication of matrices says who may be near, the definition who is and how far."""
        matrix = numpy.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1).astype("f8")
        wanted = numpy.array(self.queries)
        with numpy.errstate(all="ignore"):
            rough = _rough(numpy, self.metric, matrix, wanted)
            for number, query in enumerate(wanted):
                places = numpy.arange(len(vectors))
                if len(vectors) > CANDIDATES:
                    places = numpy.argpartition(rough[:, number], CANDIDATES)[:CANDIDATES]
                measured = _by_definition(numpy, self.metric, matrix[places], query)
                yield places.tolist(), [_or_inf(far) for far in measured.tolist()]


def _rough(numpy: Any, metric: str, matrix: Any, queries: Any) -> Any:
    """What orders the rows as the distance to each query does, but for rounding."""
    products = -(matrix @ queries.T)
    if metric != "ip":
        squares = numpy.einsum("ij,ij->i", matrix, matrix)[:, None]
        if metric == "l2":
            products = squares + 2 * products
        else:
            products = numpy.where(squares == 0, 0.0, products / numpy.sqrt(squares))
    return numpy.where(numpy.isnan(products), numpy.inf, products)


def _by_definition(numpy: Any, metric: str, rows: Any, query: Any) -> Any:
    if metric == "l2":
        return ((rows - query) ** 2).sum(axis=1)
    products = rows @ query
    if metric == "ip":
        return 1 - products
    norms = numpy.sqrt((rows**2).sum(axis=1)) * numpy.sqrt(query @ query)
    return 1 - numpy.where(norms == 0, 0.0, products / norms)


def _or_inf(distance: float) -> float:
    return math.inf if math.isnan(distance) else distance


def merge(queries: list[list[float]], found: Iterable[list[Ranked]]) -> list[Ranked]:
    """The nearest of all parts."""
    best: list[Ranked] = [[] for _ in queries]
    for part in found:
        best = [heapq.nsmallest(TOP, [*one, *two]) for one, two in zip(best, part, strict=True)]
    return best
