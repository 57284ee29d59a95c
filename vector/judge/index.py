"""The judge's look at a collection's HNSW index: where pgvector is, it is there and fits."""

from __future__ import annotations

import re

from django.db import connections

from stillme.postgresql.connecting.session import spell_plainly
from stillme.postgresql.statements import fetch_all
from stillme.transfer.findings import Finding, FindingKind
from vector import models
from vector.serving import pgvector

# pgvector's limit for an index over `vector`.
_MOST_DIMENSIONS = 2_000
_OPERATORS = {"l2": "vector_l2_ops", "cosine": "vector_cosine_ops", "ip": "vector_ip_ops"}
# An expression that is written so, whatever schema pgvector is in.
_PLAIN = re.compile(r'\(?\(?embedding\)?::(?:"(?:[^"]|"")+"\.|\w+\.)?(vector\(\d+\))\)?')
_FOUND = """
    SELECT a.amname, o.opcname, pg_get_expr(i.indexprs, i.indrelid),
           i.indisvalid AND i.indisready AND i.indislive,
           i.indnatts = 1 AND o.opcnamespace = e.extnamespace
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_am a ON a.oid = c.relam
      JOIN pg_opclass o ON o.oid = i.indclass[0]
      LEFT JOIN pg_extension e ON e.extname = 'vector'
     WHERE i.indrelid = to_regclass('vector.items')
       AND pg_get_expr(i.indpred, i.indrelid) = %s
"""


def missing(row: models.Collection) -> list[Finding]:
    """A finding where the collection can have an index and has none, or one that does not fit."""
    alias = row._state.db or "default"
    # Before pgvector 0.5 there was no HNSW.
    hnsw = "SELECT 1 FROM pg_am WHERE amname = 'hnsw'"
    dimension = row.dimension
    if not dimension or dimension > _MOST_DIMENSIONS or row.metric not in _OPERATORS:
        return []
    if pgvector.usable(alias) is None or not fetch_all(connections[alias], hnsw):
        return []
    expected = ("hnsw", _OPERATORS[row.metric], f"vector({dimension})", "")
    found = indexes_of(row, alias)
    if expected in found or _is_refused(row, alias):
        return []
    words = [" ".join(each).strip() for each in found]
    where = f"vector.items:items_hnsw_{row.pk}"
    wanted = " ".join(expected).strip()
    note = f"search in {row.name} reads every row; import_sqlite --file vector builds it"
    return [Finding(FindingKind.INDEX, where, None, wanted, ", ".join(words) or "no index", note)]


def indexes_of(row: models.Collection, alias: str) -> list[tuple[str, str, str, str]]:
    """Method, operators, type and state of each index over the collection's items."""
    spell_plainly(connections[alias])
    found = fetch_all(connections[alias], _FOUND, [f"(collection_id = {row.pk})"])
    return [_described(*each) for each in found]


def _described(
    method: str, operators: str, expression: str | None, ready: bool, usual: bool
) -> tuple[str, str, str, str]:
    """What an index is made of; the expression as a type where it is the plain cast."""
    plain = _PLAIN.fullmatch(expression or "")
    what = plain[1] if plain else f"over {expression or 'a column'}"
    state = "" if ready and usual else "(invalid)" if not ready else "(of other operators)"
    return method, operators, what, state


def _is_refused(row: models.Collection, alias: str) -> bool:
    """Whether a vector has NaN or infinity, which pgvector takes none of."""
    sql = (
        'SELECT 1 FROM "vector"."items" WHERE collection_id = %s AND embedding && '
        "'{NaN,Infinity,-Infinity}'::real[] LIMIT 1"
    )
    return bool(fetch_all(connections[alias], sql, [row.pk]))
