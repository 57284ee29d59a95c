"""Whether somebody else writes to PostgreSQL while a cut-over runs.

The sweep compares every row once. A row that a new application, started too early, or somebody with
`psql` writes or deletes after that would go live as it is, and unseen: no file changed. So reverse
capture is installed before the sweep. It logs every write that is not the engine's, and in the
transaction of the mark, when its locks keep every writer out, the log must be empty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.db import Error, connections, transaction
from django.db.models import Max, QuerySet

from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.postgresql.statements import set_local
from stillme.transfer.errors import TransferError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.mapping import split_table
from stillme.transfer.models import ReverseChange
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.copy import execute
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps.switching.thaw import insist
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State

_PATIENCE = 3.0
_SHOWN = 5


class TargetWatch:
    """Reverse capture, from before the sweep to the mark."""

    def __init__(
        self, alias: str, files: Sequence[str], decided: Mapping[str, Collection[str]]
    ) -> None:
        """`decided` maps a file to its tables in which others may write, by a decision."""
        self._alias = alias
        self._tables = reverse.every_target_table()
        # Rows in tables of absent files are compared with nothing, so who writes there is let be.
        self._watched = [
            ".".join(split_table(model.target_model()._meta.db_table))
            for file in files
            for model in legacy_models(file)
            if model._meta.db_table not in decided.get(file, ())
        ]
        self._began: int | None = None

    def begin(self, patience: float) -> None:
        """Log every write that is not the engine's from now on.

        Waits for writers in flight, `patience` seconds for each table.
        """
        # 0 would be for ever.
        lock_timeout = f"{max(1, int(patience * 1000))}ms"
        with transaction.atomic(using=self._alias, durable=True):
            reverse.as_replay(self._alias)
            reverse.install(self._alias, self._tables, lock_timeout=lock_timeout)
            self._began = self._log().aggregate(last=Max("sequence"))["last"] or 0

    def settle(self, lock_timeout: str) -> None:
        """Begin the transaction of the mark: nobody has written, and the log is of what comes.

        Writes to tables that are not watched stay in it, for the way back. Raises TransferError.
        """
        assert self._began is not None
        # Whatever the role's default is: what others commit until the lock is there must be seen.
        execute(self._alias, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        reverse.as_replay(self._alias)
        set_local(connections[self._alias], {"lock_timeout": lock_timeout})
        # The lock of CREATE TRIGGER: readers go on, writers in flight are waited for.
        relations = ", ".join(table.relation for table in self._tables)
        execute(self._alias, f"LOCK TABLE {relations} IN SHARE ROW EXCLUSIVE MODE")
        found = reverse.status(self._alias, self._tables)
        if not found.is_healthy:
            what = found.problems[0] if found.problems else "it is not there any more"
            raise TransferError(
                f"Somebody changed reverse capture while the cut-over ran ({what}): cut over again."
            )
        self._refuse_writes()
        self._log().filter(sequence__lte=self._began).delete()
        reverse.unfreeze_target(self._alias, self._tables)

    def _refuse_writes(self) -> None:
        rows = self._log().filter(sequence__gt=self._began, relation__in=self._watched)
        written = list(rows.order_by("sequence").values_list("relation", "key")[:1000])
        if written:
            name = written[0][0]
            raise TransferError(_sentence(name, [key for table, key in written if table == name]))

    def end(self) -> str:
        """Take the triggers off after a cut-over that failed; "", or why they are still there."""
        return "" if self._began is None else _take_off(self._alias, self._tables)

    def _log(self) -> QuerySet[ReverseChange]:
        names = [table.name for table in self._tables]
        return ReverseChange.objects.using(self._alias).filter(relation__in=names).order_by()


def lift_stale_watch(alias: str, on_event: OnEvent) -> None:
    """Take off the triggers that a cut-over left when it was killed; a live file needs them.

    The caller holds the writer's lock: a cut-over that is under way keeps its own.
    """
    tables = reverse.every_target_table()
    if file_states.files_in(alias, State.LIVE) or (
        reverse.status(alias, tables).health is reverse.Health.ABSENT
    ):
        return
    lifted = "The triggers with which a broken cut-over watched PostgreSQL were taken off."
    on_event(Event("notice", {"message": _take_off(alias, tables) or lifted}))


def _take_off(alias: str, tables: Sequence[reverse.TargetTable]) -> str:
    def work() -> None:
        reverse.as_replay(alias)
        reverse.remove(alias, tables)

    try:
        insist(alias, work, _PATIENCE)
    except Error as error:
        why = explain_operational_error(error).rstrip(".")
        return (
            f"The triggers with which the cut-over watched PostgreSQL are still there ({why}). "
            "They change nothing, and the next cut-over goes on with them."
        )
    return ""


def _sentence(table: str, keys: Sequence[str | None]) -> str:
    if None in keys:
        what = f"all rows of {table}"
    else:
        known = list(dict.fromkeys(str(key) for key in keys))
        shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        what = f"rows of {table} ({shown})"
    return (
        f"Somebody else wrote or deleted {what} in PostgreSQL while the cut-over ran, so they are "
        "not proven: end that writer (was the new application started too early?), run manage.py "
        "sync_sqlite --sweep, which compares every row, and cut over again."
    )
