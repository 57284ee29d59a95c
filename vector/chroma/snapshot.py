"""A consistent copy of a Chroma folder: the database as every legacy file, the segments by bytes.

The two cannot be copied in one step, so the folder is looked at before and after: where anything
changed under the copy, the copy is refused.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying.plain_files import fingerprint
from stillme.transfer.sqlite.copying.room import TEMPORARY, ask_for_room
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.sqlite.copying.sparse import bytes_on_disk, copy_sparse, file_sha256
from stillme.transfer.sqlite.reading.connect import explained, open_legacy
from vector.names import DATABASE, FILE

SEGMENT_FILES = ("header.bin", "data_level0.bin", "length.bin", "index_metadata.pickle")


class StoreCopy(NamedTuple):
    """A copied store: its folder, its segments, and the copy of its database."""

    folder: Path
    segments: list[Path]
    database: Snapshot

    def digest(self) -> tuple[str, int]:
        """SHA-256 over names and contents of what was copied, and its bytes."""
        digest = hashlib.sha256(f"{DATABASE}\0{self.database.sha256}".encode())
        for path in self.segments:
            digest.update(f"{path.relative_to(self.folder)}\0{file_sha256(path)}".encode())
        return digest.hexdigest(), self.database.size + sum(p.stat().st_size for p in self.segments)


def copy_store(folder: Path, target: Path) -> StoreCopy:
    """Copy the store in `folder` into `target`, a new folder; LegacyFileError with a sentence."""
    database = folder / DATABASE
    try:
        target.mkdir(parents=True)
        before = fingerprint(folder)
        # A commit changes its number, also one that leaves size and time of the files alone.
        with explained(database), closing(open_legacy(database)) as watch:
            commits = "PRAGMA data_version"
            committed = watch.execute(commits).fetchone()
            snapshot = take_snapshot(FILE, database, target)
            segments = _copy_segments(folder, target)
            moved = watch.execute(commits).fetchone() != committed or fingerprint(folder) != before
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
    return StoreCopy(target, segments, snapshot)


def _copy_segments(folder: Path, target: Path) -> list[Path]:
    """The copies, by name. Raises PermissionError, which `glob` would pass over."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [each / name for each in folders for name in SEGMENT_FILES if (each / name).is_file()]
    needed = sum(map(bytes_on_disk, files))
    ask_for_room(target, needed, f"The copy of the vector store {folder}", TEMPORARY)
    copies = [target / file.relative_to(folder) for file in files]
    for file, copy in zip(files, copies, strict=True):
        copy.parent.mkdir(exist_ok=True)
        copy_sparse(file, copy)
    return copies
