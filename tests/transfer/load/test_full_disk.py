"""A full disk: one sentence, status 2, nothing lost; with room again the same command ends well.

A limit on the size of files (RLIMIT_FSIZE) stands for a quota and works for every user. A real
full disk is a small tmpfs in a mount namespace of its own; where the system allows none, those
tests skip.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stillme.demo.samples import make_samples
from tests.ops.servers import copy_cluster
from tests.transfer.load.support import content
from tests.transfer.load.test_faults import expected

ROOT = Path(__file__).parents[3]
MANAGE = [sys.executable, str(ROOT / "manage.py")]
# Smaller than any of the legacy files, larger than what a command writes besides.
LIMIT = 16 * 1024

# Runs a command with TMPDIR on a full disk, gives the disk room, and runs it again.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=64m tmpfs "$1" || exit 77
export TMPDIR="$1"
shift
head -c $((64 * 1024 * 1024 - 32 * 1024)) /dev/zero >"$TMPDIR/ballast"
"$@"; echo "first $?"
rm "$TMPDIR/ballast"
"$@"; echo "second $?"
"""


def run(
    environment: dict[str, str], *arguments: str, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [*MANAGE, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        preexec_fn=limited,
    )


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    """One sentence on standard error, and status 2."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert words in done.stderr
    assert "run the same command again" in done.stderr


def digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.glob("*.db")
    }


def on_a_small_disk(
    environment: dict[str, str], place: Path, *command: str
) -> subprocess.CompletedProcess[str]:
    place.mkdir()
    as_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    if shutil.which("unshare") is None:
        pytest.skip("there is no `unshare` (util-linux): a full disk cannot be made here")
    done = subprocess.run(
        ["unshare", "--mount", *as_user, "sh", "-c", ON_A_SMALL_DISK, "sh", str(place), *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode in (1, 77) and "first" not in done.stdout:
        pytest.skip(f"a file system may not be mounted here: {done.stderr.strip()}")
    return done


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_room_for_the_snapshot(legacy: Path, target_environment: dict[str, str]) -> None:
    wanted, before = expected(legacy), digests(legacy)
    refused(run(target_environment, "import_sqlite", limit=LIMIT), "cannot be copied")
    assert not any(content().values())
    assert digests(legacy) == before
    assert run(target_environment, "import_sqlite").returncode == 0
    assert content() == wanted


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_snapshots_disk_is_full(
    legacy: Path, tmp_path: Path, target_environment: dict[str, str]
) -> None:
    wanted, before = expected(legacy), digests(legacy)
    done = on_a_small_disk(target_environment, tmp_path / "disk", *MANAGE, "import_sqlite")
    assert "first 2\n" in done.stdout
    assert done.stdout.endswith("second 0\n")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "free some space" in done.stderr
    assert content() == wanted
    assert digests(legacy) == before


@pytest.mark.slow
def test_no_room_for_the_backup(legacy: Path, tmp_path: Path) -> None:
    environment, before = outside(legacy), digests(legacy)
    command = ("backup_sqlite", "--to", str(tmp_path / "backup"))
    refused(run(environment, *command, limit=LIMIT), "free some space")
    assert list((tmp_path / "backup").iterdir()) == []
    assert digests(legacy) == before
    assert run(environment, *command).returncode == 0
    assert run(environment, "backup_sqlite", "--check", str(tmp_path / "backup")).returncode == 0


@pytest.mark.slow
def test_the_backups_disk_is_full(legacy: Path, tmp_path: Path) -> None:
    environment, place = outside(legacy), tmp_path / "disk"
    command = [*MANAGE, "backup_sqlite", "--to", str(place / "backup")]
    done = on_a_small_disk(environment, place, *command)
    assert "first 2\n" in done.stdout
    assert done.stdout.endswith("second 0\n"), done.stdout + done.stderr
    assert "free some space" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def outside(legacy: Path) -> dict[str, str]:
    """The environment of a command that needs no PostgreSQL."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LEGACY")}
    return {**kept, "LEGACY_DATA_DIR": str(legacy), "SECRET_KEY": "only-for-tests"}


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A tmpfs that the server's account can reach, for a cluster and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk that the server sees too")
    place = Path(tempfile.mkdtemp(prefix="stillme-disk-", dir="/var/tmp"))
    place.chmod(0o755)
    options = ["-t", "tmpfs", "-o", "size=400m", "tmpfs", str(place)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"a file system may not be mounted here: {mounted.stderr.strip()}")
    place.chmod(0o755)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    place.rmdir()


def fill(disk: Path, left: int) -> None:
    """Leave `left` bytes of room. The running server may take some of it meanwhile."""
    with (disk / "ballast").open("wb", buffering=0) as stream:
        size = 0
        with suppress(OSError):
            while True:
                size += stream.write(bytes(1 << 20))
        while True:
            try:
                size += stream.write(bytes(4096))
            except OSError:
                break
        stream.truncate(max(0, size - left))


@contextmanager
def running_server(environment: dict[str, str]) -> Iterator[None]:
    """Somebody else is connected: the embedded server goes on between two commands."""
    code = (
        "import sys; from django.db import connection as c; c.ensure_connection(); "
        "print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [*MANAGE, "shell", "--no-imports", "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == "1\n"
        yield
        holder.stdin.close()


@pytest.mark.embedded
@pytest.mark.slow
def test_the_servers_disk_is_full(small_disk: Path, tmp_path: Path, migrated_cluster: Path) -> None:
    make_samples(tmp_path / "data", rows=3000, variant="clean")
    environment = {
        **outside(tmp_path / "data"),
        "EMBEDDED_POSTGRES_DIR": str(small_disk / "cluster"),
    }
    environment.pop("DATABASE_URL", None)
    copy_cluster(migrated_cluster, small_disk / "cluster")
    fill(small_disk, 0)
    stopped = run(environment, "import_sqlite")
    assert stopped.returncode == 2
    assert "No space left on device. Free some space" in stopped.stderr
    (small_disk / "ballast").unlink()
    with running_server(environment):
        for left in (2 << 20, 64 << 10, 0):
            fill(small_disk, left)
            done = run(environment, "import_sqlite", "--chunk-rows", "500")
            assert done.returncode == 2, done.stdout + done.stderr
            assert len(done.stderr.strip().splitlines()) == 1, done.stderr
            (small_disk / "ballast").unlink()
    done = run(environment, "import_sqlite", "--chunk-rows", "500")
    assert done.returncode == 0, done.stderr
    proof = run(environment, "verify_migration", "--format", "json")
    assert '"findings": []' in proof.stdout, proof.stdout[-2000:] + proof.stderr
