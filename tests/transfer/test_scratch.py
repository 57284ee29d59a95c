"""Temporary folders: those of dead runs go, those of living ones and of others stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from stillme.transfer.plumbing import scratch
from stillme.transfer.plumbing.scratch import clear_dead, scratch_folder

RUN = """
import sys, time
from pathlib import Path
from stillme.transfer.plumbing.scratch import scratch_folder

with scratch_folder("snapshot", Path(sys.argv[1])) as folder:
    (folder / "knowledge.db").write_bytes(b"private")
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_run(place: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that keeps a copy in a folder of its own."""
    command = [sys.executable, "-c", RUN, str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def kept(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def gone_after_clearing(place: Path) -> list[Path]:
    before = set(place.iterdir())
    clear_dead(place)
    return sorted(before - set(place.iterdir()))


def test_a_folder_is_gone_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder("verify", tmp_path) as folder:
        (folder / "store").mkdir(mode=0o700)
        assert [path.name.rpartition("-")[0] for path in tmp_path.iterdir()] == ["stillme-verify"]
        assert folder.parent.stat().st_mode & 0o077 == 0
        _ = 1 / 0
    assert kept(tmp_path) == []


def test_the_next_run_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    with another_run(tmp_path) as living, another_run(tmp_path) as killed:
        assert gone_after_clearing(tmp_path) == []
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with scratch_folder("sweep", tmp_path):
            assert len(kept(tmp_path)) == 2
        assert living.poll() is None
        (left,) = tmp_path.iterdir()
        assert (left / "files" / "knowledge.db").read_bytes() == b"private"


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["migration_status", "quarantine"])
def test_a_command_that_copies_nothing_clears_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    with another_run(tmp_path) as killed:
        killed.kill()
        killed.wait()
        arguments = ["list"] if command == "quarantine" else []
        call_command(command, *arguments, stdout=StringIO())
        assert kept(tmp_path) == []


def test_no_temporary_folder_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(scratch.tempfile, "gettempdir", none)
    scratch.clear_temporary()


def test_a_forked_worker_keeps_the_folder(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with scratch_folder("snapshot", tmp_path) as folder:
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        # As the kernel does for a parent that is killed: its descriptor is closed, nothing else.
        lock = descriptor_of(folder.parent / "lock")
        other = os.open(os.devnull, os.O_RDONLY)
        os.dup2(other, lock)
        os.close(other)
        assert gone_after_clearing(tmp_path) == []
        os.close(writer)
        os.waitpid(child, 0)
        assert gone_after_clearing(tmp_path) == [folder.parent]
    os.close(reader)


def descriptor_of(file: Path) -> int:
    """The open descriptor of a file."""
    links = {link: int(link.name) for link in Path("/proc/self/fd").iterdir() if link.exists()}
    return next(number for link, number in links.items() if link.samefile(file))


def test_what_is_not_ours_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = tmp_path / "stillme-snapshot-mine"
    (somebody / "data").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (tmp_path / "stillme-snapshot-link").symlink_to(elsewhere)
    (tmp_path / "stillme-snapshot-file").touch()
    young = tmp_path / "stillme-snapshot-young"
    young.mkdir()
    old = tmp_path / "stillme-snapshot-old"
    old.mkdir()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    assert gone_after_clearing(tmp_path) == [old]
    with another_run(tmp_path) as killed:
        killed.kill()
        killed.wait()
        monkeypatch.setattr(scratch.os, "geteuid", lambda: os.getuid() + 1)
        assert gone_after_clearing(tmp_path) == []
        monkeypatch.undo()
        assert len(gone_after_clearing(tmp_path)) == 1


def test_a_folder_taken_for_a_dead_ones_before_it_was_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, cleared = scratch._lock_at_once, list[Path]()

    def too_late(lock: int, *, without_locks: bool) -> bool:
        if without_locks and not cleared:
            cleared.extend(gone_after_clearing(tmp_path))
        return hold(lock, without_locks=without_locks)

    monkeypatch.setattr(scratch, "_lock_at_once", too_late)
    with scratch_folder("snapshot", tmp_path) as folder:
        assert folder.is_dir()
        assert cleared
        assert cleared != [folder.parent]
    assert kept(tmp_path) == []
