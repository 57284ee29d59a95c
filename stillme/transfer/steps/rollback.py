"""The way back: what PostgreSQL received since the cut-over goes into the legacy files.

PostgreSQL is frozen first, so the set of changes stands still; each file takes its rows in one
transaction; the mark is set in PostgreSQL before the files are let go, so that a rollback that
dies anywhere can be run again and ends the same. Until the mark PostgreSQL is in charge, and takes
writes again when anything fails or takes longer than its limit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.db import connections, transaction
from django.db.models import Count

from stillme.transfer import ledger
from stillme.transfer.errors import StateError, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.live_identity import require_place
from stillme.transfer.models import Run
from stillme.transfer.models_sync import RangeDigest, ReverseChange
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.scratch import scratch_folder
from stillme.transfer.sqlite.capture import CapturedTable, captured_tables
from stillme.transfer.sqlite.capture.freeze import create_freeze, drop_freeze, has_freeze
from stillme.transfer.sqlite.capture.install import create_triggers, drop_capture_triggers
from stillme.transfer.sqlite.capture.tables import open_writable, write_transaction
from stillme.transfer.sqlite.snapshot import take_snapshot
from stillme.transfer.steps.capture import target_tables
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.switching.align import align
from stillme.transfer.steps.switching.as_left import require_as_left
from stillme.transfer.steps.switching.carry_back import Carried, carry_table
from stillme.transfer.steps.switching.limit import Limit, OverLimit
from stillme.transfer.steps.switching.tail import Judge, Tail
from stillme.transfer.steps.switching.thaw import (
    PATIENCE,
    await_locks,
    mark_stands,
    thaw_files,
    thaw_target,
)
from stillme.transfer.steps.switching.written_keys import changed_keys, every_key
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.file_clock import require_zone
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.states import State

FREEZE_LIMIT = 60.0
_UNKNOWN = (
    "PostgreSQL does not answer, so it is not known whether the files are in charge. They stay "
    "frozen, so that no write is lost on the wrong side. When the server is back, run "
    "manage.py rollback_migration again."
)


@dataclass(slots=True)
class RollbackResult:
    """What was, or would be, carried back.

    `homeless` counts rows written to tables whose legacy file is absent: they stay in PostgreSQL.
    """

    run_id: int | None
    dry_run: bool
    tables: list[Carried] = field(default_factory=list)
    frozen_seconds: float = 0.0
    files: list[str] = field(default_factory=list)
    homeless: dict[str, int] = field(default_factory=dict)

    @property
    def unequal(self) -> int:
        """Rows that do not read back as what the target holds."""
        return sum(len(table.unequal) for table in self.tables)


def live_files(alias: str) -> list[LegacyFile]:
    """The files whose target is live. Raises StateError where there is none."""
    found = [f for f in legacy_files() if states.standing(alias, f.name).state == State.LIVE]
    if not found:
        raise StateError(
            "No file is live on PostgreSQL, so there is nothing to roll back: "
            "see manage.py migration_status."
        )
    return found


def plan_rollback(alias: str, on_event: OnEvent = ignore_event) -> RollbackResult:
    """What a rollback would carry back, tried on copies of the files."""
    result = RollbackResult(None, True)
    with scratch_folder("rollback") as folder:
        for file in live_files(alias):
            snapshot = take_snapshot(file.name, file.path, folder, keep_indexes=True)
            copy = replace(file, path=snapshot.path)
            with write_transaction(copy.path) as writable:
                require_as_left(alias, file, writable, _captured(copy, writable))
                drop_freeze(writable)
                drop_capture_triggers(writable)
                result.tables += _carry_file(alias, copy, writable, None, on_event)
            result.files.append(file.name)
    result.homeless = homeless_rows(alias, result.files)
    return result


def homeless_rows(alias: str, files: Sequence[str]) -> dict[str, int]:
    """Target table -> rows written since the cut-over, for tables whose file is not there."""
    known = [table.name for table in target_tables(files)]
    rows = ReverseChange.objects.using(alias).exclude(relation__in=known)
    counts = rows.values("relation").annotate(n=Count("key", distinct=True))
    return {str(row["relation"]): int(row["n"]) for row in counts}


def roll_back(
    alias: str,
    on_event: OnEvent = ignore_event,
    judge: Judge | None = None,
    *,
    freeze_limit: float = FREEZE_LIMIT,
) -> RollbackResult:
    """Carry everything back and let the old application write again. Raises TransferError.

    `judge` proves every row that was carried; `freeze_limit` is the longest that nobody may be
    able to write, in seconds. Until the mark is set, a failure lets writes into PostgreSQL again
    and leaves the files frozen.
    """
    files = live_files(alias)
    with exclusive(alias):
        for file in files:
            require_zone(alias, file.name)
        run = ledger.start_run(alias, "rollback_migration", {"files": [f.name for f in files]})
        rollback = _Rollback(alias, files, run, on_event, judge, freeze_limit)
        try:
            result = rollback.go()
        except BaseException as error:
            ledger.fail_run(alias, run, error)
            raise
        left = rollback.let_files_go()
        result.frozen_seconds = rollback.limit.spent
        run.summary = {"seconds": result.frozen_seconds}
        ledger.finish_run(alias, run, failed=False)
        _refuse_frozen(left)
    return result


def _refuse_frozen(left: Mapping[str, str]) -> None:
    if left:
        raise TransferError(
            "Everything was carried back and the files are in charge, but not all take writes yet. "
            + " ".join(left.values())
        )


class _Rollback:
    """One try, with its clock."""

    def __init__(
        self,
        alias: str,
        files: Sequence[LegacyFile],
        run: Run,
        on_event: OnEvent,
        judge: Judge | None,
        freeze_limit: float,
    ) -> None:
        self.alias = alias
        self.files = files
        self.run = run
        self.on_event = on_event
        self.judge = judge
        # Also those of files that are not there: they were frozen and captured with the others.
        self.tables = target_tables([file.name for file in legacy_files()])
        advice = "--dry-run counts the rows to carry; give a longer one, or try at a quieter time"
        self.limit = Limit("rollback", freeze_limit, advice, connections[alias])
        self.result = RollbackResult(run.pk, False)
        self._mark_was_sent = False

    def go(self) -> RollbackResult:
        """Freeze PostgreSQL, carry, mark; PostgreSQL is unfrozen whatever happens before that."""
        try:
            self._require_capture()
            await_locks(self.files, self.limit.seconds)
            self._freeze_target()
            for file in self.files:
                self._carry(file)
            self._prove_and_mark()
        except BaseException as error:
            if not self._mark_stands(error):
                self._thaw(error)
                raise
        finally:
            self.limit.end()
        return self.result

    def let_files_go(self) -> dict[str, str]:
        """After the mark: file name -> why, for each file that still refuses writes."""
        left = thaw_files(self.files, self.limit.until_end + PATIENCE)
        for file in self.files:
            if file.name not in left:
                self.on_event(Event("unfrozen", {"file": file.name}))
        return left

    def _require_capture(self) -> None:
        health = reverse.status(self.alias, self.tables)
        if not health.is_healthy:
            problem = health.problems[0] if health.problems else "it is not installed"
            raise StateError(
                f"Reverse capture is {health.health} ({problem}): what PostgreSQL received is not "
                "known in full; compare with verify_migration, or use --to-backup."
            )

    def _freeze_target(self) -> None:
        self.limit.begin()
        self.limit.step = "freezing PostgreSQL"
        with transaction.atomic(using=self.alias, durable=True):
            patience = f"{self.limit.left() * 1000:.0f}ms"
            reverse.freeze_target(self.alias, self.tables, lock_timeout=patience)
        self.on_event(Event("notice", {"message": "PostgreSQL takes no more writes."}))

    def _carry(self, file: LegacyFile) -> None:
        self.limit.step = f"carrying back into {file.name}"
        carried = _write_file(self.alias, file, self.run.pk, self.on_event, self.limit)
        self.result.tables += carried
        self.result.files.append(file.name)
        unequal = [t for t in carried if t.unequal]
        if unequal:
            raise TransferError(
                f"{unequal[0].table} row {unequal[0].unequal[0]} does not read back from the "
                "legacy file as PostgreSQL has it; nothing was switched: report this row."
            )

    def _prove_and_mark(self) -> None:
        self.limit.step = "the proof and the mark"
        with transaction.atomic(using=self.alias, durable=True):
            _mark(self.alias, self.files, self.tables, self.result, self.run.pk, self._judge())
            self.limit.left()
            self._mark_was_sent = True

    def _judge(self) -> Judge | None:
        if self.judge is not None:
            self.judge.patience = self.limit.left()
        return self.judge

    def _mark_stands(self, error: BaseException) -> bool:
        """Whether the mark was set after all: its COMMIT was done, only the answer was lost."""
        self.limit.end()
        if not self._mark_was_sent:
            return False
        return mark_stands(self.alias, self.files, State.ROLLED_BACK, self.limit, _UNKNOWN)

    def _thaw(self, error: BaseException) -> None:
        """PostgreSQL stays in charge and takes writes again; the files stay frozen.

        Raises a better error where there is one, or more to be said.
        """
        why = thaw_target(self.alias, self.tables, self.limit.until_end + PATIENCE)
        if why is None:
            message = "PostgreSQL takes writes again; the files stay frozen."
            self.on_event(Event("notice", {"message": message}))
        if not isinstance(error, Exception):
            return
        told = self.limit.told(error)
        if why is not None:
            raise TransferError(
                f"{told} PostgreSQL could not be unfrozen ({why.rstrip('.')}): run manage.py "
                "rollback_migration again, or manage.py sync_sqlite --unfreeze to stay on "
                "PostgreSQL."
            ) from error
        if self.limit.ended(error):
            raise OverLimit(told) from error


def _write_file(
    alias: str, file: LegacyFile, run_id: int | None, on_event: OnEvent, limit: Limit
) -> list[Carried]:
    """All changes of one file, in one transaction of it, checked before it commits."""
    with write_transaction(file.path, timeout=limit.left()) as writable:
        limit.watch(writable)
        captured = _captured(file, writable)
        require_as_left(alias, file, writable, captured)
        drop_freeze(writable)
        # The rows come from the target: they must not be replayed into it.
        drop_capture_triggers(writable)
        carried = _carry_file(alias, file, writable, run_id, on_event)
        create_triggers(writable, captured)
        create_freeze(writable, captured, seconds=None)
        check = writable.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if check != "ok":
            raise TransferError(
                f"{file.path} fails SQLite's integrity check ({check}); it was left as it was: "
                "use rollback_migration --to-backup."
            )
        limit.left()
    return carried


def _captured(file: LegacyFile, connection: sqlite3.Connection) -> list[CapturedTable]:
    live = LiveFile(file, None)
    try:
        return captured_tables(connection, list(live.mappings.values()))
    finally:
        live.close()


def _carry_file(
    alias: str,
    file: LegacyFile,
    writable: sqlite3.Connection,
    run_id: int | None,
    on_event: OnEvent,
) -> list[Carried]:
    live = LiveFile(file, run_id, alias=alias)
    found: dict[str, Carried] = {}
    try:
        for table, source in live.tables.items():
            if not source.job.mapping.key_columns:
                continue
            through = TableSource(source.job, writable)
            keys, everything = changed_keys(alias, source.job.mapping)
            wanted = list(every_key(alias, through)) if everything else keys
            found[table] = carry_table(alias, through, writable, wanted)
    finally:
        live.close()
    for table, carried in found.items():
        on_event(Event("carried", {"file": file.name, "table": table, "carried": carried}))
    return list(found.values())


def _mark(
    alias: str,
    files: Sequence[LegacyFile],
    tables: Sequence[reverse.TargetTable],
    result: RollbackResult,
    run_id: int,
    judge: Judge | None,
) -> None:
    """Align the target with what the files hold, prove it, and move the state: one transaction."""
    reverse.as_replay(alias)
    for file in files:
        by_table = {done.table: done for done in result.tables if done.file == file.name}
        live = LiveFile(file, run_id, alias=alias)
        try:
            align(alias, live, by_table, run_id)
            _prove(alias, live, by_table, judge)
            last = live.log.last()
            witness = live.log.witness(last)
            states.move(
                alias,
                file.name,
                State.ROLLED_BACK,
                witness=None if witness is None else witness.as_list(),
                rolled_back_at=states.server_now(alias),
                decided=live.decisions.signature(),
            )
            states.restart(alias, file.name, last)
        finally:
            live.close()
    ledger.mark_write(alias, run_id)
    reverse.remove(alias, tables)
    names = [file.name for file in files]
    result.homeless = homeless_rows(alias, names)
    carried = [table.name for table in target_tables(names)]
    ReverseChange.objects.using(alias).filter(relation__in=carried).delete()
    RangeDigest.objects.using(alias).filter(file__in=[f.name for f in files]).update(dirty=True)


def _prove(alias: str, live: LiveFile, by_table: dict[str, Carried], judge: Judge | None) -> None:
    """Every carried row is the same on both sides, says the judge; else nothing is switched."""
    tail = Tail(alias, judge)
    tail.prepare(live)
    for table, carried in by_table.items():
        if table in live.tables:
            tail.touch(live.file.name, table, carried.keys)
    sentences = tail.differing(live)
    if sentences:
        raise TransferError(
            f"{sentences[0]}: PostgreSQL stays in charge; run manage.py verify_migration and "
            "report this row."
        )


def finish_interrupted(alias: str, on_event: OnEvent = ignore_event) -> list[str]:
    """Let go the files of a rollback that died between its mark and the unfreezing.

    Raises TransferError where one cannot be let go.
    """
    back = [f for f in legacy_files() if states.standing(alias, f.name).state == State.ROLLED_BACK]
    frozen = [file for file in back if _is_frozen(file)]
    if not frozen:
        return []
    require_place(alias, frozen)
    with exclusive(alias):
        left = thaw_files(frozen, PATIENCE)
    done = [file.name for file in frozen if file.name not in left]
    for name in done:
        on_event(Event("unfrozen", {"file": name}))
    _refuse_frozen(left)
    return done


def _is_frozen(file: LegacyFile) -> bool:
    connection = open_writable(file.path)
    try:
        return has_freeze(connection)
    finally:
        connection.close()
