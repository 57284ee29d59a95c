"""Copying a file without writing out its holes, and what it takes on the disk.

Chroma makes segment files with room for elements to come: 6 GiB that take 2.6 MB. A file system
tells where the data of a file lies (`lseek` with SEEK_DATA and SEEK_HOLE, see `man 2 lseek`); only
that is copied, and the copy reads the same.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

_BLOCK = 256 << 10
_UNITS = 512


def copy_sparse(source: Path, target: Path) -> None:
    """Copy the bytes of `source`; what is a hole there is one in `target`. Raises OSError."""
    opener = partial(os.open, mode=0o600)
    with source.open("rb") as origin, open(target, "wb", opener=opener) as copy:
        size = os.fstat(origin.fileno()).st_size
        for at, block in _blocks(origin.fileno(), size):
            copy.seek(at)
            copy.write(block)
        copy.truncate(size)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex; the zeros of a hole count."""
    with path.open("rb") as origin:
        return hashlib.file_digest(origin, "sha256").hexdigest()


def bytes_on_disk(path: Path) -> int:
    """What a file takes on its disk, which is less than its size where it has holes."""
    stat = path.stat()
    return min(stat.st_size, stat.st_blocks * _UNITS)


def _blocks(origin: int, size: int) -> Iterator[tuple[int, bytes]]:
    """What is in the file but holes: where each block lies, and its bytes.

    The file may become shorter meanwhile: whoever copies looks at size and time afterwards.
    """
    for start, end in _data(origin, size):
        while start < end and (block := os.pread(origin, min(_BLOCK, end - start), start)):
            yield start, block
            start += len(block)


def _data(origin: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch with data; all of it where the file system cannot tell."""
    at = 0
    while at < size:
        try:
            start = os.lseek(origin, at, os.SEEK_DATA)
            at = os.lseek(origin, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                # Nothing but a hole until the end.
                return
            if error.errno != errno.EINVAL:
                raise
            start, at = at, size
        yield start, at
