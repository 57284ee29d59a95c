"""backup_sqlite as a library call: copy live files, check the copies, write a manifest."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyFileError, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.stores import stores
from stillme.transfer.plumbing.scratch import clear_dead, scratch_folder
from stillme.transfer.registry import LegacyFile, legacy_files, refuse_namesakes
from stillme.transfer.sqlite.copying.backup import Copied, copy_database, flush
from stillme.transfer.sqlite.copying.backup_check import check_copy, refuses_writes
from stillme.transfer.sqlite.copying.backup_manifest import (
    NAME,
    FileEntry,
    FolderEntry,
    Manifest,
    read_manifest,
    write_manifest,
)
from stillme.transfer.sqlite.copying.plain_files import (
    HEADER,
    fingerprint,
    first_bytes,
    journal_mode,
)
from stillme.transfer.sqlite.copying.room import ask_for_room
from stillme.transfer.sqlite.copying.sparse import bytes_on_disk, copy_sparse, file_sha256
from stillme.visible import counted

_OF_SQLITE = ("-wal", "-shm", "-journal")
# A folder that is there, and locked, while a backup is made next to it; a killed one leaves it.
_UNFINISHED = "backup"
_MARK = f"{conf().prefix}-backup-"


def back_up(
    directory: Path,
    names: tuple[str, ...] = (),
    *,
    with_stores: bool = True,
    on_event: OnEvent = ignore_event,
) -> Manifest:
    """Copy the legacy files (all, or those named) and the folders of stores into a new `directory`.

    Raises LegacyFileError; a folder without a manifest is no backup.
    """
    wanted = [file for file in legacy_files() if not names or file.name in names]
    present = [file for file in wanted if file.path.exists()]
    places = [store.path() for store in stores() if with_stores and not names]
    folders = [place for place in places if place.is_dir()]
    if not present and not folders:
        raise LegacyFileError(
            f"There is no legacy file to back up: set where the files are ({conf().paths})."
        )
    refuse_namesakes(present)
    needed = sum(file.path.stat().st_size for file in present)
    needed += sum(bytes_on_disk(path) for folder in folders for path in _files(folder))
    ask_for_room(directory, needed, "The backup", "free some space or name another folder")
    _make(directory, [*(file.path for file in present), *folders])
    manifest = Manifest(datetime.now(UTC).isoformat(timespec="seconds"), sqlite3.sqlite_version)
    manifest.absent = [file.path.name for file in wanted if file not in present]
    with scratch_folder(_UNFINISHED, directory), _emptied_on_failure(directory):
        _fill(directory, manifest, present, folders, on_event)
    return manifest


def _fill(
    directory: Path,
    manifest: Manifest,
    files: list[LegacyFile],
    folders: list[Path],
    on_event: OnEvent,
) -> None:
    """Copy everything; the manifest comes last."""
    for file in files:
        on_event(Event("file", {"file": file.name, "path": str(file.path)}))
        manifest.files.append(_back_up_file(file, directory, on_event))
    for folder in folders:
        on_event(Event("file", {"file": folder.name, "path": str(folder)}))
        manifest.folders.append(_back_up_folder(folder, directory / folder.name))
    write_manifest(directory, manifest)
    flush(directory / NAME)


@contextmanager
def _emptied_on_failure(directory: Path) -> Iterator[None]:
    """Where the backup fails, its folder is empty again: the same command can be repeated."""
    try:
        yield
    except BaseException as error:
        for path in directory.iterdir():
            _delete(path)
        if isinstance(error, OSError):
            raise LegacyFileError(
                f"The backup cannot be written to {directory}: {error.strerror}; free some space "
                "or name another folder, then run the same command again."
            ) from error
        raise


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _make(directory: Path, originals: list[Path]) -> None:
    """Make the folder; the copies of these that a killed backup has left there go first."""

    def delete_unfinished() -> None:
        if any(original.parent.samefile(directory) for original in originals):
            return
        for name in [NAME, *(o.name + suffix for o in originals for suffix in ("", *_OF_SQLITE))]:
            _delete(directory / name)

    try:
        # Private data: nobody but the owner reads a backup.
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        clear_dead(directory, _UNFINISHED, delete_unfinished)
        if any(directory.iterdir()):
            raise TransferError(f"{directory} is not empty: name a new folder for the backup.")
    except OSError as error:
        raise TransferError(
            f"{directory} cannot be made ({error.strerror}): name another folder for the backup."
        ) from error


def _back_up_file(file: LegacyFile, directory: Path, on_event: OnEvent) -> FileEntry:
    """One copy and what its check found; `progress` counts pages."""
    copy = directory / file.path.name
    if file.path.stat().st_size == 0:
        copy.touch(mode=0o600)
        copied = Copied("bytes")
    else:
        copied = copy_database(file.path, copy, on_pages=_pages_told(file.name, on_event))
    copy.chmod(0o600)
    found = check_copy(copy)
    return FileEntry(
        name=copy.name,
        file=file.name,
        source=str(file.path),
        size=copy.stat().st_size,
        sha256=file_sha256(copy),
        # An online copy leaves WAL mode; a byte copy may be of a file SQLite cannot read.
        journal_mode=copied.journal_mode or journal_mode(file.path),
        copied=copied.how,
        restarts=copied.restarts,
        frozen=refuses_writes(copy),
        **vars(found),
    )


def _pages_told(name: str, on_event: OnEvent) -> Callable[[int, int], None]:
    """Turns the copied and total pages of a file into events: a bar of its own."""
    known = False

    def tell(done: int, total: int) -> None:
        nonlocal known
        if not known:
            known = True
            on_event(Event("table", {"table": name, "total": total, "unit": "pages"}))
        on_event(Event("progress", {"table": name, "rows": done}))

    return tell


def _back_up_folder(folder: Path, copy: Path) -> FolderEntry:
    """Databases by SQLite's backup, other files by bytes; refused where they moved meanwhile."""
    entry = FolderEntry(folder.name, str(folder))
    before = fingerprint(folder)
    try:
        for path in _files(folder):
            target = copy / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if first_bytes(path) == HEADER:
                copy_database(path, target)
            else:
                copy_sparse(path, target)
            target.chmod(0o600)
            entry.files.append(
                {
                    "path": str(path.relative_to(folder)),
                    "size": target.stat().st_size,
                    "sha256": file_sha256(target),
                }
            )
    except OSError as error:
        raise LegacyFileError(f"{folder} cannot be copied: {error.strerror}.") from error
    if fingerprint(folder) != before:
        raise LegacyFileError(
            f"{folder} changed while it was copied: stop the application, or back up without the "
            "vectors (--no-vectors)."
        )
    return entry


def _files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(_OF_SQLITE)
    )


def check_backup(directory: Path) -> list[str]:
    """Every way in which the backup is not what its manifest says; empty for a good one."""
    if not directory.is_dir():
        raise LegacyFileError(f"There is no folder {directory}: name a folder of backup_sqlite.")
    return list(_differences(directory, read_manifest(directory)))


def _differences(directory: Path, manifest: Manifest) -> Iterator[str]:
    known = {NAME}
    for entry in manifest.files:
        known.add(entry.name)
        yield from _file_differences(directory / entry.name, entry)
    for folder in manifest.folders:
        for file in folder.files:
            name = f"{folder.name}/{file['path']}"
            known.add(name)
            yield from _byte_differences(directory / name, name, file["size"], file["sha256"])
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_file() and name not in known and not name.startswith(_MARK):
            yield f"{name} is not in the manifest"


def _byte_differences(path: Path, name: str, size: int, sha256: str) -> Iterator[str]:
    if not path.is_file():
        yield f"{name} is missing"
    elif path.stat().st_size != size:
        yield f"{name} has {path.stat().st_size:,} bytes, the manifest says {size:,}"
    elif file_sha256(path) != sha256:
        yield f"{name} has another SHA-256 than the manifest"


def _file_differences(path: Path, entry: FileEntry) -> Iterator[str]:
    found = list(_byte_differences(path, entry.name, entry.size, entry.sha256))
    yield from found
    if found:
        return
    checked = check_copy(path)
    if checked.integrity != entry.integrity:
        yield f"{entry.name}: integrity_check says {checked.integrity[0]}"
    elif not entry.sound:
        yield f"{entry.name} was damaged when it was copied: {entry.integrity[0]}"
    for table, rows in entry.rows.items():
        if checked.rows.get(table) != rows:
            held = checked.rows.get(table)
            shown = "no readable rows" if held is None else counted(held, "row")
            yield f"{entry.name}: {table} has {shown}, not {rows}"
