"""Which file on disk a state is about: its path, device and inode, noted when capture begins.

A copy of a captured file has the same triggers, the same change log and the same identity inside.
So the place decides which of the two is the live one. `transfer.file_state` keeps it, and whoever
reads or writes a followed file asks here first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stillme.transfer.conf import conf
from stillme.transfer.errors import StateError
from stillme.transfer.models import FileState
from stillme.transfer.plumbing.presence import GONE, absence
from stillme.transfer.records.proofs import identity
from stillme.transfer.registry import LegacyFile

State = FileState.State

MOVED = "manage.py sync_sqlite --moved"
START_OVER = "manage.py sync_sqlite --install, then manage.py import_sqlite --prune --replaced"


def place(path: Path) -> dict[str, Any]:
    """What the ledger notes of a file: ``{"path": ..., "device": ..., "inode": ...}``."""
    return {"path": str(path), **identity(path)}


def other_file(alias: str, file: LegacyFile) -> str | None:
    """None if the settings name the file that the state is about, else the sentence to say.

    A file that was never captured has no place; neither has one that capture was removed from.
    """
    row = FileState.objects.using(alias).filter(pk=file.name).first()
    if row is None or row.state == State.ABSENT or not row.details.get("path"):
        return None
    state, noted = row.state, row.details
    known = Path(noted["path"])
    now = identity(file.path)
    same_path = is_one_path(known, file.path)
    if same_path and not now:
        return None
    same_inode = bool(now) and all(noted.get(name) == value for name, value in now.items())
    if same_path and same_inode:
        return None
    if same_path:
        which = "inode" if noted["inode"] != now["inode"] else "device"
        return _replaced(file, state, f"{which} {noted.get(which)} then, {now[which]} now")
    began = f"{file.name} is {state} with {known}, but the settings name {file.path}"
    if same_inode:
        return f"{began}, the same file under another path: if it was moved there, run {MOVED}."
    if absence(known) != GONE:
        return (
            f"{began}, which is another file: set the path back "
            f"({conf().paths}); if {known} is given up, move it away and run "
            f"{MOVED}."
        )
    return f"{began}, and the former is gone: if it was moved there, run {MOVED}."


def require_place(alias: str, files: Iterable[LegacyFile]) -> None:
    """Raise StateError for a file that is not the one its state is about."""
    for file in files:
        if sentence := other_file(alias, file):
            raise StateError(sentence)


def is_one_path(one: Path | str, other: Path | str) -> bool:
    """Whether both are the same absolute path."""
    return Path(one).absolute() == Path(other).absolute()


def is_one_file(one: Path, other: Path) -> bool:
    """Whether both paths lead to one file, which has no second name.

    SQLite keeps the journal next to the name a file was opened by: under two names, writers do not
    see each other's (https://www.sqlite.org/howtocorrupt.html, 2.4).
    """
    if is_one_path(one, other):
        return True
    return identity(one) == identity(other) and other.stat().st_nlink == 1


def _replaced(file: LegacyFile, state: str, seen: str) -> str:
    began = (
        f"{file.path} is another file than {file.path} was when {file.name} became {state} "
        f"({seen}): if it was moved there or compacted (VACUUM INTO), "
        f"run {MOVED}"
    )
    if state == State.LIVE:
        return f"{began}; if it is a copy, put back the file that the cut-over froze."
    return f"{began}; if it is a new file to go on with, {START_OVER}."
