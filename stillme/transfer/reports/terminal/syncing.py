"""Capture and follower on a terminal; JSON on request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.status import Status

from stillme.transfer.findings import Event
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import print_rows, say
from stillme.transfer.steps.follow import FollowResult
from stillme.transfer.steps.install_capture import CaptureReport
from stillme.visible import counted

_LAG_EVERY = 5.0
_SAID = {
    "notice": "{message}",
    "probed": "{file}: {probes} probes passed on a copy",
    "step": "{name}: {seconds:.2f} s",
    "unfrozen": "{file}: the file takes writes again",
    "restored": "{file}: restored to {path}",
}


class SyncProgress:
    """One line per event; the lag of a file at most every few seconds while nothing changes.

    With `live`, on a terminal, the lags of all files are one line with a clock that redraws itself:
    ``13:45:02  files 4, replayed 1,204, waiting 0, behind 0.05 s``.
    """

    def __init__(self, console: Console, *, quiet: bool, live: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._told: dict[str, tuple[float, int]] = {}
        self._lags: dict[str, tuple[int, float, int]] = {}
        self._status: Status | None = None
        if live and console.is_terminal and not quiet:
            self._status = Status("", console=console)

    def __enter__(self) -> SyncProgress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._status:
            self._status.stop()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        data = event.data
        if self._quiet:
            return
        if event.name in _SAID:
            self._line(_SAID[event.name].format(**data))
        match event.name:
            case "lag" if self._status:
                self._lags[data["file"]] = (data["changes"], data["seconds"], data["replayed"])
                self._redraw(self._status)
            case "lag":
                self._lag(data["file"], data["changes"], data["seconds"], data["replayed"])
            case "sweep":
                self._sweep(data["file"], data["keys"])

    def _line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _redraw(self, status: Status) -> None:
        waiting, behind, replayed = zip(*self._lags.values(), strict=True)
        # The thread that draws starts with the first line: before it workers may be forked.
        status.start()
        status.update(
            f"{datetime.now():%H:%M:%S}  files {len(self._lags)}, replayed {sum(replayed):,}, "
            f"waiting {sum(waiting):,}, behind {max(behind):.2f} s"
        )

    def _lag(self, file: str, changes: int, seconds: float, replayed: int) -> None:
        at, before = self._told.get(file, (0.0, -1))
        now = time.monotonic()
        if (replayed == before and now - at < 60) or (now - at < _LAG_EVERY and before >= 0):
            return
        self._told[file] = (now, replayed)
        rate = (replayed - before) / (now - at) if before >= 0 else 0.0
        speed = f" ({rate:,.0f}/s, about {changes / rate:,.0f} s left)" if rate > 0 else ""
        self._line(
            f"{file}: {counted(changes, 'change')}, {seconds:.2f} s behind; "
            f"{replayed:,} replayed{speed}"
        )

    def _sweep(self, file: str, keys: dict[str, list[str]]) -> None:
        if not keys:
            self._line(f"{file}: every row swept, nothing bypassed capture")
            return
        for table, found in keys.items():
            shown = ", ".join(found[:5])
            say(
                self._console,
                "bypassed",
                f"{file}: {counted(len(found), 'row')} of {table} ({shown}) not equal, and no "
                "captured write tells why: a restored file, a writer with triggers off, or one who "
                "deleted rows in PostgreSQL; install capture again and load: "
                "manage.py sync_sqlite --install",
                "red",
            )


def _captures(reports: Sequence[CaptureReport]) -> list[dict[str, object]]:
    return [
        {
            "file": report.file,
            "path": report.path,
            "capture": report.health,
            "problems": report.problems,
            "state": report.state,
            "changes": report.changes,
            "frozen": report.frozen is not None,
            "probes": report.probes,
        }
        for report in reports
    ]


@or_json(_captures)
def render_capture(console: Console, reports: Sequence[CaptureReport]) -> None:
    """How capture stands in each file."""
    rows = [
        (r.file, r.health, r.state, "free" if r.frozen is None else "refused", r.changes)
        for r in reports
    ]
    print_rows(console, "Capture", ("file", "capture", "state", "writes"), ("changes",), rows)
    for report in reports:
        say(console, report.file, report.problems, "red")


def _followed(result: FollowResult) -> dict[str, object]:
    files = [
        {
            "file": f.file,
            "changes": f.changes,
            "rounds": f.rounds,
            "inserted": f.outcome.inserted,
            "updated": f.outcome.updated,
            "deleted": f.outcome.pruned,
            "quarantined": f.outcome.quarantined,
            "lag_p99_seconds": round(f.lag_p99, 3),
        }
        for f in result.files
    ]
    bypassed = {s.file: s.bypassed for s in result.swept if s.bypassed}
    return {"run": result.run_id, "files": files, "bypassed": bypassed}


@or_json(_followed)
def render_follow(console: Console, result: FollowResult) -> None:
    """What a follower did."""
    if result.run_id is None:
        console.print("Ended before the load was complete: the next run goes on with it.")
        return
    figures = ("changes", "rounds", "new", "changed", "deleted", "quarant.", "lag p99 s")
    rows = [
        (
            f.file,
            f.changes,
            f.rounds,
            f.outcome.inserted,
            f.outcome.updated,
            f.outcome.pruned,
            f.outcome.quarantined,
            f"{f.lag_p99:.2f}",
        )
        for f in result.files
    ]
    print_rows(console, f"Replayed, run {result.run_id}", ("file",), figures, rows)
