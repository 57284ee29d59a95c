"""Write permission of a path: taken, and given back as it was.

Only the three write bits change. They do not stop a process of root, nor one that opened the file
before.
"""

from __future__ import annotations

import stat
from pathlib import Path

WRITE = 0o222


def mode_of(path: Path) -> int:
    """The permission bits of a path, such as 0o644. Raises OSError."""
    return stat.S_IMODE(path.stat().st_mode)


def may_be_written(path: Path) -> bool:
    """Whether anybody has write permission. Raises OSError."""
    return bool(mode_of(path) & WRITE)


def take_write(path: Path) -> str:
    """Take everybody's write permission; "" or why it could not be taken."""
    try:
        path.chmod(mode_of(path) & ~WRITE)
        kept = may_be_written(path)
    except OSError as error:
        return f"could not be made read-only ({error.strerror}): run this as its owner"
    return "could not be made read-only: its file system keeps no permissions" if kept else ""


def give_write(path: Path, mode: int) -> None:
    """Give the write permission back that `mode` has; what else changed stays. Raises OSError."""
    now = mode_of(path)
    if wanted := (mode & WRITE) & ~now:
        path.chmod(now | wanted)
