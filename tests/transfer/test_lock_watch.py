"""A command that waits for somebody's lock says for whose; it used to wait without a word."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import call_command
from django.db import Error, connection, connections, transaction

from stillme.postgresql.statements import fetch_all
from stillme.transfer.postgresql import lock_watch
from stillme.transfer.postgresql.lock_watch import telling_waits
from tests.made_once import put_samples

TABLE = "knowledge.knowledge_items"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock_watch, "EVERY", 0.1)
    monkeypatch.setattr(lock_watch, "_WORTH", 0.2)
    connection.close()
    yield
    connection.close()


@contextmanager
def locked(**given):
    """Somebody's session holds the table; its process id."""
    connection.ensure_connection()
    parameters = {**connection.get_connection_params(), **given}
    connection.close()
    parameters.pop("cursor_factory")
    parameters.pop("context")
    with psycopg.connect(**parameters) as holder:
        holder.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        yield holder


def wait_for_it():
    with pytest.raises(Error), transaction.atomic():
        fetch_all(connection, "SELECT set_config('lock_timeout', '1500ms', true)")
        fetch_all(connection, f"SELECT count(*) FROM {TABLE}")


def test_it_says_for_whom_it_waits_and_once():
    said = []
    with locked(application_name="psql") as holder, telling_waits("manage.py x", said.append):
        wait_for_it()
        pid = holder.info.backend_pid
    assert len(said) == 1
    assert f"Waiting for session {pid} of the server" in said[0]
    assert "psql, idle in transaction, since " in said[0]
    assert said[0].endswith(
        f"has locked {TABLE}: end what it does, or SELECT pg_terminate_backend({pid})."
    )


def test_its_own_sessions_wait_for_each_other_without_a_word():
    said = []
    with telling_waits("manage.py x", said.append):
        other = connections["default"].copy()
        other.ensure_connection()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Error):
                fetch_all(other, "SELECT set_config('lock_timeout', '1s', false)")
                fetch_all(other, f"SELECT count(*) FROM {TABLE}")
        other.close()
    assert said == []


def test_a_command_that_asks_nothing_of_the_server_opens_no_session():
    before = threading.active_count()
    with telling_waits("manage.py x", pytest.fail):
        assert threading.active_count() == before


class Told(io.StringIO):
    """Lets the lock go as soon as the sentence is there; without it the command waits on."""

    seen = False
    then = None

    def write(self, text):
        if "Waiting for session" in text and not self.seen:
            self.seen = True
            self.then()
        return super().write(text)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_command_tells_it_next_to_its_document(form, tmp_path, use_legacy_files):
    put_samples(tmp_path, rows=5, variant="clean", files=("knowledge",))
    use_legacy_files(tmp_path)
    connection.close()
    told, other = Told(), io.StringIO()
    out, errors = (other, told) if form == "json" else (told, other)
    with locked() as holder:
        told.then = holder.rollback
        at_last = threading.Timer(60, holder.rollback)
        at_last.start()
        with pytest.raises(SystemExit):
            call_command("verify_migration", "--format", form, stdout=out, stderr=errors)
        at_last.cancel()
    assert told.seen
    assert "Waiting for session" not in other.getvalue()


def test_a_prepared_transaction_is_no_session():
    said = lock_watch._sentence("rows", 0, None, None, None, "")
    assert "ROLLBACK PREPARED" in said
