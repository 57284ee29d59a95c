"""Progress of a library call: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from stillme.transfer.findings import Event
from stillme.visible import counted

LINE_EVERY = 10.0


class RateColumn(ProgressColumn):
    """Rows (or pages) per second."""

    def render(self, task: Task) -> Text:
        """The speed of late, or over all where the task has ended."""
        speed = task.finished_speed or task.speed
        if not speed and task.elapsed:
            # Too few steps yet for a speed of late.
            speed = task.completed / task.elapsed
        return Text(f"{speed:,.0f}/s" if speed else "-/s", justify="right", style="cyan")


@dataclass(slots=True)
class _Counted:
    """What is known of one table while it is at work."""

    total: int
    unit: str
    begun: float
    told: float


class RunProgress:
    """Bars on a terminal; elsewhere a line per file and table, and one every ten seconds of a
    long one; nothing when `quiet`."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._tasks: dict[str, TaskID] = {}
        self._counted: dict[str, _Counted] = {}
        self._bars: Progress | None = None
        if console.is_terminal and not quiet:
            self._bars = Progress(
                TextColumn("{task.description:<23}", markup=False),
                BarColumn(bar_width=16),
                MofNCompleteColumn(),
                RateColumn(),
                TimeRemainingColumn(compact=True),
                console=console,
                transient=True,
            )

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bars away, so that something can be asked; the next event brings them back."""
        if self._bars:
            self._bars.stop()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        data = event.data
        if event.name == "notice":
            self._console.print(data["message"], soft_wrap=True)
        elif event.name == "file":
            self._line(f"reading {data['file']}: {data['path']}")
        elif event.name in ("table", "progress", "done"):
            self._count(event.name, data)

    def _line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _count(self, name: str, data: dict[str, Any]) -> None:
        table = data["table"]
        if name == "table":
            now = time.monotonic()
            self._counted[table] = _Counted(data["total"], data.get("unit", "rows"), now, now)
            if self._bars:
                self._tasks[table] = self._bars.add_task(table, total=data["total"])
        elif self._bars:
            if table in self._tasks:
                # Started late: the bars' thread must not be alive when the workers are forked.
                self._bars.start()
                self._bars.update(self._tasks[table], completed=data["rows"])
        elif name == "done":
            self._line(f"  {table}: {counted(data['rows'], 'row')}")
        elif table in self._counted:
            self._tell_sometimes(table, self._counted[table], data["rows"])

    def _tell_sometimes(self, table: str, pace: _Counted, rows: int) -> None:
        now = time.monotonic()
        if now - pace.told < LINE_EVERY or not rows:
            return
        pace.told = now
        rate = rows / (now - pace.begun)
        left = max(0, pace.total - rows) / rate
        self._line(
            f"  {table}: {rows:,} of {pace.total:,} {pace.unit}, {rate:,.0f}/s, "
            f"about {left:,.0f} s left"
        )
