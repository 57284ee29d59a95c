"""Broken seals: what somebody did to the old files since the cut-over, told from the file system.

Only names, permissions, sizes and times are looked at, so that a readiness probe may ask. What the
files hold is the judge's question. Example::

    rss_fetch_history.db was written to since the cut-over
    continuum_memory.db was made since the cut-over: a program still opens the old files
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.models import FileState, Seal
from stillme.transfer.plumbing.permissions import may_be_written
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps.sealing.seal import companions, databases_in, seen_at
from stillme.visible import counted

_SHOWN = 3
AGAIN = "run manage.py cutover once more, which makes it read-only"
_WHO = "a program still opens the old files: docs/howto/moving-the-application.md"
_CHANGED = f"got or lost something since the cut-over; {_WHO}"
_WRITTEN = (
    f"was written to since the cut-over; {_WHO}; manage.py verify_migration says whether its rows "
    "are the same"
)


@dataclass(frozen=True, slots=True)
class BrokenSeal:
    """A path, and what is wrong with it as the rest of a sentence."""

    path: Path
    what: str

    @property
    def sentence(self) -> str:
        """For the operator."""
        return f"{self.path} {self.what}"

    @property
    def public(self) -> str:
        """For everybody: without the folder."""
        return f"{self.path.name} {self.what}"


def broken_seals(alias: str) -> list[BrokenSeal]:
    """What is not as the cut-over left it; nothing while the files are in charge."""
    live = FileState.objects.using(alias).filter(state=FileState.State.LIVE)
    names = set(live.values_list("file", flat=True))
    if not names:
        return []
    rows = list(Seal.objects.using(alias).order_by("path"))
    found = list(_unsealed(names - {row.file for row in rows}))
    for file in sorted({row.file for row in rows}):
        found += _few([broken for row in rows if row.file == file for broken in _broken(row)])
    return found


def unsealed(alias: str) -> bool:
    """Whether a file that is live, or something that was sealed, may still be written."""
    return any(AGAIN in broken.what for broken in broken_seals(alias))


def _unsealed(names: set[str]) -> Iterator[BrokenSeal]:
    """Live files of which nothing is noted: the cut-over was killed right after its mark."""
    for file in legacy_files():
        if file.name in names and file.path.exists():
            yield BrokenSeal(file.path, f"is not sealed: {AGAIN}")


def _few(found: list[BrokenSeal]) -> list[BrokenSeal]:
    """The first ones; a store has a hundred files."""
    if len(found) <= _SHOWN:
        return found
    more = f"(and so with {counted(len(found) - _SHOWN, 'more path')})"
    last = found[_SHOWN - 1]
    return [*found[: _SHOWN - 1], BrokenSeal(last.path, f"{last.what} {more}")]


def _broken(row: Seal) -> Iterator[BrokenSeal]:
    path = Path(row.path)
    try:
        if row.mode is None:
            yield from _in_folder(row, path)
        elif path.exists():
            yield from _of_path(row, path)
        elif path.parent.is_dir():
            # Where the folder is gone, too, that is said of the folder.
            yield BrokenSeal(path, "is gone since the cut-over: put it back, it is the way back")
    except OSError as error:
        yield BrokenSeal(path, f"cannot be looked at ({error.strerror})")


def _of_path(row: Seal, path: Path) -> Iterator[BrokenSeal]:
    if may_be_written(path):
        yield BrokenSeal(path, f"may be written: {AGAIN}")
    now = seen_at(path)
    if any(now[name] != row.seen[name] for name in ("device", "inode")):
        yield BrokenSeal(path, f"is another file than the cut-over froze; {_WHO}")
    elif row.seen["settled"] and any(now[name] != row.seen[name] for name in ("size", "time")):
        yield BrokenSeal(path, _CHANGED if path.is_dir() else _WRITTEN)
    for suffix, size in companions(path).items():
        # A writer's journal, or a -wal with a change: a write was begun or done.
        if size and size != row.seen.get("companions", {}).get(suffix):
            companion = path.with_name(path.name + suffix)
            yield BrokenSeal(companion, f"holds a write to a frozen file; {_WHO}")


def _in_folder(row: Seal, folder: Path) -> Iterator[BrokenSeal]:
    """SQLite files that were made in a folder since, and empty ones that hold something now."""
    if not folder.is_dir():
        yield BrokenSeal(folder, "is gone, or is not on this machine: it holds the way back")
        return
    before = row.seen["databases"]
    for name, size in sorted(databases_in(folder).items()):
        if name not in before:
            yield BrokenSeal(folder / name, f"was made since the cut-over; {_WHO}")
        elif not before[name] and size:
            yield BrokenSeal(folder / name, f"was empty at the cut-over; {_WHO}")
