"""The judge's look at the target's tables as wholes.

Structure, rows of no known collection, and each collection's HNSW index: where pgvector is, it is
there and fits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from django.db import connections

from stillme.postgresql.connecting.session import spell_plainly
from stillme.postgresql.statements import fetch_all
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.verify.sides.row_query import read
from stillme.transfer.verify.structure.reference_tables import check_definitions
from stillme.transfer.verify.structure.sequences import check_sequence
from stillme.transfer.verify.structure.table_structure import (
    check_foreign_keys,
    check_structure,
    forbids_reading,
)
from stillme.transfer.verify.tables.index_scans import one_moment
from stillme.transfer.verify.tables.shard_scans import all_wrong_indexes, check_shard_rows
from vector import chroma
from vector.judge.target_reading import full_scans
from vector.models import Collection, Item
from vector.serving import pgvector

_TABLES = (Collection, Item)

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


def structure(alias: str, notices: list[str]) -> list[Finding]:
    """Columns, keys, constraints, indexes and sequences, as the models declare them.

    What was not compared is told in `notices`. Where rows cannot be read as declared, nothing is
    said of definitions and sequences.
    """
    found = [finding for model in _TABLES for finding in check_structure(alias, model)]
    if any(map(forbids_reading, found)):
        return found
    found += check_definitions(alias, list(_TABLES), set(_TABLES), notices)
    # The legacy gave no numbers of its own.
    return [*found, *chain.from_iterable(check_sequence(alias, model, 0) for model in _TABLES)]


def others(alias: str, collections: Sequence[chroma.Collection]) -> Iterator[Finding]:
    """Collections that the store has not, or that stand twice; items of no collection."""
    with full_scans(alias):
        rows = read(alias, 'SELECT id, uuid::text, name FROM "vector"."collections"')
        orphans = list(check_foreign_keys(alias, Item))
    uuids = Counter(row[1] for row in rows)
    known = {collection.id for collection in collections}
    for _, uuid, name in sorted(rows, key=lambda row: (row[2], row[0])):
        if uuid not in known:
            note = "it is not in the store"
            yield Finding(FindingKind.EXTRA_ROW, "vector.collections", name, note=note)
    for uuid, count in uuids.items():
        if count > 1:
            note = f"the collection is there {count} times"
            yield Finding(FindingKind.EXTRA_ROW, "vector.collections:uuid", uuid, note=note)
    for pk, count in Counter(row[0] for row in rows).items():
        if count > 1:
            note = f"{count} collections have this number"
            yield Finding(FindingKind.EXTRA_ROW, "vector.collections:id", str(pk), note=note)
    yield from orphans


def broken_indexes(alias: str) -> Iterator[Finding]:
    """Unique indexes that do not hold what their table holds."""
    for table in ('"vector"."collections"', '"vector"."items"'):
        with one_moment(alias):
            yield from check_shard_rows(alias, table)
            for wrong in all_wrong_indexes(alias, table):
                yield wrong.finding(table.replace('"', ""))


def missing_index(row: Collection, name: str) -> list[Finding]:
    """A finding where the collection of that name can have an index and has none that fits."""
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
    note = f"search in {name} reads every row; import_sqlite --file vector builds it"
    return [Finding(FindingKind.INDEX, where, None, wanted, ", ".join(words) or "no index", note)]


def indexes_of(row: Collection, alias: str) -> list[tuple[str, str, str, str]]:
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


def _is_refused(row: Collection, alias: str) -> bool:
    """Whether a vector has NaN or infinity, which pgvector takes none of."""
    sql = (
        'SELECT 1 FROM "vector"."items" WHERE collection_id = %s AND embedding && '
        "'{NaN,Infinity,-Infinity}'::real[] LIMIT 1"
    )
    return bool(fetch_all(connections[alias], sql, [row.pk]))
