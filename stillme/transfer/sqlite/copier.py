"""Copies a file and prints the SHA-256 of what it wrote: `python copier.py SOURCE COPY`.

A program of its own, which needs the standard library only (`sqlite.snapshot` says why and starts
it). The digest is made beside the copying, of the very bytes that are written. Exits with 1 where
the source cannot be read or the copy not be written.
"""

import hashlib
import os
import sys
from queue import Queue
from threading import Thread

_BLOCK = 1 << 20
# What the digest may lag behind the copying: 8 MB.
_WAITING_BLOCKS = 8


def copy_file(source: str, copy: str) -> str:
    """SHA-256 of the copied bytes, as hex. Raises OSError."""
    origin = os.open(source, os.O_RDONLY)
    target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    digest = hashlib.sha256()
    blocks: Queue[bytes] = Queue(_WAITING_BLOCKS)
    hashing = Thread(target=_hash, args=(blocks, digest))
    hashing.start()
    try:
        while block := os.read(origin, _BLOCK):
            blocks.put(block)
            _write(target, block)
    finally:
        blocks.put(b"")
        hashing.join()
    os.close(target)
    return digest.hexdigest()


def _hash(blocks: "Queue[bytes]", digest: "hashlib._Hash") -> None:
    while block := blocks.get():
        digest.update(block)


def _write(target: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(target, view) :]


if __name__ == "__main__":
    try:
        sys.stdout.write(copy_file(*sys.argv[1:]))
    except OSError as error:
        sys.exit(str(error))
