"""A worker that still writes holds the next run back; one that has ended does not, at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Timer
from time import sleep

import pytest
from django.db import connections

from stillme.transfer.errors import Busy, TargetError
from stillme.transfer.findings import Event
from stillme.transfer.postgresql import locks
from stillme.transfer.postgresql.locks import (
    WORKER,
    WRITER,
    exclusive,
    is_held,
    require_exclusive,
    share_as_worker,
)
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.loading.workers import workforce
from tests.made_once import put_samples
from tests.transfer.load.support import change, content, query, run_import, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_workers_that_ended_hold_nothing() -> None:
    for _ in range(3):
        with workforce("default", 2):
            wait_until(lambda: is_held("default", WORKER), "a worker has come")
        assert not is_held("default", WORKER)


@pytest.mark.slow
def test_a_session_that_ends_late_is_waited_for() -> None:
    killed = connections["default"].copy()
    share_as_worker(killed)
    killed.inc_thread_sharing()
    late = Timer(0.5, killed.close)
    late.start()
    with exclusive("default"):
        assert not is_held("default", WORKER)
    late.join()


def test_another_writer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(locks._PATIENCE, WRITER, 0.2)
    with exclusive("default"):
        ((pid,),) = query(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())",
            WRITER,
        )
        with pytest.raises(Busy) as raised, exclusive("default"):
            raise AssertionError("let in")
    said = str(raised.value)
    assert said.startswith("Another import, replay or cut-over is writing to this target (session ")
    assert f"(session {pid} of the server, from " in said
    assert f"SELECT pg_terminate_backend({pid})" in said


def test_a_worker_that_still_writes_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(locks._PATIENCE, WORKER, 0.2)
    writing = connections["default"].copy()
    try:
        share_as_worker(writing)
        with pytest.raises(Busy, match="still writing its last chunk"):
            with exclusive("default"):
                raise AssertionError("let in")
    finally:
        writing.close()


def test_a_pooler_of_transactions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second command would get the first one's session of the server, and with it its lock."""
    given = connections["default"].settings_dict
    monkeypatch.setitem(given, "DISABLE_SERVER_SIDE_CURSORS", True)
    with pytest.raises(TargetError, match="a DATABASE_URL to the server itself"):
        with exclusive("default"):
            raise AssertionError("let in")


def test_a_session_that_holds_a_lock_is_never_idle_for_too_long() -> None:
    """Hosted servers end idle sessions; with this one the lock would go, and two would write."""
    name = connections["default"].settings_dict["NAME"]
    query(f'ALTER DATABASE "{name}" SET idle_session_timeout = 100')
    connections["default"].close()
    try:
        with exclusive("default"):
            sleep(0.5)
            connections["default"].close()
            assert is_held("default")
            require_exclusive("default")
    finally:
        connections["default"].close()
        query(f'ALTER DATABASE "{name}" RESET idle_session_timeout')


def end_the_session_of_the_lock() -> None:
    query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
        "AND objid = %s AND database = (SELECT oid FROM pg_database "
        "WHERE datname = current_database())",
        WRITER,
    )


def test_an_import_whose_lock_was_lost_writes_no_more(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    """Else it brings rows of its snapshot back into a PostgreSQL that was put in charge since.

    With worker processes their own lock keeps the other command out.
    """
    put_samples(tmp_path, rows=40, variant="clean", files=("rss",))
    use_legacy_files(tmp_path)
    run_import()
    change(tmp_path, "rss", "UPDATE rss_fetch_items SET title = 'of the file'")

    def lose(event: Event) -> None:
        if event.name == "table" and is_held("default"):
            end_the_session_of_the_lock()

    before = content()
    with pytest.raises(Busy, match="another command may have begun"):
        import_files(ImportOptions(), lose)
    assert content() == before
    run_import()
    assert query("SELECT DISTINCT item_title FROM rss.fetch_items") == [("of the file",)]


def test_a_lock_whose_session_was_ended_is_missed() -> None:
    require_exclusive("default")
    with exclusive("default"):
        end_the_session_of_the_lock()
        with pytest.raises(Busy, match=r"another command may have begun.* Run the same command"):
            require_exclusive("default")
    require_exclusive("default")
