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
from pathlib import Path

_BLOCK = 1 << 20
_UNITS = 512
_ZEROS = memoryview(bytes(_BLOCK))


def copy_sparse(source: Path, target: Path) -> None:
    """Copy the bytes of `source`; what is a hole there is one in `target`. Raises OSError."""
    origin = os.open(source, os.O_RDONLY)
    try:
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            size = os.fstat(origin).st_size
            for start, end in _data(origin, size):
                _copy_range(origin, copy, start, end)
            os.ftruncate(copy, size)
        finally:
            os.close(copy)
    finally:
        os.close(origin)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex; the zeros of a hole count, but are not read."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        at, size = 0, os.fstat(descriptor).st_size
        for start, end in _data(descriptor, size):
            _add_zeros(digest, start - at)
            at = start
            while at < end and (block := os.pread(descriptor, min(_BLOCK, end - at), at)):
                digest.update(block)
                at += len(block)
        _add_zeros(digest, size - at)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _add_zeros(digest: hashlib._Hash, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[:count])
        count -= _BLOCK


def bytes_on_disk(path: Path) -> int:
    """What a file takes on its disk, which is less than its size where it has holes."""
    stat = path.stat()
    return min(stat.st_size, stat.st_blocks * _UNITS)


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


def _copy_range(origin: int, copy: int, start: int, end: int) -> None:
    while start < end:
        block = os.pread(origin, min(_BLOCK, end - start), start)
        if not block:
            # It became shorter meanwhile: whoever copies looks at size and time afterwards.
            return
        written = 0
        while written < len(block):
            written += os.pwrite(copy, block[written:], start + written)
        start += len(block)
