"""Search, judged: the ten nearest by brute force in the store against the ten of the target.

The store's side is computed here from its own vectors; the target's side is asked of PostgreSQL
in SQL of this module's own. Then what the HNSW index finds is held against the exact ten.
"""

from __future__ import annotations

import math
from array import array
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from django.db import DataError, connections, transaction

from stillme.postgresql.statements import fetch_all, set_local
from stillme.transfer.findings import FindingKind
from stillme.transfer.verify.sides.row_query import read
from vector import chroma, models
from vector.judge.nearest import TOP, Ranked
from vector.judge.proof import CollectionProof
from vector.judge.whole_tables import indexes_of
from vector.serving import pgvector as extension
from vector.serving.pgvector import Pgvector

CLOSE = 1e-4
# Squares of a norm between these are far from both ends of float32 (1e-38 and 3e38).
LEAST_NORM, MOST_NORM = 1e-15, 1e15
_OPERATOR = {"l2": "<->", "cosine": "<=>", "ip": "<#>"}


@dataclass(slots=True)
class Answers:
    """What the target answers to each query, exactly and through the index; why not, or ''."""

    exact: list[Ranked] = field(default_factory=list)
    indexed: list[Ranked] = field(default_factory=list)
    why_not: str = ""


def ask_target(row: models.Collection, queries: list[list[float]]) -> Answers:
    """Ask the target the queries. Without pgvector nothing there could answer them."""
    alias = row._state.db or "default"
    pgvector = extension.usable(alias)
    if not queries:
        return Answers(why_not="nothing to search")
    if pgvector is None:
        return Answers(why_not="search not compared: there is no pgvector")
    ask = partial(_pgvector_nearest, alias, pgvector, row)
    answers = Answers()
    # pgvector takes no NaN or infinity, which real[] holds.
    with suppress(DataError):
        if not _is_beyond(alias, pgvector, row, queries):
            answers.exact = [ask(query, indexed=False) for query in queries]
    if not answers.exact:
        answers.why_not = "search not compared: pgvector's float32 cannot order some vectors"
    elif any(method == "hnsw" for method, *_ in indexes_of(row, alias)):
        answers.indexed = [ask(query, indexed=True) for query in queries]
    return answers


def compare(proof: CollectionProof, name: str, answers: Answers) -> None:
    """Hold the target's answers against the nearest in the store, and the index's against both."""
    proof.search = answers.why_not
    if answers.why_not:
        return
    for number, (expected, found) in enumerate(zip(proof.nearest, answers.exact, strict=True), 1):
        proof.queries += 1
        if _same(expected, found):
            proof.queries_equal += 1
        else:
            what = f"query {number} in {name}: the ten nearest differ"
            note = f"{what}: {_names(expected)} against {_names(found)}"
            proof.find(FindingKind.VALUE, "items:embedding", None, note=note)
    proof.search = f"{proof.queries_equal} of {proof.queries} exact searches equal; "
    if wanted := sum(map(len, answers.exact)) if answers.indexed else 0:
        pairs = zip(answers.exact, answers.indexed, strict=True)
        hits = sum(len(_keys(one) & _keys(two)) for one, two in pairs)
        proof.recall_at_10 = hits / wanted
        proof.search += f"recall@{TOP} of the index {proof.recall_at_10:.3f}"
    else:
        proof.search += "there is no index to measure"


def _keys(ranked: Ranked) -> set[str]:
    return {key for _, key in ranked}


def choose_queries(
    store: chroma.Store, collection: chroma.Collection, rows: int, count: int
) -> list[list[float]]:
    """Points on the way from one item to another, from all over the collection.

    Near something and equal to nothing, as questions are. Half-way between two items is nowhere:
    there an index of 100,000 vectors that finds 0.99 of what is asked for found 0.6.
    """
    parts = store.parts(collection, max(1, rows // (2 * count)))
    each = -(-2 * count // len(parts))
    found: list[array[float]] = []
    for part in parts[:: max(1, len(parts) // (2 * count))]:
        with closing(store.items(collection, part)) as records:
            items = (r for r in records if isinstance(r, chroma.Item))
            found += [array("f", item.vector) for item in islice(items, each)]
    finite = [v for v in found if all(abs(x) < 1e30 for x in v)]
    pairs = zip(finite[::2], finite[1::2] or finite, strict=False)
    return [
        array("f", [(7 * x + y) / 8 for x, y in zip(one, two, strict=True)]).tolist()
        for one, two in islice(pairs, count)
        if len(one) == len(two)
    ]


def _is_beyond(
    alias: str, pgvector: Pgvector, row: models.Collection, queries: list[list[float]]
) -> bool:
    """Whether pgvector, which sums squares in float32, cannot order the vectors.

    Where squares leave float32 its distances are infinite, zero or NaN, and the true ones tell the
    vectors apart. A zero vector is at NaN by cosine, and at 1 to Chroma. `vector_norm` sums in
    double precision.
    """
    norms = [math.sqrt(sum(x * x for x in query)) for query in queries]
    zero_is_fine = row.metric != "cosine"
    if not all((zero_is_fine and not n) or LEAST_NORM <= n <= MOST_NORM for n in norms):
        return True
    norm = f"{pgvector.named('vector_norm')}(embedding::{pgvector.vector(row.dimension)})"
    with transaction.atomic(using=alias):
        found = fetch_all(
            connections[alias],
            f'SELECT 1 FROM "vector"."items" WHERE collection_id = {int(row.pk)} '
            f"AND ({norm} <> 0 OR NOT %s) AND {norm} NOT BETWEEN {LEAST_NORM} AND {MOST_NORM} "
            "LIMIT 1",
            [zero_is_fine],
        )
    return bool(found)


def _pgvector_nearest(
    alias: str, pgvector: Pgvector, row: models.Collection, query: list[float], *, indexed: bool
) -> Ranked:
    between = pgvector.operator(_OPERATOR[row.metric])
    size = pgvector.vector(row.dimension)
    distance = f"embedding::{size} {between} %s::{pgvector.vector(None)}"
    # The sum keeps the index out: it gives the order of the bare distance only.
    order = distance if indexed else f"({distance}) + 0"
    with transaction.atomic(using=alias):
        if indexed:
            set_local(connections[alias], {"hnsw.ef_search": 100})
        found = read(
            alias,
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
