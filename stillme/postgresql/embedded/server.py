"""The embedded server: started by the first process that connects, stopped after the last one.

Three lock files in the cluster's directory, each released by the kernel however a process ends:

- `users.lock` is held shared by every process that uses the server;
- `start.lock` is held while a process makes or starts the server;
- `watcher.lock` is held by the watcher, a small process of its own (`watcher.py`) that waits until
  nobody holds `users.lock` any more and then stops the server.

So a process that is killed neither stops the server under the others nor leaves it running.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from stillme.postgresql.embedded import EmbeddedServerError
from stillme.postgresql.embedded.cluster import (
    PORT,
    Cluster,
    server_environment,
    wheel_programs,
)

WATCHER = Path(__file__).with_name("watcher.py")

_guard = threading.RLock()
# A fork waits for it: the child would inherit a lock that no thread of the child's releases.
os.register_at_fork(
    before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release
)
_clusters: dict[Path, Cluster] = {}
_handles: dict[Path, int] = {}


def ensure_server(directory: Path, database: str | None = None) -> Path:
    """Make sure that the server of this cluster runs while this process does.

    Answers the directory of its socket. `database` is created unless it is there.
    """
    with _guard:
        if directory not in _handles:
            _join(directory, database)
        return _clusters[directory].socket_directory


def revive_server(directory: Path) -> bool:
    """Start the server again if it went away under this process; says whether it had to."""
    with _guard:
        cluster = _clusters.get(directory)
        if cluster is None or answers(cluster):
            return False
        with _locked(cluster.directory / "start.lock"):
            return _start(cluster)


def _join(directory: Path, database: str | None) -> None:
    wheel_programs()  # refuses before anything is made
    cluster = Cluster.at(directory)
    users = _open_lock(cluster.directory / "users.lock")
    try:
        # Waits while the watcher, which holds it exclusively, is stopping the server.
        fcntl.flock(users, fcntl.LOCK_SH)
        with _locked(cluster.directory / "start.lock"):
            _start(cluster)
            _ensure_watcher(cluster)
            if database is not None:
                _ensure_database(cluster, database)
    except BaseException:
        os.close(users)
        raise
    _clusters[directory] = cluster
    # Never unlocked by hand: a forked child shares the lock and may outlive its parent.
    _handles[directory] = users


def _start(cluster: Cluster) -> bool:
    if answers(cluster):
        return False
    cluster.initialise()
    cluster.start()
    return True


def answers(cluster: Cluster) -> bool:
    """Whether a server listens on the cluster's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(cluster.socket_directory / f".s.PGSQL.{PORT}"))
        except OSError:
            return False
    return True


def _ensure_watcher(cluster: Cluster) -> None:
    """Start the watcher unless one holds `watcher.lock`; the lock is handed to it."""
    lock = _open_lock(cluster.directory / "watcher.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return
    account = cluster.account
    subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(WATCHER)),
            *(str(cluster.directory / "users.lock"), str(lock)),
            *(str(account.uid), str(account.gid)),
            *cluster.stop_command(),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=cluster.directory,
        env=server_environment(),
        pass_fds=[lock],
        start_new_session=True,
    )
    os.close(lock)


def _ensure_database(cluster: Cluster, name: str) -> None:
    """Create the database; called under `start.lock`, so no other process is doing the same."""
    with psycopg.connect(
        host=str(cluster.socket_directory),
        port=PORT,
        user="postgres",
        dbname="postgres",
        autocommit=True,
    ) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL in {path.parent} belongs to another user: set "
            "EMBEDDED_POSTGRES_DIR to a directory of your own, or DATABASE_URL to a PostgreSQL "
            "server."
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
