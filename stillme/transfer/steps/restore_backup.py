"""Laying a checked backup into a data directory. What was there is renamed, never deleted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from stillme.transfer.errors import Busy, LegacyFileError, TransferError
from stillme.transfer.sqlite.copying.backup import flush
from stillme.transfer.sqlite.copying.backup_manifest import FileEntry, Manifest, read_manifest
from stillme.transfer.sqlite.copying.room import ask_for_room
from stillme.transfer.sqlite.copying.sparse import bytes_on_disk, copy_sparse, file_sha256
from stillme.transfer.sqlite.reading.connect import uri
from stillme.transfer.steps.back_up import check_backup

_OF_SQLITE = ("", "-wal", "-shm", "-journal")


@dataclass(slots=True)
class Restored:
    """What was laid where, and the folder that holds what was there before."""

    data_directory: Path
    names: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    before: Path | None = None


def restore_backup(directory: Path, data_directory: Path, *, overwrite: bool = False) -> Restored:
    """Restore every file and folder of a backup. Raises TransferError before anything is moved."""
    problems = check_backup(directory)
    if problems:
        raise LegacyFileError(f"The backup is not sound ({problems[0]}): use another one.")
    manifest = read_manifest(directory)
    names = [entry.name for entry in manifest.files] + [f.name for f in manifest.folders]
    present = [name for name in names if (data_directory / name).exists()]
    if present and not overwrite:
        raise TransferError(
            f"{data_directory} already holds {', '.join(present)}: add --yes to set them aside "
            "and restore the backup."
        )
    for name in present:
        _refuse_if_used(data_directory / name)
    needed = sum(bytes_on_disk(path) for path in directory.rglob("*") if path.is_file())
    help = "free some space (what is there now is set aside, not deleted)"
    ask_for_room(data_directory, needed, "The restored backup", help)
    restored = Restored(data_directory, names, manifest.frozen)
    try:
        data_directory.mkdir(parents=True, exist_ok=True)
        if present:
            restored.before = _set_aside(data_directory, present)
        _lay(directory, data_directory, manifest)
    except OSError as error:
        raise LegacyFileError(f"{data_directory} cannot be written: {error.strerror}.") from error
    return restored


def _refuse_if_used(path: Path) -> None:
    """Raises Busy where another process holds the file. A damaged file may be replaced."""
    if path.is_dir() or path.stat().st_size == 0:
        return
    try:
        with closing(sqlite3.connect(uri(path, "rw"), uri=True, timeout=0)) as connection:
            connection.isolation_level = None
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise Busy(f"{path} is in use: stop the application, then restore again.") from error


def _set_aside(data_directory: Path, names: list[str]) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = data_directory / f"before-restore-{stamp}"
    aside.mkdir(mode=0o700)
    for name in names:
        for suffix in _OF_SQLITE:
            path = data_directory / (name + suffix)
            if path.exists():
                path.rename(aside / path.name)
    return aside


def _lay(directory: Path, data_directory: Path, manifest: Manifest) -> None:
    for entry in manifest.files:
        _lay_file(directory / entry.name, data_directory / entry.name, entry)
    for folder in manifest.folders:
        for file in folder.files:
            target = data_directory / folder.name / file["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_sparse(directory / folder.name / file["path"], target)
            flush(target)


def _lay_file(copy: Path, target: Path, entry: FileEntry) -> None:
    draft = target.with_name(target.name + ".restoring")
    copy_sparse(copy, draft)
    if file_sha256(draft) != entry.sha256:
        draft.unlink()
        raise LegacyFileError(f"{target} was not written as it should be: check the disk.")
    flush(draft)
    draft.replace(target)
    flush(target)
    if entry.journal_mode == "wal" and entry.size:
        with closing(sqlite3.connect(target)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
