"""Nearest neighbours: through the HNSW index where there is one, else exactly.

Distances are Chroma's: squared for l2, 1 - cosine, 1 - inner product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import DataError, connections, transaction
from django.db.models import F, FloatField, Func, QuerySet, Value

from stillme.postgresql.statements import set_local
from stillme.services.connections import borrows_connection
from vector.fields import EmbeddingField
from vector.models import Collection, Item
from vector.serving import indexes
from vector.serving import pgvector as extension
from vector.serving.given_values import VectorError
from vector.serving.pgvector import Pgvector

EF_SEARCH = 100
MOST_EF_SEARCH = 1_000
_OPERATOR = {"l2": "<->", "cosine": "<=>", "ip": "<#>"}
# Without pgvector: sums over the two arrays side by side, in double precision.
_SUMS = {
    "l2": "sum((a::float8 - b) * (a::float8 - b))",
    "ip": "1 - sum(a::float8 * b)",
    "cosine": (
        "1 - sum(a::float8 * b) / nullif(sqrt(sum(a::float8 * a)) * sqrt(sum(b::float8 * b)), 0)"
    ),
}


class _PlainDistance(Func):
    """The distance in SQL that any PostgreSQL understands."""

    output_field = FloatField()

    def __init__(self, vector: Sequence[float], metric: str) -> None:
        template = f"(SELECT {_SUMS[metric]} FROM unnest(%(expressions)s) AS pair(a, b))"
        value = Value(list(vector), output_field=EmbeddingField())
        super().__init__(F("embedding"), value, template=template)


def _pgvector_distance(
    collection: Collection, vector: Sequence[float], pgvector: Pgvector, *, exact: bool = False
) -> Any:
    """The distance as an expression; the index cannot give the order of an exact one."""
    # Spelled as in the index, or PostgreSQL does not see that they belong together.
    template = f"(%(expressions)s)::{pgvector.vector(collection.dimension)}"
    text = f"[{','.join(repr(float(x)) for x in vector)}]"
    far = Func(
        Func(F("embedding"), template=template),
        Func(Value(text), template=template),
        template="(%(expressions)s)",
        arg_joiner=f" {pgvector.operator(_OPERATOR[collection.metric])} ",
        output_field=FloatField(),
    )
    return far + Value(0.0) if exact else far


def nearest(
    items: QuerySet[Item],
    collection: Collection,
    vector: Sequence[float],
    count: int,
    *,
    exact: bool = False,
    filtered: bool = False,
) -> list[tuple[Item, float]]:
    """The `count` items of `items` nearest to `vector`, with their distances.

    Where the index comes back with too few, the search is done again exactly: a filter leaves some
    out, and so do deleted items that are not yet vacuumed. `filtered` says there is a filter.
    """
    items = items.using(items.db)  # each look at `db` may name another replica
    pgvector = extension.usable(items.db)
    if pgvector is not None:
        goes_on = filtered and pgvector.version >= indexes.GOES_ON
        distance = partial(_pgvector_distance, collection, vector, pgvector)
        try:
            found = _with_pgvector(items, distance, count, exact, goes_on)
            return [(item, _from_pgvector(collection, far)) for item, far in found]
        except DataError:
            # pgvector takes no NaN or infinity, which an imported real[] may hold.
            pass
    plain = _PlainDistance(vector, collection.metric)
    found = _rows(items, plain, F("distance").asc(nulls_last=True), count)
    # A zero vector has no direction: Chroma's cosine distance to it is 1.
    return [(item, 1.0 if far is None else float(far)) for item, far in found]


def _with_pgvector(
    items: QuerySet[Item], distance: Callable[..., Any], count: int, exact: bool, goes_on: bool
) -> list[tuple[Item, Any]]:
    if not exact and count <= MOST_EF_SEARCH:
        with transaction.atomic(using=items.db):
            effort: dict[str, str | int | None] = {"hnsw.ef_search": max(EF_SEARCH, count)}
            if goes_on:
                effort["hnsw.iterative_scan"] = "strict_order"
            set_local(connections[items.db], effort)
            found = _rows(items, distance(), F("distance").asc(), count)
        if len(found) >= count:
            return found
    return _rows(items, distance(exact=True), F("distance").asc(), count)


@borrows_connection
def distance_of(collection: Collection, vector: Sequence[float], *, exact: bool = False) -> Any:
    """pgvector's distance as an expression, for queries of one's own through the ORM.

    `L2` is the plain distance, `IP` the negative inner product, as pgvector has them. The index
    cannot give the order of an `exact` one. Raises VectorError where pgvector cannot be used.
    """
    pgvector = extension.usable(collection._state.db or "default")
    if pgvector is None:
        raise VectorError(
            "This database has no pgvector that the role may use: services.query searches without."
        )
    return _pgvector_distance(collection, vector, pgvector, exact=exact)


def _rows(items: QuerySet[Item], distance: Any, order: Any, count: int) -> list[tuple[Item, Any]]:
    ranked: Any = items.annotate(distance=distance).order_by(order)[:count]
    return [(item, item.distance) for item in ranked]


def _from_pgvector(collection: Collection, distance: float) -> float:
    if collection.metric == Collection.Metric.L2:
        return distance * distance
    if collection.metric == Collection.Metric.IP:
        # pgvector's operator gives the negative inner product.
        return 1 + distance
    return 1.0 if distance != distance else distance
