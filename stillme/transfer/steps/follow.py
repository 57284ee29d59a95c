"""Following the live files into PostgreSQL: one follower, round after round.

It ends within seconds of a SIGTERM, whatever it is in the middle of. It looks at the event between
two parts of its work. A single statement may take longer, or wait for a lock in PostgreSQL: then it
is cancelled. Nothing is lost, because rows and position commit together: the next follower does the
round again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress

import psycopg
from django.db import OperationalError, connections

from stillme.transfer.errors import Busy, LegacyFileError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.selection import Selection, files_at_hand
from stillme.transfer.plumbing.interrupts import Stop
from stillme.transfer.postgresql.distributed import refuse_where_distributed
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records import ledger
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.capture.log import last_sequence
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.steps.following.follower import Follower, Stopped
from stillme.transfer.steps.following.notes import FollowOptions, FollowResult
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.switching.target_watch import lift_stale_watch
from stillme.transfer.steps.switching.thaw import lift_stale_freezes
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import Action, State
from stillme.transfer.steps.syncing.lag_history import LagHistory

__all__ = ["FollowOptions", "FollowResult", "follow", "settle_by_replay"]

# Seconds that a statement may go on after a stop, and between two requests to cancel it.
GRACE, _AGAIN = 2.0, 0.5
# Seconds that a proof waits for another follower to replay what was written.
_PATIENCE, _PAUSE = 30.0, 0.1


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
    described = {"files": [file.name for file in files]}
    with exclusive(alias, in_rounds=True), ledger.running(alias, "sync_sqlite", described) as run:
        # A cut-over may have ended while this one waited for the lock.
        file_states.require(alias, [file.name for file in files], Action.FOLLOW)
        follower = Follower(options, files, run, LagHistory(alias, on_event))
        follower.stop = stop
        try:
            with cancelling(stop, alias, follower):
                # What a cut-over that was killed left on both sides.
                lift_stale_freezes(alias, files, on_event)
                lift_stale_watch(alias, on_event)
                follower.open()
                result = follower.run(stop)
        except Stopped:
            follower.notes.sign(ended=True)
            result = FollowResult(run.pk, list(follower.notes.done.values()))
        finally:
            follower.close()
        run.summary = {f.file: {"changes": f.changes, "rounds": f.rounds} for f in result.files}
    result.seconds = time.monotonic() - began
    return result


def load_where_needed(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """Load the files that are captured but not loaded: capture first, then the snapshot.

    With capture out for a while, rows may have gone from the file unseen: they go here too.
    """
    captured = file_states.files_in(alias, State.CAPTURED)
    unloaded = [file.name for file in files if file in captured]
    if unloaded:
        on_event(Event("notice", {"message": f"Loading {', '.join(unloaded)} first."}))
        selection = Selection(files=tuple(unloaded))
        import_files(ImportOptions(selection=selection, database=alias, prune=True), on_event)


def until(stop: Stop, on_event: OnEvent) -> OnEvent:
    """`on_event`, but it raises Stopped once `stop` is set."""

    def watched(event: Event) -> None:
        if stop.is_set():
            raise Stopped
        on_event(event)

    return watched


@contextmanager
def cancelling(stop: Stop, alias: str, follower: Follower) -> Iterator[None]:
    """Cancel what still runs some seconds after `stop` was set, and raise Stopped for its error."""
    ended = threading.Event()
    connection = connections[alias]

    def watch() -> None:
        while not ended.wait(_AGAIN):
            if stop.is_set() and not ended.wait(GRACE):
                break
        while not ended.wait(_AGAIN):
            for live in list(follower.live.values()):
                live.connection.interrupt()
            if isinstance(connection.connection, psycopg.Connection):
                with suppress(psycopg.Error):
                    connection.connection.cancel()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except (OperationalError, sqlite3.OperationalError, LegacyFileError) as error:
        if not (stop.is_set() and _is_cancelled(error)):
            raise
        # A late request to cancel must not hit what comes next.
        connection.close()
        raise Stopped from error
    finally:
        ended.set()
        watcher.join()


def _is_cancelled(error: BaseException) -> bool:
    cause = error.__cause__ or error
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return True
    return isinstance(cause, sqlite3.OperationalError) and "interrupted" in str(cause)


def settle_by_replay(alias: str) -> Callable[[str], bool]:
    """Return a function that waits until everything captured in the named file by now is replayed.

    A follower that is at work replays it; if none is, the function does. It returns False for a
    file that is not followed: a difference there is not a change in flight.
    """
    files = {file.name: file for file in legacy_files()}

    def settle(name: str) -> bool:
        file = files.get(name)
        if file is None or file_states.standing(alias, file.name).state != State.FOLLOWING:
            return False
        _wait(alias, file)
        return True

    return settle


def _wait(alias: str, file: LegacyFile) -> None:
    with closing(open_legacy(file.path)) as connection:
        goal = last_sequence(connection)
    end = time.monotonic() + _PATIENCE
    while file_states.standing(alias, file.name).position < goal:
        try:
            follow(FollowOptions(Selection(files=(file.name,)), once=True, database=alias))
        except Busy:
            if time.monotonic() > end:
                return
            time.sleep(_PAUSE)
