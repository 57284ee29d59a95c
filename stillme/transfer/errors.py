"""What stops a run, as sentences an operator can act on (law 8: exit status 2).

A message never holds a password: connection errors pass through
`stillme.postgresql.explain` before they become one of these.
"""

from __future__ import annotations

import errno


class TransferError(Exception):
    """The run cannot go on; `str(error)` is one sentence that says what to do."""


class LegacyFileError(TransferError):
    """A legacy file cannot be read: missing, not a database, locked, truncated, no permission."""


class NoLegacyFile(LegacyFileError):
    """None of the files or tables asked for is there."""


class LegacyReadOnly(TransferError):
    """Something tried to write to a legacy file through the ORM."""


class TargetError(TransferError):
    """PostgreSQL cannot be used: no server, no database, no schema, disk full."""


class LedgerMismatch(TransferError):
    """The ledger was made from another file or under another mapping."""


class Busy(TransferError):
    """Another run holds the target or the file."""


class StateError(TransferError):
    """The command does not fit the state the file is in."""


def explain_exhaustion(error: BaseException) -> str:
    """The sentence for a process that gets no more memory, threads or processes; '' for others."""
    by_number = isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EAGAIN)
    # SQLite's, Python's threads', and the loader's of shared libraries, in their own words.
    said = str(error).endswith(("out of memory", "can't start new thread", "shared object"))
    if not by_number and not said and not isinstance(error, MemoryError):
        return ""
    return (
        "The system gives this process no more memory, threads or processes: what was committed "
        "stays. Raise the limit (`ulimit -v`, `ulimit -u`, the container's), or lower --jobs where "
        "the command has it, and run it again."
    )
