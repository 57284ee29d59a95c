"""Private servers for tests: a streaming pair made with pg_basebackup, and PgBouncer."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from stillme.postgresql.embedded.cluster import PORT, Cluster, server_environment
from tests.in_memory import public_place

PROGRAMS = "pg_ctl"


@dataclass(frozen=True)
class Server:
    """A server of the embedded wheel, reachable by its socket only."""

    cluster: Cluster
    database: str = "postgres"

    @property
    def url(self) -> str:
        """How to reach its database."""
        host = self.cluster.socket_directory
        return f"postgresql://postgres@/{self.database}?host={host}&port={PORT}"

    def start(self) -> None:
        """Start it and wait for it."""
        self.cluster.start()

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast`, or `immediate` as a crash would."""
        program = str(self.cluster._program("pg_ctl"))
        command = [program, "-w", "-m", mode, "-D", str(self.cluster.data), "stop"]
        self.run(*command, check=False)

    def run(self, *command: str, check: bool = True) -> None:
        """Run a program as the server's user."""
        subprocess.run(
            command,
            check=check,
            capture_output=True,
            cwd=self.cluster.directory,
            env=server_environment(),
            **self.cluster.account.for_subprocess(),
        )

    def ask(self, sql: str) -> object:
        """The first value of a query."""
        with psycopg.connect(self.url, autocommit=True) as session:
            found = session.execute(sql)  # type: ignore[arg-type]
            row = found.fetchone() if found.description else None
        return row[0] if row else None


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory that the server's user can reach; pytest's are private to root."""
    folder = Path(tempfile.mkdtemp(prefix="stillme-", dir=public_place()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def migrated_server(cluster: Path) -> Iterator[tuple[Server, Path]]:
    """A server on a copy of the fixture `migrated_cluster`, and its folder."""
    with scratch() as folder:
        copy_cluster(cluster, folder / "s")
        server = Server(Cluster.at(folder / "s"), "stillme")
        server.start()
        try:
            yield server, folder
        finally:
            server.stop("immediate")


def copy_cluster(cluster: Path, place: Path) -> None:
    """Copy a stopped cluster, owners and all."""
    subprocess.run(["cp", "-a", str(cluster), str(place)], check=True)


@contextmanager
def primary_and_replica() -> Iterator[tuple[Server, Server]]:
    """Two servers, the second a streaming replica of the first."""
    with scratch() as folder:
        primary = Server(Cluster.at(folder / "p"))
        primary.cluster.initialise()
        primary.start()
        replica = Server(Cluster.at(folder / "r"))
        try:
            _base_backup(primary, replica)
            replica.start()
            yield primary, replica
        finally:
            replica.stop("immediate")
            primary.stop("immediate")


def _base_backup(primary: Server, replica: Server) -> None:
    replica.cluster._private_directory(replica.cluster.run)
    replica.cluster._private_directory(replica.cluster.data)
    replica.run(
        str(replica.cluster._program("pg_basebackup")),
        *("-D", str(replica.cluster.data), "-R", "-X", "stream", "-c", "fast"),
        *("-h", str(primary.cluster.socket_directory), "-p", str(PORT), "-U", "postgres"),
    )


def wait_until(condition, seconds: float = 300) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("It did not come about in time.")
        time.sleep(0.05)
