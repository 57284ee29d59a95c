"""The way back: the legacy files take charge again, with what PostgreSQL received meanwhile.

1. Every row is compared: what differs must be in the log of reverse capture. Then PostgreSQL is
   frozen, so the set of changes stands still; the limit begins (60 s).
2. Each file takes its rows in one transaction of its own, and stays frozen: a cell whose stored
   bytes already mean PostgreSQL's value keeps them, and SQLite checks the file before the commit.
3. The *mark*, one transaction in PostgreSQL: the target is brought to what the files hold now, the
   judge proves every carried row, the files are in charge.
4. The files are let go.

A rollback that dies anywhere can be run again and ends the same. Until the mark PostgreSQL is in
charge, and takes writes again when anything fails or takes longer than its limit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from django.db.models import Count

from stillme.transfer.errors import StateError, TransferError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.models import ReverseChange, Run, Seal
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.locks import exclusive_transaction
from stillme.transfer.records import ledger
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import CapturedTable, ChangeLog, captured_tables
from stillme.transfer.sqlite.capture.freeze import create_freeze, drop_freeze
from stillme.transfer.sqlite.capture.install import create_triggers, drop_triggers
from stillme.transfer.sqlite.capture.tables import write_transaction
from stillme.transfer.sqlite.capture.templates import PREFIX
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.sqlite.reading.orphan_pages import without_views
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.switching.align import align
from stillme.transfer.steps.switching.carry_back import carry_table, read_back
from stillme.transfer.steps.switching.legacy_rows import Carried, without_triggers
from stillme.transfer.steps.switching.switch import Switch
from stillme.transfer.steps.switching.tail import Judge, Tail
from stillme.transfer.steps.switching.thaw import PATIENCE, await_locks, thaw_files, thaw_target
from stillme.transfer.steps.switching.unlogged import refuse_unlogged
from stillme.transfer.steps.switching.written_keys import changed_keys, every_key
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.history import require_as_left
from stillme.transfer.steps.syncing.live_file import LiveFile


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


class ToLegacy(Switch):
    """One try of a rollback. The caller holds the writer's lock."""

    name = "rollback"
    advice = "--dry-run counts the rows to carry; give a longer one, or try at a quieter time"
    leaves_target = True
    marked = State.ROLLED_BACK
    unknown = (
        "PostgreSQL does not answer, so it is not known whether the files are in charge. They "
        "stay frozen, so that no write is lost on the wrong side. When the server is back, run "
        "manage.py rollback_migration again."
    )

    def __init__(
        self,
        alias: str,
        files: Sequence[LegacyFile],
        run: Run,
        judge: Judge,
        on_event: OnEvent,
        freeze_limit: float,
    ) -> None:
        super().__init__(alias, files, run, on_event, freeze_limit)
        self.judge = judge
        self.tables = reverse.every_target_table()
        self.result = RollbackResult(run.pk, False)

    def work(self) -> None:
        """Compare, freeze PostgreSQL, carry, mark."""
        self._require_capture()
        self.say("Every row is compared first; PostgreSQL takes writes meanwhile.")
        refuse_unlogged(self.alias, self.files)
        self._require_as_left()
        await_locks(self.files, self.limit.seconds)
        self._freeze_target()
        for file in self.files:
            self._carry(file)
        self._prove_and_mark()

    def let_writers_in(self) -> str:
        """PostgreSQL stays in charge and takes writes again; the files stay frozen."""
        why = thaw_target(self.alias, self.tables, self.limit.until_end + PATIENCE)
        if why is None:
            self.say("PostgreSQL takes writes again; the files stay frozen.")
            return ""
        return (
            f"PostgreSQL could not be unfrozen ({why.rstrip('.')}): run manage.py "
            "rollback_migration again, or manage.py sync_sqlite --unfreeze to stay on PostgreSQL."
        )

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
                "known in full. Run manage.py cutover, which puts it back, then roll back again: "
                "every row is compared, and those that were not logged are named."
            )

    def _require_as_left(self) -> None:
        """Before anybody is locked out. It is asked again in the transaction that writes."""
        for file in self.files:
            with closing(open_legacy(file.path)) as connection:
                require_as_left(self.alias, file, connection, captured_in(file, connection))

    def _freeze_target(self) -> None:
        self.limit.begin()
        self.limit.step = "freezing PostgreSQL"
        with exclusive_transaction(self.alias):
            reverse.freeze_target(self.alias, self.tables, lock_timeout=self.patience())
        self.say("PostgreSQL takes no more writes.")

    def _carry(self, file: LegacyFile) -> None:
        self.limit.step = f"carrying back into {file.name}"
        carried = self._write_file(file)
        self.result.tables += carried
        self.result.files.append(file.name)
        unequal = [t for t in carried if t.unequal]
        if unequal:
            raise TransferError(
                f"{unequal[0].table} row {unequal[0].unequal[0]} does not read back from the "
                "legacy file as PostgreSQL has it; nothing was switched: report this row."
            )

    def _write_file(self, file: LegacyFile) -> list[Carried]:
        """All changes of one file, in one transaction of it, checked before it commits."""
        with write_transaction(file.path, timeout=self.limit.left()) as writable:
            self.limit.watch(writable)
            captured = captured_in(file, writable)
            require_as_left(self.alias, file, writable, captured)
            drop_freeze(writable)
            # The rows come from the target: they must not be replayed into it.
            drop_triggers(writable, PREFIX)
            carried = carry_file(self.alias, file, writable, self.run.pk)
            # Else a copy of the frozen file would pass for this one, without what was carried.
            ChangeLog(writable).leave_mark()
            create_triggers(writable, captured)
            create_freeze(writable, captured, seconds=None)
            with without_views(writable):
                check = writable.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if check != "ok":
                raise TransferError(
                    f"{file.path} fails SQLite's integrity check ({check}); it was left as it was: "
                    "use rollback_migration --to-backup."
                )
            self.limit.left()
        return carried

    def _prove_and_mark(self) -> None:
        self.limit.step = "the proof and the mark"
        with reverse.engine_transaction(self.alias):
            self._mark()
            self.limit.left()
            self._mark_was_sent = True

    def _mark(self) -> None:
        """Align the target with what the files hold, prove it, put the files in charge."""
        with reverse.without_triggers(self.alias, self.tables):
            for file in self.files:
                with closing(LiveFile(file, self.run.pk, alias=self.alias)) as live:
                    self._mark_file(live)
        ledger.mark_write(self.alias, self.run.pk)
        reverse.remove(self.alias, self.tables)
        names = [file.name for file in self.files]
        self.result.homeless = homeless_rows(self.alias, names)
        carried = [table.name for table in reverse.target_tables(names)]
        ReverseChange.objects.using(self.alias).filter(relation__in=carried).delete()
        Seal.objects.using(self.alias).all().delete()

    def _mark_file(self, live: LiveFile) -> None:
        name = live.file.name
        by_table = {done.table: done for done in self.result.tables if done.file == name}
        align(self.alias, live, by_table, self.run.pk)
        self._prove(live, by_table)
        last = live.log.last()
        file_states.move(
            self.alias,
            name,
            State.ROLLED_BACK,
            position=last,
            witness=live.log.witness(last),
            rolled_back_at=file_states.server_now(self.alias),
            decided=live.decisions.signature(),
        )

    def _prove(self, live: LiveFile, by_table: dict[str, Carried]) -> None:
        """Every carried row is the same on both sides, says the judge; else nothing is switched."""
        self.judge.patience = self.limit.left()
        tail = Tail(self.alias, self.judge)
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


def homeless_rows(alias: str, files: Sequence[str]) -> dict[str, int]:
    """Target table -> rows written since the cut-over, for tables whose file is not there."""
    known = [table.name for table in reverse.target_tables(files)]
    rows = ReverseChange.objects.using(alias).exclude(relation__in=known)
    counts = rows.values("relation").annotate(n=Count("key", distinct=True))
    return {str(row["relation"]): int(row["n"]) for row in counts}


def captured_in(file: LegacyFile, connection: sqlite3.Connection) -> list[CapturedTable]:
    """The tables that capture covers, as this connection sees them."""
    with closing(LiveFile(file, None)) as live:
        return captured_tables(connection, list(live.mappings.values()))


def carry_file(
    alias: str,
    file: LegacyFile,
    writable: sqlite3.Connection,
    run_id: int | None,
) -> list[Carried]:
    """Write into one file what PostgreSQL received, in the caller's transaction of the file."""
    found: dict[str, Carried] = {}
    sources: dict[str, TableSource] = {}
    with (
        closing(LiveFile(file, run_id, alias=alias)) as live,
        without_triggers(writable, list(live.mappings.values())),
    ):
        for table, source in live.tables.items():
            if not source.job.mapping.key_columns:
                continue
            through = sources[table] = TableSource(source.job, writable)
            keys, everything = changed_keys(alias, source.job.mapping)
            wanted = list(every_key(alias, through)) if everything else keys
            found[table] = carry_table(alias, through, writable, wanted)
        for table, through in sources.items():
            read_back(alias, through, writable, found[table])
    return list(found.values())
