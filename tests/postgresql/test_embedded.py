"""The embedded server under several processes: started once, stopped after the last of them."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stillme.postgresql.embedded import EmbeddedServerError, cluster, server
from tests.in_memory import public_place

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("embedded")]

# Connects, says so, and stays until its standard input closes.
USER = """
import os, sys, psycopg
from pathlib import Path
from stillme.postgresql.embedded.server import ensure_server
host = ensure_server(Path(sys.argv[1]), "stillme")
connections = [psycopg.connect(host=str(host), user="postgres", dbname="stillme")
               for _ in range(int(sys.argv[2]))]
started = connections[0].execute("SELECT pg_postmaster_start_time()::text").fetchone()
print(started[0], flush=True)
sys.stdin.read()
assert connections[-1].execute("SELECT 1").fetchone() == (1,)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A place that the server's account can reach: pytest's own directories are private."""
    path = Path(tempfile.mkdtemp(prefix="stillme-test-", dir=public_place()))
    path.chmod(0o755)
    yield path / "cluster"
    wait_until(lambda: all(stopped(lock.parent) for lock in path.glob("**/watcher.lock")))
    shutil.rmtree(path)


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Start a process that uses the server; all are ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def run(connections: int = 1) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", USER, str(directory), str(connections)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    wait_until(lambda: not running(directory))


def running(directory: Path) -> bool:
    """Whether a server listens on the cluster's socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(directory / "run" / ".s.PGSQL.5432")) == 0


def stopped(directory: Path) -> bool:
    """Whether its watcher is through: no socket any more is not yet no file any more."""
    with (directory / "watcher.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "the process could not connect"
    return line


def end(process: subprocess.Popen[str]) -> int:
    process.communicate()
    return process.returncode


def test_processes_share_one_server_until_the_last_ends(start: Start, directory: Path) -> None:
    users = [start(connections=5) for _ in range(3)]
    servers = {first_line(user) for user in users}
    assert len(servers) == 1, "started at the same time, they share one server"
    for user in users[:-1]:
        assert end(user) == 0
    time.sleep(0.3)
    assert running(directory)
    assert end(users[-1]) == 0
    wait_until(lambda: not running(directory))


def test_a_killed_process_stops_nobody_elses_server(start: Start, directory: Path) -> None:
    victim, survivor = start(), start()
    assert first_line(victim) == first_line(survivor)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    time.sleep(0.3)
    assert running(directory)
    assert end(survivor) == 0, "its connection still answered"
    wait_until(lambda: not running(directory))


def test_a_killed_last_process_leaves_no_server(start: Start, directory: Path) -> None:
    user = start()
    first_line(user)
    user.send_signal(signal.SIGKILL)
    user.wait()
    wait_until(lambda: not running(directory))


@pytest.mark.slow
def test_a_process_that_comes_while_it_stops_finds_a_server(start: Start, directory: Path) -> None:
    before = start()
    first_line(before)
    before.kill()
    for _ in range(4):  # each arrives while the watcher is at work
        user = start()
        first_line(user)
        user.kill()
    last = start()
    first_line(last)
    assert end(last) == 0


def test_a_crashed_server_is_started_again(start: Start, directory: Path) -> None:
    user = start()
    first_line(user)
    host = server.ensure_server(directory, "stillme")
    postmaster = int((directory / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    wait_until(lambda: not running(directory))
    assert server.revive_server(directory)
    assert not server.revive_server(directory), "it runs already"
    assert host == cluster.Cluster.at(directory).socket_directory
    user.kill()
    release(directory)


def test_a_forked_child_keeps_the_server(directory: Path) -> None:
    script = (
        "import os, sys, time; from pathlib import Path\n"
        "from stillme.postgresql.embedded.server import ensure_server\n"
        "ensure_server(Path(sys.argv[1]))\n"
        "if os.fork(): os._exit(0)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], stdin=subprocess.PIPE
    )
    process.wait()
    time.sleep(0.3)
    assert running(directory)
    assert process.stdin is not None
    process.stdin.close()
    wait_until(lambda: not running(directory))


def test_a_half_made_cluster_is_made_anew(directory: Path) -> None:
    other = directory.parent / "halfmade"
    (other / "data.new").mkdir(parents=True)
    (other / "data.new" / "PG_VERSION").write_text("18\n")
    server.ensure_server(other)
    assert not (other / "data.new").exists()
    release(other)


def test_a_long_path_gets_a_short_socket(directory: Path) -> None:
    long = directory.parent / ("long-" * 20) / "a directory, with 'odd' names"
    host = server.ensure_server(long, "stillme")
    assert len(str(host)) < 60
    assert host.stat().st_mode & 0o777 == 0o700, "only the server's account may connect"
    release(long)
    wait_until(lambda: stopped(long))
    host.rmdir()


def test_another_version_of_postgresql_is_a_sentence(directory: Path) -> None:
    other = directory.parent / "older"
    (other / "data").mkdir(parents=True)
    (other / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 16"):
        server.ensure_server(other)


def test_a_server_that_does_not_start_is_a_sentence(directory: Path) -> None:
    other = directory.parent / "broken"
    (other / "data").mkdir(parents=True)
    (other / "data" / "PG_VERSION").write_text("18\n")
    with pytest.raises(EmbeddedServerError, match="did not come up"):
        server.ensure_server(other)


def test_no_parent_directory_is_widened(start: Start, directory: Path) -> None:
    first_line(start())
    assert directory.parent.stat().st_mode & 0o777 == 0o755
    assert (directory / "data").stat().st_mode & 0o777 == 0o700


def test_a_private_directory_is_refused_for_root(directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root needs another user for the server")
    private = directory.parent / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="cannot reach"):
        server.ensure_server(private / "cluster")
    assert private.stat().st_mode & 0o777 == 0o700


def test_without_the_wheel_it_says_to_set_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedServerError, match="Set DATABASE_URL"):
        cluster.wheel_programs()


@pytest.mark.slow
def test_programs_nobody_else_can_reach_are_copied(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, with the wheel below a private home."""
    if os.geteuid() != 0:
        pytest.skip("only root needs another user for the server")
    private = directory.parent / "home"
    private.mkdir(mode=0o700)
    package = cluster.wheel_programs().parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, private / part.name, symlinks=True)
    programs = private / package.name / "pginstall18" / "bin"
    monkeypatch.setattr(cluster, "wheel_programs", lambda: programs)
    other = directory.parent / "copied"
    server.ensure_server(other, "stillme")
    assert (other / "pgsql" / "complete").exists()
    assert private.stat().st_mode & 0o777 == 0o700
    release(other)


def release(directory: Path) -> None:
    """Let go of a server that this very process used, as if it had ended."""
    os.close(server._handles.pop(directory))
    held = server._clusters.pop(directory)
    wait_until(lambda: not server.answers(held))
