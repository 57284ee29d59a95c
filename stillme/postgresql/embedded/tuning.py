"""Settings with which the embedded server takes a bulk load well, by the machine it runs on.

PostgreSQL's defaults are for a small machine: with 1 GB of write-ahead log a load of some gigabytes
asks for a checkpoint every few seconds, and after each every page is written to the log whole once
more. Nothing here makes a commit less durable. After a crash there is up to `MOST_LOG` to be
replayed, which takes less than the start of a server may.

They stand in a file of their own, written before each start. What `ALTER SYSTEM` says goes first.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

MB = 1 << 20
LEAST_BUFFERS, MOST_BUFFERS = 128 * MB, 1024 * MB
LEAST_LOG, MOST_LOG = 1024 * MB, 4096 * MB
# Where Linux says how much memory the processes of a container may use; "max" where it is all.
_CONTAINER = Path("/sys/fs/cgroup/memory.max")
NAME = "bulk_load.conf"
_INCLUDE = f"include_if_exists '{NAME}'\n"


def settings_for(memory: int, free_disk: int) -> dict[str, str]:
    """A sixteenth of the memory as buffers, a twentieth of the free disk for the log."""
    buffers = min(max(memory // 16, LEAST_BUFFERS), MOST_BUFFERS)
    log = min(max(free_disk // 20, LEAST_LOG), MOST_LOG)
    return {
        "shared_buffers": f"{buffers // MB}MB",
        "max_wal_size": f"{log // MB}MB",
        # Files of the log are used again instead of being made anew.
        "min_wal_size": f"{log // 4 // MB}MB",
        "checkpoint_timeout": "15min",
    }


def write_settings(data: Path, uid: int, gid: int) -> None:
    """Write the file next to PostgreSQL's own, which includes it from then on.

    Where that is impossible (a full disk) the server starts without, and says what it lacks.
    """
    with suppress(OSError):
        _write_settings(data, uid, gid)


def _write_settings(data: Path, uid: int, gid: int) -> None:
    chosen = settings_for(memory_at_hand(), shutil.disk_usage(data).free)
    lines = [f"{name} = '{value}'\n" for name, value in chosen.items()]
    _write(data / NAME, "".join(lines), uid, gid)
    main = data / "postgresql.conf"
    text = main.read_text(encoding="utf-8")
    if _INCLUDE not in text:
        _write(main, f"{text.rstrip()}\n{_INCLUDE}", uid, gid)


def memory_at_hand() -> int:
    """Bytes of memory of this machine, or of this container."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        allowed = _CONTAINER.read_text(encoding="ascii").strip()
    except OSError:
        return whole
    return min(whole, int(allowed)) if allowed.isdecimal() else whole


def _write(path: Path, text: str, uid: int, gid: int) -> None:
    """Whole or not at all: a server that finds half of its settings does not start."""
    draft = path.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    os.chown(draft, uid, gid)
    draft.chmod(0o600)
    draft.replace(path)
