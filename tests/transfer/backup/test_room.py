"""Holes stay holes, and room is asked for before anything is written."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stillme.demo.samples import make_samples
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying import sparse
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.sqlite.copying.sparse import bytes_on_disk, copy_sparse, file_sha256
from stillme.transfer.steps.back_up import back_up, check_backup
from stillme.transfer.steps.restore_backup import restore_backup
from tests.vector.chroma_files import ADD, ChromaFiles
from vector.chroma.snapshot import copy_store

HOLE = 32 << 20


class Usage(NamedTuple):
    """What `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`full_disk(free)` leaves so many bytes."""

    def leave(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(10**12, 10**12 - free, free))

    return leave


@pytest.fixture
def store(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """A data folder whose vector store has segment files with room for elements to come."""
    data = tmp_path / "data"
    make_samples(data, rows=20)
    files = ChromaFiles(data / "vector_db")
    made = files.collection("c")
    made.write(ADD, "a", [1.0, 2.0, 3.0, 4.0], "text")
    segment = made.flush()
    for name in ("link_lists.bin", "data_level0.bin"):
        with (segment / name).open("ab") as stream:
            stream.truncate(HOLE)
    files.close()
    use_legacy_files(data)
    assert bytes_on_disk(segment / "link_lists.bin") == 0
    return data


def holes(path: Path, pieces: list[tuple[int, bytes]], size: int) -> None:
    """A file with data at these places only."""
    with path.open("wb") as stream:
        for at, data in pieces:
            stream.seek(at)
            stream.write(data)
        stream.truncate(size)


@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        ([], 0),
        ([(0, b"x")], 1),
        ([], HOLE),
        ([(0, b"start")], HOLE),
        ([(HOLE - 3, b"end")], HOLE),
        ([(5 << 20, b"a" * 70_000), (20 << 20, b"b" * (3 << 20))], HOLE + 1),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_a_copy_reads_the_same(
    tmp_path: Path,
    pieces: list[tuple[int, bytes]],
    size: int,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the file system cannot tell, and over a longer file that was there."""
    path, copy = tmp_path / "file", tmp_path / "copy"
    holes(path, pieces, size)
    copy.write_bytes(b"older" * 100)
    if not told:

        def refuse(*arguments: Any) -> int:
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(os, "lseek", refuse)
    copy_sparse(path, copy)
    assert copy.stat().st_size == size
    assert copy.read_bytes() == path.read_bytes()
    assert file_sha256(copy) == hashlib.sha256(path.read_bytes()).hexdigest()
    if told:
        assert bytes_on_disk(copy) <= bytes_on_disk(path) + 8192


def test_backup_restore_and_snapshot_keep_holes(store: Path, tmp_path: Path) -> None:
    backup, back, copied = tmp_path / "backup", tmp_path / "back", tmp_path / "copied"
    manifest = back_up(backup)
    assert check_backup(backup) == []
    restore_backup(backup, back)
    copy_store(store / "vector_db", copied)
    (entry,) = manifest.folders
    for file in entry.files:
        origin, restored = (place / "vector_db" / file["path"] for place in (store, back))
        assert file["size"] == restored.stat().st_size
        if not file["path"].endswith("sqlite3"):
            assert file["sha256"] == file_sha256(origin) == file_sha256(restored)
    for place in (backup, back, copied):
        assert sum(bytes_on_disk(p) for p in place.rglob("*.bin")) < 1 << 20


def test_room_is_asked_for_by_what_is_on_the_disk(
    store: Path, tmp_path: Path, full_disk: Callable[[int], None]
) -> None:
    full_disk(16 << 20)
    backup = tmp_path / "backup"
    assert back_up(backup).folders
    restore_backup(backup, tmp_path / "back")


def test_no_room(store: Path, tmp_path: Path, full_disk: Callable[[int], None]) -> None:
    back_up(tmp_path / "sound")
    data = sorted(store.rglob("*"))
    full_disk(40_000)
    for write in (
        lambda: back_up(tmp_path / "made" / "backup"),
        lambda: restore_backup(tmp_path / "sound", store, overwrite=True),
        lambda: take_snapshot("rss", store / "rss_fetch_history.db", tmp_path),
        lambda: copy_store(store / "vector_db", tmp_path / "copied"),
    ):
        with pytest.raises(LegacyFileError, match=r"free some space.*, then run the same command"):
            write()
    assert not (tmp_path / "made").exists()
    assert sorted(store.rglob("*")) == data
    assert not (tmp_path / "rss.db").exists()


def test_an_error_of_the_disk_is_not_taken_for_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> int:
        raise OSError(5, "Input/output error")

    (tmp_path / "file").write_bytes(b"data")
    monkeypatch.setattr(sparse.os, "lseek", broken)
    with pytest.raises(OSError, match="Input/output error"):
        copy_sparse(tmp_path / "file", tmp_path / "copy")
