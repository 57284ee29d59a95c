"""The scans of `index_scans` on a Citus cluster, shard by shard, and two more.

What the coordinator gathers from several shards is in no index's order, and of a table that each
node has a copy of it reads one. So each node scans its shards by itself. Two things more can differ
there:

- A row in another shard than the hash of its key names. A query by key does not find it.
- The copies of one shard. A query reads any of them.

Two scans of a shard see two moments. What differs is asked again while writers wait.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from django.db import connections

from stillme.postgresql.distributed import ShardAnswer, ask_shards, is_distributed
from stillme.postgresql.statements import execute
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.verify.sides.target_table import select
from stillme.transfer.verify.structure.shards import answered, no_answer, under
from stillme.transfer.verify.tables.index_scans import (
    BY_INDEX,
    BY_SCAN,
    Index,
    WrongIndex,
    unique_indexes,
    wrong_indexes,
)
from stillme.visible import counted

# Settings hold for what is planned after them, and a node answers one statement: so it is a block,
# which fails where the scans differ, and says in what.
_SCANS = """
DO $scans$ DECLARE scanned text; found text; BEGIN
PERFORM {by_scan};
EXECUTE $scan$SELECT r::text FROM (SELECT count(*), {digest}, 0 FROM %1$s) AS r$scan$ INTO scanned;
PERFORM {by_index};
EXECUTE $scan$SELECT r::text FROM ({read}) AS r$scan$ INTO found;
IF found IS DISTINCT FROM scanned THEN RAISE '%% %%', scanned, found; END IF;
END $scans$
"""
_SAID = re.compile(r"\((\d+),(?:-?\d*),0\) \((\d+),(?:-?\d*),(\d+)\)")
# The column by whose hash a row finds its shard, NULL where a table is in one shard; whether there
# are copies of a shard.
_SPREAD = """
SELECT CASE partmethod WHEN 'h' THEN quote_ident(column_to_column_name(logicalrelid, partkey)) END,
EXISTS (SELECT FROM pg_dist_shard AS s JOIN pg_dist_placement AS p USING (shardid)
    WHERE s.logicalrelid = t.logicalrelid GROUP BY shardid HAVING count(*) > 1)
FROM pg_dist_partition AS t WHERE logicalrelid = to_regclass(%s)
"""
# By their text: types of an extension have other numbers on each node.
_ROWS = under(
    {"timezone": "UTC", "datestyle": "ISO, MDY", "extra_float_digits": "1"},
    "SELECT concat_ws(' ', count(*), sum(hashtextextended(t::text, 0))) FROM %1$s AS t",
)
_STRAYS = """
SELECT count(*) FROM %1$s, pg_dist_shard WHERE shard_name(logicalrelid, shardid) = %1$L
AND worker_hash({column}) NOT BETWEEN shardminvalue::integer AND shardmaxvalue::integer
"""


def all_wrong_indexes(alias: str, relation: str) -> Iterator[WrongIndex]:
    """The unique indexes of a table that do not hold what it holds, or of its shards."""
    if not is_distributed(connections[alias], relation):
        yield from wrong_indexes(alias, relation)
        return
    for index in unique_indexes(alias, relation):
        if _scanned(alias, relation, index):
            execute(connections[alias], f"LOCK TABLE {relation} IN SHARE MODE")
            yield from _scanned(alias, relation, index)


def _scanned(alias: str, relation: str, index: Index) -> list[WrongIndex]:
    spelled = index._replace(columns=[each.replace("%", "%%") for each in index.columns])
    sql = _SCANS.format(
        by_scan=_settings(BY_SCAN),
        by_index=_settings(BY_INDEX),
        digest=spelled.digest,
        read=spelled.read("%1$s"),
    )
    wrong = []
    for answer in ask_shards(connections[alias], relation, sql):
        if answer.is_answer:
            continue
        if (said := _SAID.search(answer.said)) is None:
            raise no_answer(relation, answer)
        scanned, found, misplaced = map(int, said.groups())
        wrong.append(WrongIndex(index, scanned, found, misplaced, answer.place))
    return wrong


def _settings(settings: dict[str, str]) -> str:
    return ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())


def check_shard_rows(alias: str, relation: str) -> Iterator[Finding]:
    """Rows in the wrong shard, and copies of a shard with other rows."""
    if not is_distributed(connections[alias], relation):
        return
    target = relation.replace('"', "")
    [(column, has_copies)] = select(alias, _SPREAD, [relation])
    if column is not None:
        for answer in answered(alias, relation, _STRAYS.format(column=column.replace("%", "%%"))):
            if answer.said != "0":
                where = f"{target}:{column}".replace('"', "")
                found = f"{answer.said} of {answer.place} belong in other shards"
                note = "a query by key does not find them"
                expected = "each row in the shard of its key"
                yield Finding(FindingKind.INDEX, where, None, expected, found, note)
    if has_copies and _differing(alias, relation):
        execute(connections[alias], f"LOCK TABLE {relation} IN SHARE MODE")
        for places in _differing(alias, relation):
            expected = "the same rows in each copy of a shard"
            yield Finding(FindingKind.TABLE, target, None, expected, places)


def _differing(alias: str, relation: str) -> list[str]:
    """The copies of a shard, with their numbers of rows, where their rows differ."""
    copies = defaultdict(list)
    for answer in answered(alias, relation, _ROWS):
        copies[answer.shard].append(answer)
    return [
        f"others: {'; '.join(map(_rows_in, found))}"
        for found in copies.values()
        if len({each.said for each in found}) > 1
    ]


def _rows_in(answer: ShardAnswer) -> str:
    return f"{counted(int(answer.said.split()[0]), 'row')} in {answer.place}"
