"""One table at the level asked for: every row, a sample, or only the counts.

A sample takes runs of ten neighbouring keys, evenly spread, with a random start. Such runs are
cheap to read. The report says how small an error the sample would have found.
"""

from __future__ import annotations

import hashlib
import math
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import FileState, QuarantinedRow
from stillme.transfer.registry import legacy_model
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.schema.found import row_count, sequence_mark
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.result import COMPARED, TableProof
from stillme.transfer.verify.rows.quarantine_records import unclaimed
from stillme.transfer.verify.structure.sequences import check_sequence
from stillme.transfer.verify.structure.table_structure import check_foreign_keys
from stillme.transfer.verify.tables.full_scans import check_target_table, scan_legacy_table
from stillme.transfer.verify.tables.index_scans import BY_SCAN, one_moment, planned
from stillme.transfer.verify.tables.judge_processes import HandOut, PartTask
from stillme.transfer.verify.tables.table_judge import Part, TableCase
from stillme.transfer.verify.tables.written_since_cutover import (
    legacy_among,
    new_life,
    target_among,
)
from stillme.visible import counted

PART_ROWS = 50_000
RUN_ROWS = 10
CONFIDENCE = 0.95
OnRows = Callable[[int], None]


def begin_full(alias: str, case: TableCase, rows: int, hand_out: HandOut) -> Iterator[TableProof]:
    """Hand out every row of a table that has `rows`; the proof of each part, in order."""
    return hand_out([PartTask(alias, case, part) for part in _parts(case, rows)])


def end_full(
    alias: str, case: TableCase, judged: Iterator[TableProof], on_rows: OnRows
) -> TableProof:
    """The proof of a table whose parts were handed out.

    Its seconds are those in which this table was waited for: others are judged meanwhile.
    """
    started = time.monotonic()
    whole = _empty_proof(alias, case)
    # The workers judge meanwhile.
    scanned = list(check_target_table(alias, case.mapping))
    legacy = scan_legacy_table(case)
    for proof in judged:
        whole.add(proof)
        on_rows(whole.legacy_rows)
    joined = "".join(str(part["digest"]) for part in whole.ranges)
    whole.digest = hashlib.sha256(joined.encode()).hexdigest()
    whole.findings.extend([*legacy.differs(whole), *scanned])
    whole.findings.extend(unclaimed(alias, case.mapping, whole))
    whole.seconds = time.monotonic() - started
    return whole


def verify_lightly(options: VerifyOptions, case: TableCase, hand_out: HandOut) -> TableProof:
    """Level counts or sample."""
    begun = time.monotonic()
    whole = _empty_proof(options.database, case)
    _count(options.database, case, whole)
    if options.level == "sample":
        _sampled(options, case, whole, hand_out)
    whole.seconds = time.monotonic() - begun
    return whole


def _empty_proof(alias: str, case: TableCase) -> TableProof:
    mapping = case.mapping
    proof = TableProof(mapping.file, mapping.declared_table, mapping.target)
    if case.is_live:
        proof.is_live = True
        proof.findings.new = new = new_life(alias, mapping)
        proof.written_legacy = legacy_among(case.snapshot, mapping, new)
        # An emptied table has lost rows whose keys nobody noted.
        gone = proof.written_legacy if new.everything else len(new.keys)
        proof.written = max(gone, target_among(alias, mapping, new))
    return proof


def check_keys(alias: str, case: TableCase, proof: TableProof, state: str) -> None:
    """Foreign keys and the sequence, which can change without any row of the table.

    Not the sequence of a file that is followed: the cut-over sets it, when ids are given out here.
    """
    model = legacy_model(*case.mapping.identity).target_model()
    proof.findings.extend(check_foreign_keys(alias, model))
    if state == FileState.State.FOLLOWING:
        return
    with closing(case.snapshot.open()) as connection:
        mark = sequence_mark(connection, case.mapping.table)
    found = check_sequence(alias, model, mark)
    if state == FileState.State.LIVE:
        # Its note advises an import, which is refused now: what helps is said below the findings.
        found = (replace(finding, note="") for finding in found)
    proof.findings.extend(found)


def _count(alias: str, case: TableCase, proof: TableProof) -> None:
    """Level counts: legacy = target + quarantined."""
    mapping = case.mapping
    with closing(case.snapshot.open()) as connection:
        proof.legacy_rows = row_count(connection, mapping.table)
    with one_moment(alias):
        # An index may count rows that the table has lost.
        rows = planned(alias, BY_SCAN, f"SELECT count(*) FROM {mapping.relation}")
    proof.target_rows = rows[0][0]
    new = proof.findings.new
    if new.everything:
        return
    records = mapping.identity.of(QuarantinedRow.objects.using(alias))
    records = records.exclude(key__in=new.keys)
    proof.open = records.filter(status=QuarantinedRow.Status.OPEN).count()
    proof.accepted = records.filter(status=QuarantinedRow.Status.ACCEPTED).count()
    comparable = proof.legacy_rows - proof.written_legacy
    held = proof.target_rows - target_among(alias, mapping, new)
    if comparable != held + proof.open + proof.accepted:
        proof.findings.add(
            Finding(
                FindingKind.COUNT,
                mapping.target,
                None,
                counted(comparable, "legacy row"),
                f"{held} in the target, {proof.open + proof.accepted} quarantined",
            )
        )


def _sampled(options: VerifyOptions, case: TableCase, whole: TableProof, hand_out: HandOut) -> None:
    """Level sample: some key ranges in full; the counts stay those of the whole table."""
    parts = _sample_parts(case, whole.legacy_rows, options.sample)
    parts = _parts(case, whole.legacy_rows) if parts is None else parts
    for proof in hand_out([PartTask(options.database, case, part) for part in parts]):
        whole.compared += proof.legacy_rows
        whole.add_figures(proof, COMPARED)
        whole.findings.merge(proof.findings)


def _parts(case: TableCase, rows: int) -> list[Part]:
    """Key ranges of about `PART_ROWS` rows that tile the whole key space."""
    mapping = case.mapping
    cut = mapping.key_is_unique and mapping.key_is_in_order and mapping.has_rowid
    if not mapping.key_columns or not cut:
        return [Part()]
    with closing(case.snapshot.open()) as connection:
        inner = _dense(connection, mapping, rows) or _walked(connection, mapping)
        return [Part(*edges) for edges in pairwise([None, *inner, None])]


def _dense(connection: sqlite3.Connection, mapping: TableMapping, rows: int) -> list[Key]:
    """Every so many-th key of a table whose rowids have no gap; none of them has to be read."""
    if not mapping.key_is_rowid:
        return []
    table = quoted(mapping.table)
    # One by one: only then SQLite goes straight to the ends of the table.
    [(low,)] = connection.execute(f"SELECT min(rowid) FROM {table}")
    [(high,)] = connection.execute(f"SELECT max(rowid) FROM {table}")
    if low is None or high is None or high - low + 1 != rows:
        return []
    return [Key.of(number) for number in range(low + PART_ROWS - 1, high, PART_ROWS)]


def _walked(connection: sqlite3.Connection, mapping: TableMapping) -> Iterator[Key]:
    """Every so many-th key of a table."""
    keys, table = mapping.key_columns, quoted(mapping.table)
    edge: Key | None = None
    while True:
        where, values = keys.legacy_within(edge, None)
        row = connection.execute(
            f"SELECT {keys.legacy_parts()} FROM {table} WHERE {keys.legacy_usual()} "
            f"AND {where} ORDER BY {keys.legacy()} LIMIT 1 OFFSET {PART_ROWS - 1}",
            values,
        ).fetchone()
        # A key that the target cannot hold is no edge; its part just becomes longer.
        if row is None or keys.in_target(Key.of_flat(row)) is None:
            return
        edge = Key.of_flat(row)
        yield edge


def _sample_parts(case: TableCase, rows: int, wanted: int) -> list[Part] | None:
    """Key ranges of `RUN_ROWS` rows, about `wanted` rows in all; None where all must be read."""
    mapping = case.mapping
    if wanted >= rows or not mapping.key_is_rowid:
        return None
    key, table = mapping.key_columns.legacy(), quoted(mapping.table)
    runs = max(1, wanted // RUN_ROWS)
    dice = random.SystemRandom()
    parts = []
    with closing(case.snapshot.open()) as connection:
        low, high = connection.execute(f"SELECT min({key}), max({key}) FROM {table}").fetchone()
        # One run in each of so many equal ranges of keys: no row is in two of them.
        edges = [low - 1 + (high - low + 1) * number // runs for number in range(runs + 1)]
        for start, stop in pairwise(edges):
            after = max(dice.randint(start, max(start, stop - RUN_ROWS)), -(2**63))
            edge = connection.execute(
                f"SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > ? "
                f"AND {key} <= ? ORDER BY {key} LIMIT {RUN_ROWS})",
                (after, stop),
            ).fetchone()[0]
            if edge is not None:
                parts.append(Part(Key.of(after), Key.of(edge)))
    return parts


def confidence_sentence(compared: int, rows: int) -> str:
    """What a sample of `compared` rows of `rows` would have found."""
    if compared >= rows:
        return "every row compared"
    if not compared:
        return "no row compared"
    # (1 - share) ** compared <= 1 - CONFIDENCE: rows that err independently of one another.
    share = 1 - (1 - CONFIDENCE) ** (1 / compared)
    percent = math.ceil(share * 10_000) / 100
    return (
        f"{compared:,} of {counted(rows, 'row')} compared: finds with 95 % confidence an error "
        f"that touches more than {percent:g} % of the rows at random"
    )
