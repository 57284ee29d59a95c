"""Go/no-go list, cut-over, rollback, restore and status on a terminal; JSON on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from stillme.postgresql.unowned import PAGE
from stillme.transfer.project.files import is_built
from stillme.transfer.reports.json_text import print_json
from stillme.transfer.reports.terminal.tables import plain_table, print_table
from stillme.transfer.steps.cutover import CutoverResult
from stillme.transfer.steps.readiness.accounted_lines import YELLOW, Line
from stillme.transfer.steps.readiness.go_no_go import is_go
from stillme.transfer.steps.restore_over_live import Restore
from stillme.transfer.steps.rollback import RollbackResult
from stillme.transfer.steps.status import Overview
from stillme.visible import in_one_line

_COLOURS = {"go": "green", "look": "yellow", "no-go": "red"}


def render_list(console: Console, lines: Sequence[Line], form: str) -> None:
    """The go/no-go list."""
    if form == "json":
        found = {"go": is_go(lines), "lines": [asdict(line) for line in lines]}
        print_json(console, found)
        return
    for line in lines:
        colour = _COLOURS[line.colour]
        advice = f" -> {line.advice}" if line.advice else ""
        words = escape(f"{line.subject}: {line.finding}{advice}")
        console.print(f"[{colour}]{line.colour:<5}[/] {words}", soft_wrap=True)
    console.print(_word(lines))


def _word(lines: Sequence[Line]) -> str:
    if not is_go(lines):
        return "[red]NO-GO[/]: the cut-over is refused"
    looks = sum(line.colour == YELLOW for line in lines)
    return f"[yellow]GO[/], but look first: {looks} not green" if looks else "[green]GO[/]"


def render_cutover(console: Console, result: CutoverResult) -> None:
    """How the switch went, and what to change now."""
    console.print(
        f"[green]Live on PostgreSQL:[/] {', '.join(result.files)}. "
        f"Writers were locked out for {result.frozen_seconds:.2f} s; "
        f"{result.drained:,} changes drained, {result.verified:,} rows of the tail proven.",
        soft_wrap=True,
    )
    for name, why in result.unswitched.items():
        text = escape(f"{name}: {why}")
        console.print(f"[yellow]not switched[/] {text}", soft_wrap=True)
    for line in result.lines:
        if line.override and line.colour == YELLOW:
            risk = escape(f"{line.subject}: {line.finding}")
            console.print(f"[yellow]risk taken[/] {risk}", soft_wrap=True)
    if any(map(is_built, result.files)):
        console.print("Now start the project with these settings, on PostgreSQL.")
    else:
        console.print("Now, in the application's environment:")
        console.print("  DATABASE_URL=postgresql://...   (the database of this project)")
        console.print(
            "  and the data classes of this project in place of the old ones "
            f"({', '.join(result.files)}: services)",
            soft_wrap=True,
        )
    console.print(
        "These legacy files stay as they are and refuse writes. "
        "The way back, without loss: manage.py rollback_migration",
        soft_wrap=True,
    )
    render_sealed(console, result)


def render_sealed(console: Console, result: CutoverResult) -> None:
    """What is read-only now, and whom that does not stop."""
    for sentence in result.unsealed:
        console.print(f"[yellow]not read-only[/] {escape(sentence)}", soft_wrap=True)
    console.print(
        "The files have no write permission any more; a rollback gives it back. That does not stop "
        "a process of root, nor one that deletes files. What still opens them: "
        "docs/howto/moving-the-application.md",
        soft_wrap=True,
    )


def render_rollback(console: Console, result: RollbackResult, form: str) -> None:
    """What was, or would be, carried back."""
    if form == "json":
        print_json(console, _rollback_dict(result))
        return
    title = "What a rollback would carry back" if result.dry_run else "Carried back"
    figures = ("keys", "new", "changed", "deleted", "same", "cells", "kept aside")
    table = plain_table(title, ("legacy table",), figures)
    for row in result.tables:
        counts = (
            len(row.keys), row.inserted, row.updated, row.deleted, row.unchanged, row.cells,
            len(row.lost),
        )  # fmt: skip
        table.add_row(row.table, *(f"{n:,}" for n in counts))
    print_table(console, table)
    for row in result.tables:
        reasons = Counter((lost.column, lost.reason) for lost in row.lost)
        for (column, reason), count in sorted(reasons.items()):
            console.print(
                f"[yellow]kept[/] {count:,} values of {row.table} ({escape(column)}: {reason}): "
                "the legacy file cannot hold them; they are in transfer.carried_cell",
                soft_wrap=True,
            )
        for key in row.unequal[:5]:
            shown = escape(f"{row.table} {in_one_line(str(key))}")
            console.print(f"[red]unequal[/] {shown} does not read back as it is", soft_wrap=True)
    for name, count in result.homeless.items():
        console.print(
            f"[yellow]no file[/] {count:,} rows written to {name} have no legacy file to go to; "
            "they stay in PostgreSQL",
            soft_wrap=True,
        )
    if not result.dry_run:
        console.print(
            f"[green]Back on the legacy files.[/] Nobody could write for "
            f"{result.frozen_seconds:.2f} s. Point the application at its old data directory; "
            "PostgreSQL takes no more writes. To try again: manage.py sync_sqlite --follow",
            soft_wrap=True,
        )


def _rollback_dict(result: RollbackResult) -> dict[str, Any]:
    return {
        "dry_run": result.dry_run,
        "run": result.run_id,
        "frozen_seconds": result.frozen_seconds,
        "no_file": result.homeless,
        "tables": [
            {
                "table": row.table,
                "keys": len(row.keys),
                "inserted": row.inserted,
                "updated": row.updated,
                "deleted": row.deleted,
                "unchanged": row.unchanged,
                "cells": row.cells,
                "kept_aside": [asdict(lost) for lost in row.lost],
                "unequal": row.unequal,
            }
            for row in result.tables
        ],
    }


def render_restore(console: Console, plan: Restore, form: str) -> None:
    """What restoring a backup loses, before it is done."""
    if form == "json":
        losses = [asdict(loss) for loss in plan.losses]
        print_json(console, {"directory": str(plan.directory), "losses": losses})
        return
    figures = ("rows now", "in the backup", "in PostgreSQL since")
    table = plain_table("What the restore loses", ("legacy table",), figures)
    for loss in plan.losses:
        table.add_row(
            loss.table,
            f"{loss.rows_now:,}",
            f"{loss.rows_in_backup:,}",
            f"{loss.written_in_target:,}",
        )
    console.print(f"Restoring {plan.directory}:", soft_wrap=True, markup=False)
    print_table(console, table)
    console.print(
        f"[red]{plan.written:,} rows written in PostgreSQL since the cut-over[/] and every write "
        "to the files since the backup will not be in the files. PostgreSQL keeps its rows.",
        soft_wrap=True,
    )


def render_status(console: Console, found: Overview) -> None:
    """Where each file stands."""
    figures = ("behind", "loaded", "repaired", "quarant.")
    table = plain_table("Migration status", ("file", "state", "capture"), figures)
    for row in found.files:
        behind = f"{row.lag_changes:,} / {row.lag_seconds:.1f} s"
        state = f"{row.state}, frozen" if row.frozen else row.state
        if row.silent:
            state = f"[red]{state}, silent[/]"
        table.add_row(
            row.file,
            state,
            row.capture,
            behind,
            f"{row.loaded:,}",
            f"{row.repaired:,}",
            f"{row.quarantine_open:,}",
        )
    for store in found.stores:
        counts = [f"{n:,}" for n in (store.loaded, store.repaired, store.quarantine_open)]
        table.add_row(store.store, "loaded" if store.tables else "absent", "none", "", *counts)
    print_table(console, table)
    console.print("loaded, repaired: as of the last import; in quarantine, undecided: as of now.")
    decided = [(row.accepted, row.mended) for row in found.files]
    decided += [(row.accepted, row.mended) for row in found.stores]
    accepted, mended = sum(n for n, _ in decided), sum(n for _, n in decided)
    if accepted or mended:
        console.print(
            f"decided: {accepted:,} rows accepted as left out, {mended:,} mended and loaded."
        )
    _print_problems(console, found)
    console.print(f"last proof: {escape(found.proof)}", soft_wrap=True)
    console.print(f"reverse capture: {found.reverse_capture}")
    if found.target_frozen:
        console.print("PostgreSQL refuses writes.")
    for row in found.files:
        console.print(f"next, {row.file}: {escape(row.next_step)}", soft_wrap=True)
    for store in found.stores:
        console.print(f"next, {store.store}: {escape(store.next_step)}", soft_wrap=True)


def _print_problems(console: Console, found: Overview) -> None:
    """What keeps a file or a store from being as it should, a line each."""
    for row in found.files:
        if row.silent:
            console.print(f"[red]{row.file}[/] {escape(row.silent)}", soft_wrap=True)
        if row.problem:
            console.print(f"[yellow]{row.file}[/] {escape(row.problem)}", soft_wrap=True)
        if row.written_since_cutover:
            console.print(f"{row.file}: {row.written_since_cutover:,} rows written since cut-over")
    for store in found.stores:
        if store.problem:
            console.print(f"[yellow]{store.store}[/] {escape(store.problem)}", soft_wrap=True)
    for sentence in found.inventory_open:
        console.print(f"[red]not carried[/] {escape(sentence)}", soft_wrap=True)
    for sentence in found.broken_seals:
        console.print(f"[red]seal[/] {escape(sentence)}", soft_wrap=True)
    if found.unowned_tables:
        console.print(
            f"[yellow]tables[/] {escape(found.unowned_tables)}: see {PAGE}", soft_wrap=True
        )
