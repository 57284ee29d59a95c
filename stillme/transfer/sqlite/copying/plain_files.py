"""What can be told of SQLite files and their folder without SQLite."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.conf import conf
from stillme.transfer.sqlite.reading.connect import open_legacy

HEADER = b"SQLite format 3\x00"
_SUFFIXES = (".db", ".sqlite", ".sqlite3", ".db3")


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A SQLite file next to the legacy files that no legacy model describes."""

    name: str
    size: int
    what: str


def journal_mode(path: Path) -> str:
    """``wal``, ``rollback``, or ``""`` of an empty file. Raises LegacyFileError.

    SQLite is asked: if this process opened the file itself, closing it would drop the locks that
    its own SQLite connections hold there.
    """
    if not path.stat().st_size:
        return ""
    with closing(open_legacy(path)) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return "wal" if mode == "wal" else "rollback"


def journal_mode_of_copy(path: Path) -> str:
    """The same of a file that nobody else has open, also where SQLite cannot read it."""
    with path.open("rb") as stream:
        head = stream.read(20)
    if len(head) < 20:
        return ""
    return "wal" if head[18] == 2 else "rollback"


def other_files(folder: Path | None, known: list[Path]) -> list[OtherFile]:
    """SQLite files in `folder` that are not among `known`, by their name or their first bytes."""
    if folder is None:
        return []
    taken = {path.absolute() for path in known}
    described = conf().other_files
    found = []
    try:
        paths = sorted(p for p in folder.iterdir() if p.is_file() and p.absolute() not in taken)
    except OSError:
        return []
    for path in paths:
        if path.suffix in _SUFFIXES and first_bytes(path) in (HEADER, b""):
            what = described.get(path.name, "unknown")
            found.append(OtherFile(path.name, path.stat().st_size, what))
    return found


def first_bytes(path: Path) -> bytes | None:
    """As many as make `HEADER` of a SQLite database; None where they cannot be read."""
    with suppress(OSError), path.open("rb") as stream:
        return stream.read(len(HEADER))
    return None


def fingerprint(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Size, time and inode of every file: equal before and after where nothing moved."""
    seen = {}
    for path in folder.rglob("*"):
        # Reading a database in WAL mode makes a -shm and an empty -wal by itself.
        if path.is_file() and not path.name.endswith("-shm"):
            found = path.stat()
            if found.st_size or not path.name.endswith("-wal"):
                seen[path] = (found.st_size, found.st_mtime_ns, found.st_ino)
    return seen
