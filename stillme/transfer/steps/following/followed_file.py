"""What a follower remembers of one file from round to round: seen, swept and trimmed last."""

from __future__ import annotations

import time

from stillme.transfer.sqlite.capture.log import trim
from stillme.transfer.steps.syncing.live_file import LiveFile

_TRIM_EVERY = 10.0
_TRIM_CHANGES = 20_000


class FileWatch:
    """One file between two rounds.

    `version` is the file's `data_version` when no change was left; `swept_under` the schema version
    under which the last sweep, or the load, read the file.
    """

    def __init__(self, live: LiveFile, position: int, swept_under: int) -> None:
        self.live = live
        self.swept_under = swept_under
        self.version: int | None = None
        self._stamp: int | None = None
        self._trimmed_at = time.monotonic()
        self._trimmed_to = position

    def new_version(self, position: int) -> int | None:
        """The file's version now; None where it is the one that was seen, with no change left.

        A file whose time on disk has changed is looked at through a fresh connection too. Raises
        StateError where it is not the file that was followed to `position`.
        """
        self.live.check_place()
        stamp = self.live.file.path.stat().st_mtime_ns
        if self.live.history and self._stamp != stamp and self.live.is_wal:
            self.live.history.require_on_disk(position)
        self._stamp = stamp
        version = self.live.data_version()
        return None if version == self.version else version

    def may_be_trimmed(self, position: int) -> bool:
        """Whether enough was replayed since the log was trimmed, or long enough ago."""
        grown = position - self._trimmed_to
        return grown > _TRIM_CHANGES or (
            grown > 0 and time.monotonic() - self._trimmed_at > _TRIM_EVERY
        )

    def trim(self, position: int) -> None:
        """Delete the changes up to `position` from the log; they are on disk in PostgreSQL."""
        self.live.check_place()
        assert self.live.history is not None
        trim(self.live.file.path, position, history=self.live.history.at(position))
        self._trimmed_at, self._trimmed_to = time.monotonic(), position
