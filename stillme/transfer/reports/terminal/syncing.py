"""Capture and follower on a terminal; JSON on request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from stillme.transfer.findings import Event
from stillme.transfer.reports.json_text import print_json
from stillme.transfer.reports.terminal.tables import plain_table, print_table
from stillme.transfer.steps.follow import FollowResult
from stillme.transfer.steps.install_capture import CaptureReport

_LAG_EVERY = 5.0


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
        if self._quiet:
            return
        data = event.data
        match event.name:
            case "notice":
                self._line(data["message"])
            case "probed":
                self._line(f"{data['file']}: {data['probes']} probes passed on a copy")
            case "lag" if self._status:
                self._lags[data["file"]] = (data["changes"], data["seconds"], data["replayed"])
                self._redraw(self._status)
            case "lag":
                self._lag(data["file"], data["changes"], data["seconds"], data["replayed"])
            case "sweep":
                self._sweep(data["file"], data["keys"])
            case "step":
                self._line(f"{data['name']}: {data['seconds']:.2f} s")
            case "unfrozen":
                self._line(f"{data['file']}: the file takes writes again")
            case "restored":
                self._line(f"{data['file']}: restored to {data['path']}")

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
            f"{file}: {changes:,} changes, {seconds:.2f} s behind; {replayed:,} replayed{speed}"
        )

    def _sweep(self, file: str, keys: dict[str, list[str]]) -> None:
        if not keys:
            self._line(f"{file}: every row swept, nothing bypassed capture")
            return
        for table, found in keys.items():
            shown = ", ".join(found[:5])
            self._line(
                f"[red]bypassed[/] {file}: {len(found)} rows of {table} differ, and no "
                f"captured write tells why ({shown}): a restored file, a writer with triggers off, "
                "or one who deleted rows in PostgreSQL; "
                "install capture again and load: manage.py sync_sqlite --install"
            )


def render_capture(console: Console, reports: Sequence[CaptureReport], form: str) -> None:
    """How capture stands in each file."""
    if form == "json":
        print_json(console, [_as_dict(r) for r in reports])
        return
    table = plain_table("Capture", ("file", "capture", "state", "writes"), ("changes",))
    for report in reports:
        writes = "refused" if report.frozen is not None else "free"
        table.add_row(report.file, str(report.health), report.state, writes, f"{report.changes:,}")
    print_table(console, table)
    for report in reports:
        for problem in report.problems:
            console.print(f"[red]{report.file}[/] {escape(problem)}", soft_wrap=True)


def _as_dict(report: CaptureReport) -> dict[str, object]:
    return {
        "file": report.file,
        "path": str(report.path),
        "capture": str(report.health),
        "problems": list(report.problems),
        "state": report.state,
        "changes": report.changes,
        "frozen": report.frozen is not None,
        "probes": [asdict(probe) for probe in report.probes],
    }


def render_follow(console: Console, result: FollowResult, form: str) -> None:
    """What a follower did."""
    if form == "json":
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
        print_json(console, {"run": result.run_id, "files": files, "bypassed": bypassed})
        return
    if result.run_id is None:
        console.print("Ended before the load was complete: the next run goes on with it.")
        return
    figures = ("changes", "rounds", "new", "changed", "deleted", "quarant.", "lag p99 s")
    table = plain_table(f"Replayed, run {result.run_id}", ("file",), figures)
    for f in result.files:
        done = f.outcome
        rows = (done.inserted, done.updated, done.pruned, done.quarantined)
        counts = (f.changes, f.rounds, *rows)
        table.add_row(f.file, *(f"{n:,}" for n in counts), f"{f.lag_p99:.2f}")
    print_table(console, table)
