"""Is there room for a copy? Asked before it is made: a full disk half-way helps nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

from stillme.transfer.errors import LegacyFileError

# What helps where a command writes to its temporary folder.
TEMPORARY = "free some space, or set TMPDIR to a folder that has it"


def ask_for_room(folder: Path, needed: int, what: str, help: str) -> None:
    """Raise LegacyFileError where the disk of `folder` has less than `needed` bytes free.

    `what` names what is to be written, `help` what the operator can do. The folder need not exist.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise LegacyFileError(
            f"{what} needs {_mebibytes(needed)} in {folder}, where {_mebibytes(free)} are free: "
            f"{help}, then run the same command again."
        )


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
