"""The embedded server's settings for a bulk load: by the machine, and never over the operator's."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stillme.postgresql.embedded import tuning
from stillme.postgresql.embedded.cluster import PORT, Cluster, server_environment
from stillme.postgresql.embedded.server import answers

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("embedded")]
GB = 1 << 30


@pytest.mark.parametrize(
    ("memory", "disk", "buffers", "log"),
    [
        (1 * GB, 10 * GB, "128MB", "1024MB"),
        (8 * GB, 50 * GB, "512MB", "2560MB"),
        (256 * GB, 4000 * GB, "1024MB", "4096MB"),
    ],
)
def test_by_memory_and_disk(memory: int, disk: int, buffers: str, log: str) -> None:
    chosen = tuning.settings_for(memory, disk)
    assert (chosen["shared_buffers"], chosen["max_wal_size"]) == (buffers, log)


def test_a_container_has_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "memory.max"
    monkeypatch.setattr(tuning, "_CONTAINER", told)
    whole = tuning.memory_at_hand()
    told.write_text("max\n")
    assert tuning.memory_at_hand() == whole
    told.write_text("1048576\n")
    assert tuning.memory_at_hand() == 1 << 20


def test_freed_memory_stays_as_the_operator_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    monkeypatch.setenv("PGPORT", "1")
    found = server_environment()
    assert found["MALLOC_TRIM_THRESHOLD_"] == "131072"
    assert found["MALLOC_MMAP_THRESHOLD_"] == "4194304"
    assert "PGPORT" not in found


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster of its own, which nobody else knows."""
    path = Path(tempfile.mkdtemp(prefix="stillme-test-", dir="/var/tmp"))
    path.chmod(0o755)
    made = Cluster.at(path / "cluster")
    made.initialise()
    yield made
    if answers(made):
        stop(made)
    shutil.rmtree(path)


def stop(cluster: Cluster) -> None:
    cluster._run("pg_ctl", "-w", "-m", "fast", "-D", str(cluster.data), "stop")


def shown(cluster: Cluster, *statements: str) -> dict[str, str]:
    """The settings of a started server, after some statements."""
    names = ("shared_buffers", "max_wal_size", "fsync", "synchronous_commit", "full_page_writes")
    host = str(cluster.socket_directory)
    with psycopg.connect(
        host=host, port=PORT, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        for statement in statements:
            connection.execute(statement)
        return {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in names
        }


def test_the_operator_has_the_last_word(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "memory_at_hand", lambda: 4 * GB)
    cluster.start()
    found = shown(cluster, "ALTER SYSTEM SET max_wal_size = '2GB'")
    assert found["shared_buffers"] == "256MB"
    durable = [found[name] for name in ("fsync", "synchronous_commit", "full_page_writes")]
    assert durable == ["on", "on", "on"]
    stop(cluster)
    monkeypatch.setattr(tuning, "memory_at_hand", lambda: 8 * GB)
    cluster.start()
    assert shown(cluster)["max_wal_size"] == "2GB"
    assert shown(cluster)["shared_buffers"] == "512MB"
    own = (cluster.data / "postgresql.conf").read_text()
    assert own.count(tuning.NAME) == 1
