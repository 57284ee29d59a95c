"""Comparing foreign rows with the files before and after an import.

Before it in a database that was restored from a dump, where every row counts as foreign; after it
wherever the target held rows before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing

from django.db import transaction

from stillme.transfer.identity import TableId
from stillme.transfer.models import Run
from stillme.transfer.records import ledger
from stillme.transfer.records.outcome import MOST_KEYS
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.loading.import_options import ImportResult, TableResult
from stillme.transfer.steps.loading.plan import Plan, PlannedTable
from stillme.transfer.steps.merging.foreign import Compared, adopt_equal, compare_foreign, sentence
from stillme.transfer.steps.replaying.adopt_foreign import settle_foreign
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import key_as_text
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_condition import history_problem
from stillme.transfer.steps.syncing.live_file import LiveFile


def settle_restored(alias: str, files: Sequence[LegacyFile], run: Run) -> None:
    """In a database restored from a dump, find the engine's own rows before anything is loaded.

    For followed files: their change log tells which rows were written since the dump, so these are
    updated instead of being left alone. For other files the load compares, and lists what differs.
    """
    with ExitStack() as opened:
        followed = []
        for file in files:
            stand = file_states.standing(alias, file.name)
            if "restored" not in stand.details or not file.path.exists():
                continue
            live = opened.enter_context(closing(LiveFile(file, run.pk, alias=alias)))
            if live.capture_status().is_healthy and not history_problem(live, stand):
                followed.append(live)
                continue
            with transaction.atomic(using=alias):
                file_states.note(alias, file.name, restored=None)
        settle_foreign(alias, followed)


def settle_loaded(alias: str, run: Run, plan: Plan, result: ImportResult) -> None:
    """After a load: adopt rows of others that are equal to the files', list those that differ."""
    by_name = {table.identity: table for table in result.tables}
    found: dict[TableId, Compared] = {}
    for planned in plan.tables:
        compared = _compare(alias, run, planned, by_name[planned.identity])
        if compared is not None:
            found[planned.identity] = compared
    adopt_equal(alias, run.pk, list(found.values()))
    for table, compared in found.items():
        if compared.others:
            result.notices.append(sentence(table.table, compared.others))
    for file in {planned.identity.file for planned in plan.tables}:
        known = file_states.standing(alias, file).details.get("foreign") or {}
        loaded = {planned.identity.table for planned in plan.tables}
        kept = {table: keys for table, keys in known.items() if table not in loaded}
        listed = {
            table.table: compared.others[:MOST_KEYS]
            for table, compared in found.items()
            if table.file == file and compared.others
        }
        if known or listed:
            with transaction.atomic(using=alias):
                file_states.note(alias, file, foreign={**kept, **listed} or None)


def _compare(alias: str, run: Run, planned: PlannedTable, table: TableResult) -> Compared | None:
    """None where every row of the file was inserted just now."""
    outcome = table.outcome
    if outcome.inserted == outcome.loaded + outcome.repaired:
        return None
    source = TableSource(planned.job)
    try:
        compared = compare_foreign(alias, source)
        in_file = _in_file(source, compared.others)
    finally:
        source.close()
    differing = [key for key in compared.others if key in in_file]
    if len(differing) > outcome.conflict_count:
        outcome.conflict_count = len(differing)
        outcome.conflicts = differing[:MOST_KEYS]
        ledger.record_table(alias, run, planned.job, outcome, table.seconds)
    return compared


def _in_file(source: TableSource, keys: Sequence[str]) -> set[str]:
    """Those of the keys (as text) that the file has."""
    mapping = source.job.mapping
    rows = source.raw.keys(mapping.key_columns.parsed(keys))
    return {key_as_text(mapping, row) or "" for row in rows}
