"""A consistent copy of a Chroma folder: the database by SQLite's backup, the segments by bytes.

The two cannot be copied in one step, so the folder is looked at before and after: where anything
changed under the copy, the copy is refused.
"""

from __future__ import annotations

import hashlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying.room import TEMPORARY, ask_for_room
from stillme.transfer.sqlite.copying.snapshot import copied_whole
from stillme.transfer.sqlite.copying.sparse import bytes_on_disk, copy_sparse
from stillme.transfer.sqlite.reading.connect import (
    check_readable,
    explain,
    open_legacy,
    place_of,
)
from vector.names import DATABASE

SEGMENT_FILES = ("header.bin", "data_level0.bin", "length.bin", "index_metadata.pickle")


def copy_store(folder: Path, target: Path) -> Path:
    """Copy the store in `folder` into `target`; LegacyFileError with a sentence otherwise."""
    folder = database_folder(folder)
    before = fingerprint(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _ask_for_room(folder, target)
        moved = _copy_beside(folder, target) or fingerprint(folder) != before
    except OSError as error:
        if isinstance(error, PermissionError):
            raise LegacyFileError(
                f"No permission to read all of the vector store {folder}: run as its owner or "
                "grant read access."
            ) from error
        raise LegacyFileError(
            f"The vector store {folder} cannot be copied to {target}: {error.strerror}."
        ) from error
    if moved:
        raise LegacyFileError(
            f"The vector store {folder} changed while it was copied: stop the application that "
            "writes it and run again."
        )
    return target


def copy_digest(copy: Path) -> tuple[str, int]:
    """SHA-256 over names and contents of a copy's files, and their bytes."""
    digest, size = hashlib.sha256(), 0
    for path in sorted(found for found in copy.rglob("*") if found.is_file()):
        digest.update(str(path.relative_to(copy)).encode() + b"\0")
        with path.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
        size += path.stat().st_size
    return digest.hexdigest(), size


def _ask_for_room(folder: Path, target: Path) -> None:
    needed = (folder / DATABASE).stat().st_size + sum(map(bytes_on_disk, _segment_files(folder)))
    ask_for_room(target, needed, f"The copy of the vector store {folder}", TEMPORARY)


def _copy_beside(folder: Path, target: Path) -> bool:
    """Copy database and segments; whether somebody wrote the database meanwhile."""
    database = folder / DATABASE
    # A store that cannot be read where it is (a writer died amid a transaction, a read-only
    # folder) is read from a private copy; then no reader of ours makes a -wal next to it.
    log = _log_state(database)
    try:
        with closing(open_legacy(database)) as origin:
            place = place_of(origin, database)
            committed = _data_version(origin)
            # Beside each other: both let go of Python's lock while they copy.
            with ThreadPoolExecutor(max_workers=1) as thread:
                segments = thread.submit(_copy_segments, folder, target)
                _copy_database(origin, place, target / DATABASE)
                segments.result()
            if place != database and _log_state(database) != log:
                return True
            return _data_version(origin) != committed
    except sqlite3.Error as error:
        raise explain(database, error) from error


def _log_state(database: Path) -> tuple[int, int] | None:
    try:
        stat = database.with_name(database.name + "-wal").stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns


def database_folder(path: Path) -> Path:
    """The folder of the store, given the folder or its chroma.sqlite3, which can be read."""
    folder = path.parent if path.name == DATABASE else path
    check_readable(folder / DATABASE)
    return folder


def fingerprint(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Name, size, time and inode of every file: equal before and after where nothing moved."""
    seen: dict[str, tuple[int, int, int]] = {}
    try:
        for path in sorted(folder.rglob("*")):
            # Reading a database in WAL mode makes these two by itself.
            if path.is_file() and not path.name.endswith(("-shm", "-wal")):
                stat = path.stat()
                seen[str(path.relative_to(folder))] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    except OSError as error:
        raise LegacyFileError(f"{folder} cannot be read: {error.strerror}.") from error
    return seen


def _data_version(origin: sqlite3.Connection) -> int:
    """A number that changes when another connection commits, also into a -wal."""
    return int(origin.execute("PRAGMA data_version").fetchone()[0])


def _copy_database(origin: sqlite3.Connection, source: Path, target: Path) -> None:
    if copied_whole(origin, source, target):
        return
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = OFF")
        origin.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")


def _copy_segments(folder: Path, target: Path) -> None:
    for file in _segment_files(folder):
        place = target / file.relative_to(folder)
        place.parent.mkdir(exist_ok=True)
        copy_sparse(file, place)


def _segment_files(folder: Path) -> list[Path]:
    """Raises PermissionError, which `glob` would pass over."""
    segments = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [segment / name for segment in segments for name in SEGMENT_FILES]
    return [path for path in files if path.is_file()]
