"""Following the live files into PostgreSQL: one follower, round after round."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from django.db import connections

from stillme.transfer.errors import Busy
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.selection import Selection, files_at_hand
from stillme.transfer.plumbing.interrupts import Stop
from stillme.transfer.postgresql.distributed import refuse_where_distributed
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records import ledger
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.following.follower import Follower, Stopped
from stillme.transfer.steps.following.result import FollowOptions, FollowResult
from stillme.transfer.steps.following.stopping import cancelling, until
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import Action, State
from stillme.transfer.steps.syncing.lag_history import LagHistory
from stillme.transfer.steps.unfreeze import lift_stale_freezes

__all__ = ["FollowOptions", "FollowResult", "follow"]


def follow(
    options: FollowOptions,
    on_event: OnEvent = ignore_event,
    stop: Stop | None = None,
) -> FollowResult:
    """Replay changes until `stop` is set (or, with `once`, until none is left).

    Loads files first that are captured but not loaded. Raises TransferError.
    """
    alias = options.database
    stop = stop or threading.Event()
    began = time.monotonic()
    refuse_where_distributed(connections[alias], "Following the files")
    files = files_at_hand(options.selection, on_event)
    file_states.require(alias, [file.name for file in files], Action.FOLLOW)
    try:
        load_where_needed(alias, files, until(stop, on_event))
    except Stopped:
        return FollowResult(None)
    with exclusive(alias, in_rounds=True):
        run = ledger.start_run(alias, "sync_sqlite", {"files": [f.name for f in files]})
        follower = Follower(options, files, run, LagHistory(alias, on_event))
        follower.stop = stop
        try:
            with cancelling(stop, alias, follower):
                # A cut-over that was killed may have left the files frozen.
                lift_stale_freezes(alias, files, on_event)
                follower.open()
                result = follower.run(stop)
        except Stopped:
            follower.notes.sign(ended=True)
            result = FollowResult(run.pk, list(follower.notes.done.values()))
        except BaseException as error:
            ledger.fail_run(alias, run, error)
            raise
        finally:
            follower.close()
        run.summary = {f.file: {"changes": f.changes, "rounds": f.rounds} for f in result.files}
        ledger.finish_run(alias, run, failed=False)
    result.seconds = time.monotonic() - began
    return result


def load_where_needed(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """Load the files that are captured but not loaded: capture first, then the snapshot.

    With capture out for a while, rows may have gone from the file unseen: they go here too.
    """
    unloaded = [
        f.name for f in files if file_states.standing(alias, f.name).state == State.CAPTURED
    ]
    if unloaded:
        on_event(Event("notice", {"message": f"Loading {', '.join(unloaded)} first."}))
        options = ImportOptions(
            selection=Selection(files=tuple(unloaded)), database=alias, prune=True
        )
        _import_patiently(options, on_event)


def _import_patiently(options: ImportOptions, on_event: OnEvent) -> None:
    """Import; a worker of a killed run may still be writing its last chunk."""
    for attempt in range(8):
        try:
            import_files(options, on_event)
        except Busy:
            if attempt == 7:
                raise
            time.sleep(0.5)
        else:
            return
