"""The secret key of a place that was given none: made once, kept outside the repository."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.management.utils import get_random_secret_key

logger = logging.getLogger(__name__)


def secret_key_file() -> Path:
    """Where the generated key lives: the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "stillme" / "secret_key"


def local_secret_key() -> str:
    """The key kept for this user; made when first asked for.

    A user without a writable home gets a key for this process only, and is told so: sessions
    then end with the process.
    """
    path = secret_key_file()
    try:
        return _read(path) or _create(path)
    except OSError as error:
        logger.warning(
            "No SECRET_KEY is set and %s cannot be written (%s): using a key for this process "
            "only; set SECRET_KEY to keep sessions.",
            path,
            error.strerror,
        )
        return get_random_secret_key()


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _create(path: Path) -> str:
    """Write a new key with mode 0600 in one step; of two racing processes the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and not _read(path):  # the machine went down while it was written
        path.unlink()
    descriptor, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(get_random_secret_key())
    with suppress(FileExistsError):
        os.link(draft, path)
    Path(draft).unlink()
    return _read(path)
