"""The history of the lag: the follower's reports, thinned, kept for some hours, for a plot."""

from __future__ import annotations

import time
from typing import Any

from django.db import connections, transaction

from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.models import LagSample
from stillme.transfer.postgresql.copy import execute, fetch_all
from stillme.transfer.postgresql.distributed import commit_lazily

EVERY = 5.0
HOURS = 24
# What a plot of a phone's to a desk's width can show.
POINTS = 120
_FORGET_EVERY = 600.0

_PLOT = f"""
SELECT (extract(epoch FROM at) / %s)::bigint AS bucket, file, max(seconds), max(changes)
FROM {LagSample._meta.db_table}
WHERE at > now() - make_interval(mins => %s)
GROUP BY bucket, file ORDER BY bucket, file LIMIT %s
"""


class LagHistory:
    """Passes events on, and writes down the lag that they tell, at most every few seconds."""

    def __init__(self, alias: str, on_event: OnEvent) -> None:
        self._alias = alias
        self._on_event = on_event
        self._written: dict[str, float] = {}
        # None is never; the monotonic clock of a machine may have started a minute ago.
        self._forgotten: float | None = None

    def __call__(self, event: Event) -> None:
        """An `OnEvent`: everything is passed on, the lag is noted."""
        if event.name == "lag":
            self._note(event.data)
        self._on_event(event)

    def _note(self, data: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._written.get(data["file"], -EVERY) < EVERY:
            return
        self._written[data["file"]] = now
        connection = connections[self._alias]
        with transaction.atomic(using=self._alias):
            # A sample lost in a crash is no loss; waiting for the disk would add to the lag.
            commit_lazily(connection)
            LagSample.objects.using(self._alias).create(
                file=data["file"], changes=data["changes"], seconds=round(data["seconds"], 3)
            )
            if self._forgotten is None or now - self._forgotten > _FORGET_EVERY:
                self._forgotten = now
                execute(
                    self._alias,
                    f"DELETE FROM {LagSample._meta.db_table} "
                    "WHERE at < now() - make_interval(hours => %s)",
                    [HOURS],
                )


def lag_plot(alias: str, minutes: int = 60) -> dict[str, Any]:
    """The worst lag per file and slice of time: ``{"times": [...], "files": {name: [...]}}``.

    Times are seconds since 1970. A slice in which nobody followed a file is None.
    """
    width = max(EVERY, minutes * 60 / POINTS)
    rows = fetch_all(alias, _PLOT, [width, minutes, POINTS * 20])
    buckets = sorted({int(row[0]) for row in rows})
    place = {bucket: at for at, bucket in enumerate(buckets)}
    files: dict[str, list[float | None]] = {}
    for bucket, file, seconds, _ in rows:
        files.setdefault(file, [None] * len(buckets))[place[int(bucket)]] = float(seconds)
    return {"times": [round(bucket * width) for bucket in buckets], "files": files}
