"""What makes the tests faster and decides nothing: memory in place of the disk, compiled modules.

Where memory is plenty, temporary files and the embedded server's cluster lie in it. Each commit of
each sample file waits for the disk, which took a third of the time; tests kill processes, not
machines.
"""

from __future__ import annotations

import multiprocessing.util
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings

SHARED_MEMORY = Path("/dev/shm")
CLUSTER = "postgresql"
PREFIX = "stillme-tests-"
ENOUGH = 8 * 2**30  # bytes: the slow tests make files of hundreds of megabytes


def keep_compiled() -> None:
    """Let the commands that tests start find the modules compiled: a third of their start."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def use_memory(with_server: bool) -> Path | None:
    """Move temporary files into memory if it has room, and the cluster unless a server is named.

    A new cluster takes some seconds: not worth it for a run of some files, which finds the usual
    one with its template. Answers the folder, which `give_back` removes. The processes of the
    tests inherit what this sets, so only the first one calls it.
    """
    if "TMPDIR" in os.environ or not _has_room(SHARED_MEMORY):
        return None
    _clear_leftovers()
    # The folder of `fork_server` is removed at the very end, when this one is gone.
    multiprocessing.util.get_temp_dir()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SHARED_MEMORY))
    # The server's account has to reach its cluster.
    folder.chmod(0o755)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    target = settings.DATABASES["default"]
    if with_server and "EMBEDDED" in target and "EMBEDDED_POSTGRES_DIR" not in os.environ:
        cluster = folder / CLUSTER
        os.environ["EMBEDDED_POSTGRES_DIR"] = str(cluster)
        settings.EMBEDDED_POSTGRES_DIR = cluster
        target["EMBEDDED"]["directory"] = str(cluster)
    return folder


def public_place() -> str:
    """Where a folder can be made that the account of an embedded server reaches."""
    place = tempfile.gettempdir()
    return place if Path(place).name.startswith(PREFIX) else "/var/tmp"


def give_back(folder: Path) -> None:
    """Stop the server and remove the folder: nobody who ran the tests misses the memory."""
    lock = folder / CLUSTER / "data" / "postmaster.pid"
    deadline = time.monotonic() + 30
    while lock.exists() and time.monotonic() < deadline:
        # At once, with whatever a killed test left connected. It removes the file at its end.
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(lock.read_text().split()[0]), signal.SIGQUIT)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def _clear_leftovers() -> None:
    """Give back what killed runs have left: nobody else will before the machine starts again."""
    for folder in SHARED_MEMORY.glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).split("-")[0]
        if process.isdigit() and not Path("/proc", process).exists():
            give_back(folder)


def _has_room(folder: Path) -> bool:
    """Whether so much is free in it, and in the machine's memory."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return False
    known = dict(line.split(":", 1) for line in lines)
    free = int(known["MemAvailable"].split()[0]) * 1024
    return os.access(folder, os.W_OK) and min(free, shutil.disk_usage(folder).free) >= ENOUGH
