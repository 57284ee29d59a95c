"""Copies a file and prints the SHA-256 of what it wrote: `python copier.py SOURCE COPY PARENT`.

A program of its own, which needs the standard library only (`sqlite.snapshot` says why and starts
it). The digest is made beside the copying, of the very bytes that are written. Exits with 1 where
the source cannot be read or the copy not be written, or when the process PARENT (its pid), which
started it, has ended: nobody will use the copy then.
"""

import hashlib
import os
import sys
from queue import Queue
from threading import Thread

_BLOCK = 1 << 20
# What the digest may lag behind the copying: 8 MB.
_WAITING_BLOCKS = 8


def copy_file(source: str, copy: str, parent: "int | None" = None) -> str:
    """SHA-256 of the copied bytes, as hex. Raises OSError, also where `parent` has ended."""
    origin = os.open(source, os.O_RDONLY)
    target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    digest = hashlib.sha256()
    blocks: Queue[bytes] = Queue(_WAITING_BLOCKS)
    hashing = Thread(target=_hash, args=(blocks, digest))
    hashing.start()
    try:
        while block := os.read(origin, _BLOCK):
            if parent is not None and os.getppid() != parent:
                raise InterruptedError("The process that wanted the copy has ended.")
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
        _source, _copy, _parent = sys.argv[1:]
        sys.stdout.write(copy_file(_source, _copy, int(_parent)))
    except OSError as error:
        sys.exit(str(error))
