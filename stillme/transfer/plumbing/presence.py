"""Whether a legacy file is there: one answer for the import, the proof, the state and the switch.

A 0-byte file is what the old application's health check leaves: it counts as none.
"""

from __future__ import annotations

from pathlib import Path

GONE, EMPTY = "does not exist", "is empty (0 bytes)"


def absence(path: Path) -> str | None:
    """Why no file with anything in it is there; "" where one is, None where nobody may look."""
    try:
        return "" if path.stat().st_size else EMPTY
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except OSError:
        return None
