"""Files that may hold values of rows: reports and manifests, for their owner alone."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from stillme.transfer.errors import TransferError


def check_writable(path: Path) -> None:
    """Raises TransferError where `write_private` could not write; before the work, not after it."""
    if not path.parent.is_dir():
        raise TransferError(f"{path} cannot be written: name a file in an existing directory.")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise TransferError(f"{path} cannot be written: {error.strerror}.") from error
    if stat.S_ISLNK(mode):
        raise TransferError(
            f"{path} is a link, which may lead anywhere: name the file itself, or remove the link."
        )
    if not stat.S_ISREG(mode):
        raise TransferError(f"{path} is not a file: name a new file, or one to replace.")


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 in one step. Raises as `private_file`."""
    with private_file(path) as stream:
        stream.write(text)


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """A file with mode 0600, in its place when the block ends; one that is there is replaced.

    The new file is made under a name that nobody can guess and then moved: no reader sees a half,
    and no link is followed. Raises TransferError for what `check_writable` refuses, and OSError.
    """
    check_writable(path)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        # A legacy text may hold what UTF-8 cannot.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
