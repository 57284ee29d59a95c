"""Progress of a library call: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from stillme.transfer.findings import Event


class RunProgress:
    """Bars on a terminal, one line per file and table elsewhere, nothing when `quiet`."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        if console.is_terminal and not quiet:
            self._bars = Progress(
                TextColumn("{task.description:<24}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        data = event.data
        if event.name == "notice":
            self._console.print(data["message"])
        elif event.name == "file":
            self._console.print(f"reading {data['file']}: {data['path']}", soft_wrap=True)
        elif self._bars:
            self._show_bar(self._bars, event.name, data)
        elif event.name == "done":
            self._console.print(f"  {data['table']}: {data['rows']:,} rows")

    def _show_bar(self, bars: Progress, name: str, data: dict[str, Any]) -> None:
        table = data["table"]
        if name == "table":
            self._tasks[table] = bars.add_task(table, total=data["total"])
        elif name in ("progress", "done") and table in self._tasks:
            # Started late: the bars' thread must not be alive when the workers are forked.
            bars.start()
            bars.update(self._tasks[table], completed=data["rows"])
