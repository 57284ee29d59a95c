"""What stops a run, as sentences an operator can act on (law 8: exit status 2).

A message never holds a password: connection errors pass through
`stillme.postgresql.connecting.explain` before they become one of these.
"""

from __future__ import annotations


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
