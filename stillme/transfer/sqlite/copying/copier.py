"""Copies a file and prints the SHA-256 of what it wrote: `python copier.py SOURCE COPY PARENT`.

A program of its own, which needs the standard library only (`sqlite.snapshot` says why and starts
it). The digest is made while copying, of the very bytes that are written. Exits with 1 where
the source cannot be read or the copy not be written, or when the process PARENT (its pid), which
started it, has ended: nobody will use the copy then.

`python copier.py --all SOURCE COPY PARENT` copies a database with its `-journal` and `-wal` under
SQLite's read lock instead, and prints nothing (`sqlite.private_copy`). Exits with 3 where a writer
has it.

A copy is given up when the process PARENT (its pid), which started it, has ended: nobody will use
the copy then.
"""

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import sys
from io import FileIO
from queue import Queue
from threading import Thread

ALL = "--all"
LOCKED = 3
COMPANIONS = ("-journal", "-wal")
# Writes of 1 MB are slower: Linux 6.18 on ext4 took more than twice as long for a whole file.
_BLOCK = 256 << 10
# What the digest may lag behind the copying: 2 MB.
_WAITING_BLOCKS = 8
# Where SQLite's locks lie (sqlite.org/src/file/src/os.h): a reader passes the gate, which a writer
# that waits for readers to go keeps shut, and then locks the shared bytes.
_GATE, _SHARED, _SHARED_BYTES = 0x40000000, 0x40000002, 510
_NO_LOCKS_HERE = (errno.ENOLCK, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def copy_file(source: str, copy: str, parent: "int | None" = None) -> str:
    """SHA-256 of the copied bytes, as hex. Raises OSError, also where `parent` has ended."""
    with FileIO(source) as origin:
        return _copy_open(origin, copy, parent)


def copy_with_companions(source: str, copy: str, parent: "int | None" = None) -> bool:
    """Copy a database and what lies next to it; False where a writer has it. Raises OSError."""
    with FileIO(source) as origin:
        if not _share(origin.fileno()):
            return False
        _copy_open(origin, copy, parent)
        for suffix in COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                copy_file(source + suffix, copy + suffix, parent)
    return True


def _share(origin: int) -> bool:
    """Take SQLite's read lock; it goes when the file is closed.

    A file system without locks has none that a writer could hold either.
    """
    how = fcntl.LOCK_SH | fcntl.LOCK_NB
    try:
        fcntl.lockf(origin, how, 1, _GATE)
        fcntl.lockf(origin, how, _SHARED_BYTES, _SHARED)
        fcntl.lockf(origin, fcntl.LOCK_UN, 1, _GATE)
    except OSError as error:
        return error.errno in _NO_LOCKS_HERE
    return True


def _copy_open(origin: FileIO, copy: str, parent: "int | None") -> str:
    digest = hashlib.sha256()
    blocks: Queue[bytes] = Queue(_WAITING_BLOCKS)
    hashing = Thread(target=_hash, args=(blocks, digest))
    hashing.start()
    try:
        with open(copy, "wb", opener=functools.partial(os.open, mode=0o600)) as target:
            while block := origin.read(_BLOCK):
                if parent is not None and os.getppid() != parent:
                    raise InterruptedError("The process that wanted the copy has ended.")
                blocks.put(block)
                target.write(block)
    finally:
        blocks.put(b"")
        hashing.join()
    return digest.hexdigest()


def _hash(blocks: "Queue[bytes]", digest: "hashlib._Hash") -> None:
    while block := blocks.get():
        digest.update(block)


if __name__ == "__main__":
    _source, _copy, _parent = sys.argv[-3:]
    try:
        if sys.argv[1] == ALL:
            sys.exit(0 if copy_with_companions(_source, _copy, int(_parent)) else LOCKED)
        sys.stdout.write(copy_file(_source, _copy, int(_parent)))
    except OSError as error:
        sys.exit(str(error))
