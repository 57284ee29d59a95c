"""A client that died and a network that went silent are noticed, on both sides."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.backends.signals import connection_created

from stillme.demo.samples import make_samples
from stillme.postgresql.connecting import silence
from stillme.postgresql.connecting.configuration import target_database
from stillme.postgresql.connecting.silence import end_with_client
from stillme.transfer.postgresql.locks import exclusive
from tests.postgresql.silent_proxy import may_drop, silent_proxy
from tests.transfer.load.support import wait_until

DEFAULTS = {name: str(value) for name, value in silence.OPTIONS.items()}


def options_of(url: str) -> dict[str, Any]:
    found: dict[str, Any] = target_database(url, embedded_directory=Path("/nowhere"))["OPTIONS"]
    return found


def test_a_url_can_say_otherwise() -> None:
    assert options_of("postgresql://u@h/d").items() >= silence.OPTIONS.items()
    found = options_of("postgresql://u@h/d?tcp_user_timeout=3000&keepalives_idle=5&keepalives=0")
    expected = {"tcp_user_timeout": 3000, "keepalives_idle": 5, "keepalives": 0}
    assert found.items() >= {**silence.OPTIONS, **expected}.items()


@pytest.fixture
def ours(both: None) -> Iterator[Any]:
    """An alias with the options that a URL without options gets."""
    entry = connections.settings["ours"]
    entry["OPTIONS"] = {**options_of("postgresql://u@h/d"), **entry["OPTIONS"]}
    yield connections["ours"]
    connections["ours"].close_pool()


def keepalives(connection: Any) -> dict[str, str]:
    """What libpq was told, by the connection itself."""
    connection.ensure_connection()
    told: dict[str, str] = connection.connection.info.get_parameters()
    return {name: told[name] for name in DEFAULTS if name in told}


def test_every_connection_has_them(ours: Any) -> None:
    assert keepalives(ours) == DEFAULTS
    # The session of the writer's lock, and the pool's.
    other = ours.copy()
    assert keepalives(other) == DEFAULTS
    other.close()
    ours.close()
    ours.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 2}
    pooled = ours.copy()
    assert keepalives(pooled) == DEFAULTS
    pooled.close()


def setting(connection: Any, name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return str(cursor.fetchone()[0])


def test_what_was_set_on_purpose_stays(ours: Any) -> None:
    end_with_client(None, ours)
    assert setting(ours, "client_connection_check_interval") == "1s"
    # Sockets of the machine itself have no keepalives, and say 0.
    assert setting(ours, "tcp_keepalives_idle") in {"30", "0"}
    for given in ("30s", "200ms"):
        other = ours.copy()
        other.settings_dict = copy.deepcopy(ours.settings_dict)
        other.settings_dict["OPTIONS"]["options"] = f"-c client_connection_check_interval={given}"
        end_with_client(None, other)
        assert setting(other, "client_connection_check_interval") == given
        other.close()


def test_a_limit_for_forgotten_transactions_is_not_for_a_command(ours: Any) -> None:
    """A role's: a transaction waits while SQLite reads a large file. The URL's own stays."""
    # A command that another test called in this process gives it to every session.
    connection_created.disconnect(end_with_client)
    name = "idle_in_transaction_session_timeout"
    with ours.cursor() as cursor:
        cursor.execute(f"ALTER ROLE CURRENT_USER SET {name} = '7s'")
    try:
        role, url = ours.copy(), ours.copy()
        assert setting(role, name) == "7s"
        end_with_client(None, role)
        assert setting(role, name) == "0"
        url.settings_dict = copy.deepcopy(ours.settings_dict)
        url.settings_dict["OPTIONS"]["options"] = f"-c {name}=9s"
        end_with_client(None, url)
        assert setting(url, name) == "9s"
        role.close()
        url.close()
    finally:
        with ours.cursor() as cursor:
            cursor.execute(f"ALTER ROLE CURRENT_USER RESET {name}")


def test_a_pooler_of_transactions_is_left_alone(ours: Any) -> None:
    ours.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
    end_with_client(None, ours)
    assert setting(ours, "client_connection_check_interval") == "0"


def test_a_legacy_file_has_no_such_settings(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        end_with_client(None, connections["legacy_rss"])


def test_the_server_ends_a_long_statement_of_a_killed_client(ours: Any) -> None:
    told, telling = os.pipe()
    child = os.fork()
    if child == 0:
        connection = ours.copy()
        end_with_client(None, connection)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            os.write(telling, str(cursor.fetchone()[0]).encode())
            cursor.execute("SELECT pg_sleep(600)")
        os._exit(0)
    pid = int(os.read(told, 20))

    def statements() -> list[str]:
        with ours.cursor() as cursor:
            cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
            return [row[0] for row in cursor.fetchall()]

    wait_until(lambda: statements() == ["SELECT pg_sleep(600)"], "the statement runs")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_until(lambda: not statements(), "the server has ended the session")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the filter on a socket is Linux's")
@pytest.mark.django_db(transaction=True)
def test_a_network_that_goes_silent_is_a_sentence(
    use_legacy_files: Callable[[Path], None], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not may_drop():
        pytest.skip("this system lets only root put a filter on a socket")
    make_samples(tmp_path / "data", rows=40)
    use_legacy_files(tmp_path / "data")
    target_environment = request.getfixturevalue("target_environment")
    parameters = connections["default"].get_connection_params()
    with silent_proxy(parameters, b"COPY ") as proxy:
        patience = "connect_timeout=2&tcp_user_timeout=2000&keepalives_idle=1"
        url = f"postgresql://{parameters['user']}:{parameters.get('password') or 'none'}"
        url += f"@127.0.0.1:{proxy.port}/{parameters['dbname']}?{patience}&keepalives_interval=1"
        done = subprocess.run(
            [sys.executable, "manage.py", "import_sqlite", "--jobs", "1"],
            env={**target_environment, "DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert proxy.is_silent.is_set(), done.stderr
    assert done.returncode == 2, done.stderr
    assert "has gone silent, or the network to it is cut" in done.stderr
    assert done.stderr.count("\n") == 1
    # The proxy has let go, and the server has ended the sessions: the next command begins.
    with exclusive("default"):
        pass
