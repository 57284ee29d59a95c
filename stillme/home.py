"""The folder of this installation: `.env` is in it, and relative paths lie below it."""

from __future__ import annotations

import os
from pathlib import Path

from stillme.environment import Environment


def home() -> Path:
    """Return STILLME_HOME, else the checkout, else a folder of this user.

    An installed package has no folder of its own to write to, and the working directory would not
    do: two processes started in different folders would use two databases.
    """
    checkout = Path(__file__).resolve().parent.parent
    default = checkout
    if not (checkout / "manage.py").is_file():
        default = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "stillme"
    return Environment(STILLME_HOME=(str, "")).place("STILLME_HOME", Path(), default)
