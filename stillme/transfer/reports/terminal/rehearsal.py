"""The rehearsal on a terminal: every step, its time, and what the real day will need."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console

from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import print_rows
from stillme.transfer.steps.rehearse import Rehearsal


@or_json(lambda result: {**asdict(result), "ok": result.ok})
def render_rehearsal(console: Console, result: Rehearsal) -> None:
    """Print the day."""
    rows = [
        (step.name, f"{step.seconds:.2f}", f"[{'green' if step.ok else 'red'}]{step.outcome}[/]")
        for step in result.steps
    ]
    print_rows(console, "Rehearsal", ("step",), ("seconds",), rows, last=("outcome",))
    console.print(
        f"The real day: {result.rows:,} rows, {result.seconds:.0f} s of work in all; the old "
        f"application is locked out for {result.frozen_seconds:.2f} s at the cut-over and for "
        f"{result.back_seconds:.2f} s at a rollback. Room: {result.bytes / 2**20:,.0f} MiB for a "
        f"backup, about three times that in PostgreSQL.",
        soft_wrap=True,
    )
    console.print("The scratch database and the copies are gone; nothing else was touched.")
