"""The rehearsal on a terminal: every step, its time, and what the real day will need."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console

from stillme.transfer.reports.json_text import print_json
from stillme.transfer.reports.terminal.tables import plain_table, print_table
from stillme.transfer.steps.rehearse import Rehearsal


def render_rehearsal(console: Console, result: Rehearsal, form: str) -> None:
    """Print the day."""
    if form == "json":
        print_json(console, {**asdict(result), "ok": result.ok})
        return
    table = plain_table("Rehearsal", ("step",), ("seconds",))
    table.add_column("outcome", overflow="fold")
    for step in result.steps:
        colour = "green" if step.ok else "red"
        table.add_row(step.name, f"{step.seconds:.2f}", f"[{colour}]{step.outcome}[/]")
    print_table(console, table)
    console.print(
        f"The real day: {result.rows:,} rows, {result.seconds:.0f} s of work in all; the old "
        f"application is locked out for {result.frozen_seconds:.2f} s at the cut-over and for "
        f"{result.back_seconds:.2f} s at a rollback. Room: {result.bytes / 2**20:,.0f} MiB for a "
        f"backup, about three times that in PostgreSQL.",
        soft_wrap=True,
    )
    console.print("The scratch database and the copies are gone; nothing else was touched.")
