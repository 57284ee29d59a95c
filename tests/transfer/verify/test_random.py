"""Random single-cell corruptions: every real one is found and located, nothing else is said."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer import kinds
from stillme.transfer.findings import FindingKind
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.mapping import split_table
from stillme.transfer.registry import legacy_models
from tests.campaigns import SEED, size
from tests.transfer.load.support import query
from tests.transfer.verify.support import judge, undone

AT_ONCE = 30
TABLES = sorted(model._meta.db_table for model in legacy_models())

# Kind -> name -> the corrupted cell as SQL over {c}; a corruption that leaves the cell equal by
# PostgreSQL's own `IS DISTINCT FROM` on its text is no difference, and must not be found.
CORRUPT: dict[type[kinds.Kind], dict[str, str]] = {
    kinds.Text: {
        "trailing space": "{c} || ' '",
        "leading space": "' ' || {c}",
        "NFD": "normalize({c}, NFD)",
        "NFC": "normalize({c}, NFC)",
        "upper case": "upper({c})",
        "lower case": "lower({c})",
        "NULL": "NULL",
        "empty": "''",
        "the word null": "'null'",
        "one less": "left({c}, -1)",
        "no-break space": "replace({c}, ' ', U&'\\00A0')",
        "zero-width": "{c} || U&'\\200B'",
    },
    kinds.Real: {
        "last bit": "CASE WHEN {c} = 0 THEN 5e-324 ELSE {c} * (1 + 2.3e-16::float8) END",
        "float4": "{c}::float4::float8",
        "two digits": "round({c}::numeric, 2)::float8",
        "negative zero": "CASE WHEN {c} = 0 THEN '-0'::float8 ELSE -{c} END",
        "NULL": "NULL",
        "NaN": "'NaN'::float8",
        "infinity": "'Infinity'::float8",
    },
    kinds.Integer: {"one more": "{c} + 1", "NULL": "NULL", "negative": "-{c}", "zero": "0"},
    kinds.Json: {
        "key order": "(SELECT jsonb_object_agg(k, v ORDER BY k DESC) FROM jsonb_each("
        "CASE jsonb_typeof({c}) WHEN 'object' THEN {c} END) AS e(k, v))",
        "NULL": "NULL",
        "JSON null": "'null'::jsonb",
        "empty": "'{{}}'::jsonb",
        "one member more": "CASE WHEN jsonb_typeof({c}) = 'object' THEN {c} || '{{\"\": 1}}' END",
        "1.0": "jsonb_build_object('n', 1.0)",
        "text of it": "to_jsonb({c}::text)",
        "a list of it": "jsonb_build_array({c})",
    },
    kinds.Timestamp: {
        "microsecond": "{c} + interval '1 microsecond'",
        "hour": "{c} + interval '1 hour'",
        "seven hours": "{c} - interval '7 hours'",
        "whole second": "date_trunc('second', {c})",
        "millisecond": "date_trunc('milliseconds', {c})",
        "NULL": "NULL",
        "never": "'infinity'",
    },
    kinds.Reference: {"one more": "{c} + 1", "NULL": "NULL"},
}
CORRUPT[kinds.Date] = CORRUPT[kinds.Timestamp]


@dataclass(frozen=True)
class Corruption:
    """One cell and what is done to it."""

    key: str
    column: str
    how: str
    sql: str


def _columns(model: type[LegacyModel]) -> list[tuple[str, kinds.Kind]]:
    fields = {f.column: f for f in model.target_model()._meta.concrete_fields}
    by_name = {f.name: f for f in fields.values()}
    found = []
    for column in model.columns():
        field = fields.get(column.target_name) or by_name[column.target_name]
        if type(column.kind) in CORRUPT and not getattr(column.kind, "choices", ()):
            found.append((str(field.column), column.kind))
    return found


def _choose(
    model: type[LegacyModel], keys: list[str], dice: random.Random, count: int
) -> Iterator[Corruption]:
    """One corruption a row, so that each is by itself."""
    columns = _columns(model)
    for key in dice.sample(keys, min(count, len(keys))):
        column, kind = dice.choice(columns)
        how, sql = dice.choice(sorted(CORRUPT[type(kind)].items()))
        yield Corruption(key, column, how, sql.format(c=f'"{column}"'))


def _corrupt(relation: str, pk: str, chosen: Corruption) -> bool:
    """Do it; whether the cell is another one now. A cell that the table refuses stays."""
    column = f'"{chosen.column}"'
    spelled = f"to_json({column})::text || ' ' || coalesce({column}::text, '')"
    kind = query(f"SELECT pg_typeof({column})::text FROM {relation} LIMIT 1")[0][0]
    if kind.startswith("double"):
        spelled = f"encode(float8send({column}), 'hex')"
    if kind == "jsonb":
        # Numbers are compared as decimals: 1.0 for 1 is no difference.
        spelled = f"regexp_replace({column}::text, '([0-9])\\.0+\\M', '\\1', 'g')"
    where = f'WHERE "{pk}"::text = %s'
    before = query(f"SELECT {spelled} FROM {relation} {where}", chosen.key)[0][0]
    query("SAVEPOINT corrupt")
    try:
        query(f"UPDATE {relation} SET {column} = {chosen.sql} {where}", chosen.key)
    except Exception as error:
        if "violates" not in str(error) and "out of range" not in str(error):
            raise
        query("ROLLBACK TO SAVEPOINT corrupt")
    return bool(query(f"SELECT {spelled} FROM {relation} {where}", chosen.key)[0][0] != before)


def check(table: str, rounds: int, seed: int) -> int:
    """Corrupt, judge, compare; returns how many real corruptions there were."""
    model = next(m for m in legacy_models() if m._meta.db_table == table)
    target = model.target_model()._meta
    dice = random.Random(f"{table} {seed}")
    relation, pk = target.db_table, str(target.pk.column)
    where = ".".join(split_table(relation))
    real = 0
    for _ in range(rounds):
        with undone():
            query("SET LOCAL session_replication_role = replica")
            keys = [row[0] for row in query(f'SELECT "{pk}"::text FROM {relation} ORDER BY 1')]
            chosen = list(_choose(model, keys, dice, AT_ONCE))
            done = [c for c in chosen if _corrupt(relation, pk, c)]
            # The judge would name that too.
            query("SET LOCAL session_replication_role = origin")
            found = judge(selection=Selection(tables=(table,))).findings.kept
            said = {(f.where, f.key) for f in found if f.kind is FindingKind.VALUE}
            assert said == {(f"{where}:{c.column}", c.key) for c in done}, chosen
            others = {f.kind for f in found} - {FindingKind.VALUE}
            assert others <= {FindingKind.FOREIGN_KEY}
            real += len(done)
    return real


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("table", TABLES)
def test_random_corruptions(proven: Path, table: str) -> None:
    assert check(table, rounds=3, seed=1) > 30


@pytest.mark.slow(campaign=True)
@pytest.mark.parametrize("table", TABLES)
def test_many_random_corruptions(proven: Path, table: str) -> None:
    real = 0
    for seed in range(SEED, SEED + 100):
        real += check(table, rounds=2, seed=seed)
        if real >= size(50, 150):
            return
    raise AssertionError(real)


@pytest.mark.slow
def test_neighbours_that_change_places(proven: Path) -> None:
    swap = (
        "UPDATE knowledge.knowledge_items a SET source = b.source FROM knowledge.knowledge_items b "
        "WHERE (a.id, b.id) IN ((8, 9), (9, 8))"
    )
    with undone():
        query("UPDATE knowledge.knowledge_items SET source = 'x' || id WHERE id IN (8, 9)")
        before = {f.key for f in judge().findings.kept}
        query(swap)
        found = [f for f in judge().findings.kept if f.where.endswith(":source")]
        assert before == {f.key for f in found} == {"8", "9"}
        assert {f.found for f in found} == {"'x8'", "'x9'"}


def test_keys_that_change_places(proven: Path) -> None:
    with undone():
        query("UPDATE rss.fetch_items SET id = id + 1000000")
        kinds_found = {f.kind for f in judge(selection=Selection(files=("rss",))).findings.kept}
        assert {FindingKind.MISSING_ROW, FindingKind.EXTRA_ROW} <= kinds_found


def _documents() -> list[tuple[str, str, bool]]:
    composed = unicodedata.normalize("NFC", "Tiếng")
    apart = unicodedata.normalize("NFD", "Tiếng")
    return [
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ('{"a": 1}', '{"a": 1.0}', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": 1}', '{"a": "1"}', False),
        ('{"a": null}', "{}", False),
        ('{"a": 0.1}', '{"a": 0.10000000000000001}', False),
        ('{"a": 12345678901234567890}', '{"a": 12345678901234567891}', False),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', False),
        (f'{{"a": "{composed}"}}', f'{{"a": "{apart}"}}', False),
        ('{"A": 1}', '{"a": 1}', False),
    ]


@pytest.mark.parametrize(("legacy", "target", "equal"), _documents())
def test_documents(legacy: str, target: str, equal: bool) -> None:
    from stillme.transfer.verify.kinds.json_documents import expected_tree, target_tree

    wanted: Any = expected_tree(legacy)[0]
    assert (target_tree(target) == wanted) is equal
