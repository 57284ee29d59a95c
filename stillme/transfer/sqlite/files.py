"""What can be told of a SQLite file without SQLite, and which other ones lie beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

HEADER = b"SQLite format 3\x00"
_SUFFIXES = (".db", ".sqlite", ".sqlite3", ".db3")


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A SQLite file beside the legacy files that no legacy model describes."""

    name: str
    size: int
    what: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def journal_mode(path: Path) -> str:
    """``wal``, ``rollback`` or ``""``: the file says which in its header."""
    with path.open("rb") as stream:
        head = stream.read(20)
    if len(head) < 20:
        return ""
    return "wal" if head[18] == 2 else "rollback"


def other_files(folder: Path, known: list[Path]) -> list[OtherFile]:
    """SQLite files in `folder` that are not among `known`, by their name or their first bytes."""
    taken = {path.absolute() for path in known}
    described = getattr(settings, "LEGACY_OTHER_FILES", {})
    found = []
    try:
        paths = sorted(p for p in folder.iterdir() if p.is_file() and p.absolute() not in taken)
    except OSError:
        return []
    for path in paths:
        if path.suffix in _SUFFIXES and _is_sqlite(path):
            what = described.get(path.name, "unknown")
            found.append(OtherFile(path.name, path.stat().st_size, what))
    return found


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(len(HEADER))
    except OSError:
        return False
    return head in (HEADER, b"")
