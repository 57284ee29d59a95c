"""Taking the write permission from the old files after a cut-over, and giving it back.

The freeze refuses writes inside a database. It does not keep a program from replacing a file,
deleting a folder, or writing to the vector store. So after the mark of a cut-over each frozen file,
and the folder of each store that is proven as it is now, becomes read-only. The ledger notes the
permission that each had *before* it is changed: whoever is killed half-way has lost nothing, and
the same command again ends the same.

A folder of files stays writable, because the application keeps other files there. If it holds
nothing but `.db` files and the vector store, a note is laid into it: that is the condition under
which a reset of the old application's vector store deletes the folder around it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import transaction

from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.inventory.stores import Store, stores
from stillme.transfer.models import Seal
from stillme.transfer.plumbing.permissions import give_write, mode_of, take_write
from stillme.transfer.records.proofs import standing_proof
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.capture.tables import open_writable
from stillme.transfer.sqlite.copying.plain_files import fingerprint

_SHARED = "-shm"
_WRITES = ("-journal", "-wal")
DATABASES = (".db", ".sqlite", ".sqlite3")
NOTE = "MOVED-TO-POSTGRESQL.txt"
_PATIENCE = 1.0


def seal(
    alias: str, files: Sequence[LegacyFile], on_event: OnEvent, *, renew: bool = False
) -> list[str]:
    """Make frozen files and proven stores read-only; a sentence for each that is not.

    What is sealed already stays noted as it was; `renew` notes what the files hold now, after a
    rollback that was given up has written to them.
    """
    known = {row.path: row for row in Seal.objects.using(alias)}
    rows = [_of_file(file, known, renew=renew) for file in files]
    left = []
    for store in stores():
        before = [row for row in known.values() if row.file == store.name]
        # The digest takes its time: what is written after it must not be noted as proven.
        found = fingerprint(store.path())
        noted = list(_of_store(store, before)) if before or _is_proven(alias, store) else []
        if before or (noted and fingerprint(store.path()) == found):
            rows += noted
        elif store.is_present():
            left.append(
                f"{store.path()} stays writable, because it is not proven as it is now: stop its "
                f"writers, run manage.py import_sqlite --file {store.name} and manage.py "
                f"verify_migration --file {store.name}, then manage.py cutover once more"
            )
    folders = [folder for folder in _folders() if folder.is_dir()]
    rows += [
        known.get(str(folder))
        or Seal(path=str(folder), file="", seen={"databases": databases_in(folder)})
        for folder in folders
    ]
    with transaction.atomic(using=alias):
        former = [path for path, row in known.items() if _is_former(row, files)]
        Seal.objects.using(alias).filter(path__in=former).delete()
        for row in rows:
            row.save(using=alias)
    for row in rows:
        if row.mode is not None and (why := take_write(Path(row.path))):
            left.append(f"{row.path} {why}")
    left += [said for folder in folders if (said := _lay_note(folder))]
    for sentence in left:
        on_event(Event("notice", {"message": f"{sentence}."}))
    return left


def unsealed_stores(alias: str) -> list[str]:
    """The stores that may be sealed by now: proven, and nothing noted of them."""
    sealed = set(Seal.objects.using(alias).values_list("file", flat=True))
    return [s.name for s in stores() if s.name not in sealed and _is_proven(alias, s)]


def unseal(alias: str) -> None:
    """Give every path the permission back that it had. Raises LegacyFileError where that fails.

    The ledger keeps its notes until `forget`: a kill in between loses nothing.
    """
    for row in Seal.objects.using(alias).order_by("path"):
        path = Path(row.path)
        try:
            note = path / NOTE
            if row.mode is None:
                if note.is_file() and note.read_text("utf-8", errors="replace") == _text():
                    note.unlink()
            elif path.exists():
                give_write(path, row.mode)
                _free_companions(path)
        except OSError as error:
            raise LegacyFileError(
                f"{path} cannot be made writable again ({error.strerror}): run this as its owner."
            ) from error


def forget(alias: str) -> None:
    """Delete the notes, in the transaction that puts the files in charge again."""
    Seal.objects.using(alias).all().delete()


def _of_file(file: LegacyFile, known: dict[str, Seal], *, renew: bool) -> Seal:
    """The note of a file. One that was moved since keeps the permission that it had."""
    path = file.path.resolve()
    before = next((row for row in known.values() if row.file == file.name), None)
    if before is None:
        return Seal(path=str(path), file=file.name, mode=mode_of(path), seen=_seen_of_file(path))
    moved = before.path != str(path)
    seen = _seen_of_file(path) if renew or moved else before.seen
    return Seal(
        path=str(path), file=file.name, mode=before.mode, seen=seen, sealed_at=before.sealed_at
    )


def _seen_of_file(path: Path) -> dict[str, Any]:
    settled = _settle(path)
    return {**seen_at(path, settled=settled), "companions": companions(path)}


def companions(path: Path) -> dict[str, int]:
    """Suffix -> size of the files next to a database in which SQLite keeps a write."""
    beside = ((suffix, path.with_name(path.name + suffix)) for suffix in _WRITES)
    return {suffix: place.stat().st_size for suffix, place in beside if place.exists()}


def _of_store(store: Store, before: Sequence[Seal]) -> Iterator[Seal]:
    """The notes of a store's folder and of all that is in it; links are not followed.

    One that was moved since keeps the permissions that it had.
    """
    folder = store.path().resolve()
    former = min((Path(row.path) for row in before), default=folder)
    noted = {Path(row.path).relative_to(former): row for row in before}
    for path in walked(folder):
        row = noted.get(path.relative_to(folder))
        if row is not None and former == folder:
            yield row
        else:
            mode = mode_of(path) if row is None else row.mode
            yield Seal(path=str(path), file=store.name, mode=mode, seen=seen_at(path))


def walked(folder: Path) -> Iterator[Path]:
    """A folder, and every folder and file below it."""
    yield folder
    for root, names, files in os.walk(folder):
        for name in [*names, *files]:
            path = Path(root, name)
            if not path.is_symlink():
                yield path


def seen_at(path: Path, *, settled: bool = True) -> dict[str, Any]:
    """What tells that a path was written to or replaced. `settled`: no write is pending in a -wal,
    so nobody has a reason to write to the file any more."""
    found = path.stat()
    return {
        "device": found.st_dev,
        "inode": found.st_ino,
        "size": found.st_size,
        "time": found.st_mtime_ns,
        "settled": settled,
    }


def databases_in(folder: Path) -> dict[str, int]:
    """Name -> size of the SQLite files in a folder, those that the project knows left out."""
    return {
        path.name: path.stat().st_size
        for path in folder.iterdir()
        if path.suffix in DATABASES and path.name not in conf().other_files and path.is_file()
    }


def _folders() -> list[Path]:
    """Where legacy files and stores are, or would be made."""
    places = {file.path.resolve().parent for file in legacy_files()}
    return sorted(places | {store.path().resolve().parent for store in stores()})


def _is_former(row: Seal, files: Sequence[LegacyFile]) -> bool:
    """Whether a note is of a place where one of these files, a store or a folder is no more."""
    path = Path(row.path)
    if not row.file:
        return path not in _folders()
    present = [place.path for place in files if place.name == row.file]
    present += [store.path() for store in stores() if store.name == row.file]
    return bool(present) and not path.is_relative_to(present[0].resolve())


def _settle(path: Path) -> bool:
    """Bring a -wal into its file, so that the last process to close it writes nothing more.

    False where a reader keeps it from being done: then a change of the file says nothing.
    """
    try:
        with closing(open_writable(path, timeout=_PATIENCE)) as connection:
            busy, pending, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except (LegacyFileError, sqlite3.Error):
        return False
    return not busy and pending in (0, -1)


def _is_proven(alias: str, store: Store) -> bool:
    """Whether a store is proven as it is now: nobody has written to it since its proof."""
    standing = standing_proof(alias, {store.name: store.path()})
    if not store.is_present() or not standing.is_proven or standing.proof is None:
        return False
    noted = (standing.proof.report.get("files") or {}).get(store.name) or {}
    try:
        return bool(noted.get("sha256") == store.digest(store.path()))
    except LegacyFileError:
        return False


def _free_companions(path: Path) -> None:
    """SQLite gives its -wal and -shm the permission of their file: read-only, while it was sealed.

    A writer that finds them so could not write.
    """
    mode = mode_of(path)
    for suffix in (*_WRITES, _SHARED):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            give_write(companion, mode)


def _text() -> str:
    return (
        f"{conf().subject} has moved to PostgreSQL. The SQLite files here are frozen: they are the "
        "way back\n(manage.py rollback_migration). Do not delete them. A rollback removes this "
        "note.\n"
    )


def _lay_note(folder: Path) -> str:
    note = folder / NOTE
    try:
        if _may_be_deleted(folder):
            note.write_text(_text(), encoding="utf-8")
    except OSError as error:
        return f"{note} could not be written ({error.strerror})"
    return ""


def _may_be_deleted(folder: Path) -> bool:
    """Whether a folder holds databases only: what the old reset takes for worthless."""
    names = {store.path().name for store in stores()}
    rest = [path.name for path in folder.iterdir() if path.name not in names]
    ends = (".db", *(f".db{suffix}" for suffix in (*_WRITES, _SHARED)))
    return bool(rest) and all(name.endswith(ends) for name in rest)
