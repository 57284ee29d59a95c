"""Foreign rows are compared with the files: the equal ones are adopted, the others noted.

By every sweep and by every import: before it in a database that was restored from a dump, where
every row counts as foreign; after it wherever the target held rows before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from stillme.transfer.identity import TableId
from stillme.transfer.keys import spelled_keys
from stillme.transfer.models import Run
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.records.outcome import MOST_KEYS
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import ChangeLog
from stillme.transfer.sqlite.capture.log import collapse
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.steps.loading.import_options import ImportResult, TableResult
from stillme.transfer.steps.loading.plan import Plan, PlannedTable
from stillme.transfer.steps.merging.foreign import (
    MOST,
    Compared,
    Restored,
    adopt_equal,
    compare_foreign,
    foreign_writers,
    sentence,
)
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import key_as_text
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_condition import history_problem
from stillme.transfer.steps.syncing.live_file import LiveFile

_ALL = 10_000_000


def settle_foreign(
    alias: str, files: Sequence[LiveFile], between: Callable[[], None] = lambda: None
) -> dict[str, list[str]]:
    """Adopt foreign rows that are equal to the files'; note and return the keys of the others.

    All files at once, because one transaction may have written rows of several. The caller holds
    the writer's lock and replays nothing meanwhile. `between` is called between two ranges. In a
    database that was restored from a dump this reads every row again.
    """
    found: dict[str, dict[str, Compared]] = {live.file.name: {} for live in files}
    for live in files:
        if any(foreign_writers(alias, mapping) for mapping in live.mappings.values()):
            found[live.file.name] = _compare_live(alias, live, between)
    tables = [compared for by_table in found.values() for compared in by_table.values()]
    adopt_equal(alias, files[0].run_id if files else None, tables)
    named: dict[str, list[str]] = {}
    for live in files:
        compared = found[live.file.name].items()
        others = {table: each.others for table, each in compared if each.others}
        _note(alias, live.file.name, live.tables, others)
        named |= others
    return named


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
            file_states.note(alias, file.name, restored=None)
        settle_foreign(alias, followed)


def settle_loaded(alias: str, run: Run, plan: Plan, result: ImportResult) -> None:
    """After a load: adopt rows of others that are equal to the files', list those that differ."""
    by_name = {table.identity: table for table in result.tables}
    found: dict[TableId, Compared] = {}
    for planned in plan.tables:
        compared = _compare_loaded(alias, run, planned, by_name[planned.identity])
        if compared is not None:
            found[planned.identity] = compared
    adopt_equal(alias, run.pk, list(found.values()))
    others = {table: each.others for table, each in found.items() if each.others}
    result.notices += [sentence(table.table, keys) for table, keys in others.items()]
    for file in {planned.identity.file for planned in plan.tables}:
        tables = [planned.identity.table for planned in plan.tables]
        _note(alias, file, tables, {t.table: keys for t, keys in others.items() if t.file == file})


def _note(
    alias: str, file: str, tables: Collection[str], others: Mapping[str, Sequence[str]]
) -> None:
    """Note what differs in the tables that were compared; of other tables what was known stays."""
    details = file_states.standing(alias, file).details
    known = details.get("foreign") or {}
    listed = {table: keys for table, keys in known.items() if table not in tables}
    listed |= {table: keys[:MOST] for table, keys in others.items()}
    if listed or "foreign" in details or "restored" in details:
        file_states.note(alias, file, foreign=listed or None, restored=None)


def _compare_live(alias: str, live: LiveFile, between: Callable[[], None]) -> dict[str, Compared]:
    stand = file_states.standing(alias, live.file.name)
    known: dict[str, list[str]] = stand.details.get("foreign") or {}
    upto = stand.details.get("restored")
    found = {}
    with scratch_folder("compare") as folder:
        snapshot = take_snapshot(live.file.name, live.file.path, folder)
        with closing(snapshot.open()) as connection:
            written = ChangeLog(connection).after(stand.position, _ALL)
            changes = collapse(written, live.mappings.values())
            for table, source in live.tables.items():
                pending = set(spelled_keys(changes.get(source.job.mapping.table, ())))
                foreign = frozenset(known.get(table, ()))
                found[table] = compare_foreign(
                    alias,
                    TableSource(replace(source.job, snapshot=snapshot), connection),
                    pending=pending,
                    restored=None if upto is None else Restored(int(upto), foreign),
                    between=between,
                )
    return found


def _compare_loaded(
    alias: str, run: Run, planned: PlannedTable, table: TableResult
) -> Compared | None:
    """None where every row of the file was inserted just now."""
    outcome = table.outcome
    if outcome.inserted == outcome.loaded + outcome.repaired:
        return None
    with closing(TableSource(planned.job)) as source:
        compared = compare_foreign(alias, source)
        mapping = source.job.mapping
        rows = source.raw.keys(mapping.key_columns.parsed(compared.others))
        in_file = {key_as_text(mapping, row) for row in rows}
    differing = [key for key in compared.others if key in in_file]
    if len(differing) > outcome.conflict_count:
        outcome.conflict_count = len(differing)
        outcome.conflicts = differing[:MOST_KEYS]
        table.record(alias, run.pk)
    return compared
