"""Go/no-go list, cut-over, rollback, restore, rehearsal and status: on a terminal, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from stillme.postgresql.unowned import PAGE
from stillme.transfer.project.files import is_built
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import marked, print_rows, say
from stillme.transfer.steps.cutover import CutoverResult
from stillme.transfer.steps.readiness.go_no_go import is_go
from stillme.transfer.steps.readiness.lines import YELLOW, Line
from stillme.transfer.steps.rehearse import Rehearsal
from stillme.transfer.steps.restore_over_live import Restore
from stillme.transfer.steps.rollback import RollbackResult
from stillme.transfer.steps.status import Overview
from stillme.visible import counted, in_one_line

_COLOURS = {"go": "green", "look": "yellow", "no-go": "red"}


@or_json(lambda lines: {"go": is_go(lines), "lines": lines})
def render_list(console: Console, lines: Sequence[Line]) -> None:
    """The go/no-go list."""
    for line in lines:
        colour = _COLOURS[line.colour]
        advice = f" -> {line.advice}" if line.advice else ""
        words = f"{line.subject}: {line.finding}{advice}"
        say(console, f"{line.colour:<5}", words, colour)
    console.print(_word(lines))


def _word(lines: Sequence[Line]) -> Text:
    if not is_go(lines):
        return marked("red", "NO-GO", ": the cut-over is refused")
    looks = sum(line.colour == YELLOW for line in lines)
    if looks:
        return marked("yellow", "GO", f", but look first: {looks} not green")
    return marked("green", "GO")


def _risks(result: CutoverResult) -> list[str]:
    """The red lines that were overridden."""
    return [
        f"{line.subject}: {line.finding}"
        for line in result.lines
        if line.override and line.colour == YELLOW
    ]


@or_json(
    lambda result: {
        "frozen_seconds": result.frozen_seconds,
        "steps": result.steps,
        "files": result.files,
        "not_switched": result.unswitched,
        "not_sealed": result.unsealed,
        "drained": result.drained,
        "verified": result.verified,
        "risks": _risks(result),
    }
)
def render_cutover(console: Console, result: CutoverResult) -> None:
    """How the switch went, and what to change now."""
    say(
        console,
        "Live on PostgreSQL:",
        f"{', '.join(result.files)}. Writers were locked out for {result.frozen_seconds:.2f} s; "
        f"{counted(result.drained, 'change')} drained, "
        f"{counted(result.verified, 'row')} of the tail proven.",
        "green",
    )
    unswitched = (f"{name}: {why}" for name, why in result.unswitched.items())
    say(console, "not switched", unswitched, "yellow")
    say(console, "risk taken", _risks(result), "yellow")
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
    _print_sealed(console, result)


@or_json(
    lambda result: {
        "files": result.files,
        "not_sealed": result.unsealed,
        "reverse_capture_put_back": result.captured_again,
    }
)
def render_sealed(console: Console, result: CutoverResult) -> None:
    """The end of a cut-over that was interrupted after the switch, or capture that was gone."""
    if result.captured_again:
        console.print(
            "Reverse capture is back. What was written while it was gone is not in its log: "
            "manage.py verify_migration names the rows.",
            soft_wrap=True,
        )
    _print_sealed(console, result)


def _print_sealed(console: Console, result: CutoverResult) -> None:
    """What is read-only now, and whom that does not stop."""
    say(console, "not read-only", result.unsealed, "yellow")
    which = "All other files" if result.unsealed else "The files"
    console.print(
        f"{which} have no write permission any more; a rollback gives it back. That does not stop "
        "a process of root, nor one that deletes files. What still opens them: "
        "docs/howto/moving-the-application.md",
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
                "kept_aside": row.lost,
                "unequal": row.unequal,
            }
            for row in result.tables
        ],
    }


@or_json(_rollback_dict)
def render_rollback(console: Console, result: RollbackResult) -> None:
    """What was, or would be, carried back."""
    title = "What a rollback would carry back" if result.dry_run else "Carried back"
    figures = ("keys", "new", "changed", "deleted", "same", "cells", "kept aside")
    rows = [
        (
            row.table, len(row.keys), row.inserted, row.updated, row.deleted, row.unchanged,
            row.cells, len(row.lost),
        )
        for row in result.tables
    ]  # fmt: skip
    print_rows(console, title, ("legacy table",), figures, rows)
    keeps = "would keep" if result.dry_run else "keeps"
    for row in result.tables:
        reasons = Counter((lost.column, lost.reason) for lost in row.lost)
        for (column, reason), count in sorted(reasons.items()):
            say(
                console,
                "kept",
                f"{counted(count, 'value')} of {row.table} ({column}: {reason}): the legacy file "
                f"cannot hold that; transfer.carried_cell {keeps} it",
                "yellow",
            )
        unequal = (f"{row.table} {in_one_line(str(key))}" for key in row.unequal[:5])
        say(console, "unequal", (f"{key} does not read back as it is" for key in unequal), "red")
    for name, count in result.homeless.items():
        what = f"{counted(count, 'row')} written to {name}: no legacy file to go to"
        say(console, "no file", f"{what}; kept in PostgreSQL", "yellow")
    if not result.dry_run:
        say(
            console,
            "Back on the legacy files.",
            f"Nobody could write for {result.frozen_seconds:.2f} s. Start the application on its "
            "old files; PostgreSQL takes no more writes. To try again: manage.py "
            "sync_sqlite --follow",
            "green",
        )


@or_json(lambda plan: {"directory": plan.directory, "losses": plan.losses})
def render_restore(console: Console, plan: Restore) -> None:
    """What restoring a backup loses, before it is done."""
    figures = ("rows now", "in the backup", "in PostgreSQL since")
    rows = [
        (loss.table, loss.rows_now, loss.rows_in_backup, loss.written_in_target)
        for loss in plan.losses
    ]
    console.print(f"Restoring {plan.directory}:", soft_wrap=True)
    print_rows(console, "What the restore loses", ("legacy table",), figures, rows)
    lost = f"{counted(plan.written, 'row')} written in PostgreSQL since the cut-over"
    say(
        console,
        lost,
        "and every write to the files since the backup will not be in the files. PostgreSQL keeps "
        "its rows.",
        "red",
    )


def _status_rows(found: Overview) -> Iterator[tuple[str | int | Text, ...]]:
    for row in found.files:
        behind = f"{row.lag_changes:,} / {row.lag_seconds:.1f} s"
        state = f"{row.word}, frozen" if row.frozen else row.word
        shown = marked("red", f"{state}, silent") if row.silent else state
        counts = (row.loaded, row.repaired, row.quarantine_open)
        yield row.file, shown, _none(row.capture), behind, *counts
    for store in found.stores:
        state = "loaded" if store.tables else "not loaded"
        yield store.store, state, "none", "", store.loaded, store.repaired, store.quarantine_open


@or_json(lambda found: found)
def render_status(console: Console, found: Overview) -> None:
    """Where each file stands."""
    words, figures = ("file", "state", "capture"), ("behind", "loaded", "repaired", "quarant.")
    print_rows(console, "Migration status", words, figures, _status_rows(found))
    console.print("loaded, repaired: as of the last import; in quarantine, undecided: as of now.")
    decided = [(row.accepted, row.mended) for row in found.files]
    decided += [(row.accepted, row.mended) for row in found.stores]
    accepted, mended = sum(n for n, _ in decided), sum(n for _, n in decided)
    if accepted or mended:
        console.print(
            f"decided: {counted(accepted, 'row')} accepted as left out, "
            f"{mended:,} mended and loaded."
        )
    _print_problems(console, found)
    console.print(f"last proof: {found.proof}", soft_wrap=True)
    console.print(f"reverse capture: {_none(found.reverse_capture)}")
    if found.target_frozen:
        console.print("PostgreSQL refuses writes.")
    say(console, "next,", (f"{row.file}: {row.next_step}" for row in found.files))
    say(console, "next,", (f"{store.store}: {store.next_step}" for store in found.stores))


def _none(capture: str) -> str:
    """`none` for capture that is absent."""
    return "none" if capture == "absent" else capture


def _print_problems(console: Console, found: Overview) -> None:
    """What keeps a file or a store from being as it should, a line each."""
    if found.standby:
        say(console, "server", found.standby, "yellow")
    for row in found.files:
        if row.silent:
            say(console, row.file, row.silent, "red")
        if row.problem:
            say(console, row.file, row.problem, "yellow")
        if row.written_since_cutover:
            console.print(
                f"{row.file}: {counted(row.written_since_cutover, 'row')} written since cut-over"
            )
    for store in found.stores:
        if store.problem:
            say(console, store.store, store.problem, "yellow")
    say(console, "not carried", found.inventory_open, "red")
    say(console, "seal", found.broken_seals, "red")
    if found.unowned_tables:
        say(console, "tables", f"{found.unowned_tables}: see {PAGE}", "yellow")


@or_json(lambda result: {**asdict(result), "ok": result.ok})
def render_rehearsal(console: Console, result: Rehearsal) -> None:
    """Print the day."""
    rows = [
        (step.name, f"{step.seconds:.2f}", marked("green" if step.ok else "red", step.outcome))
        for step in result.steps
    ]
    print_rows(console, "Rehearsal", ("step",), ("seconds",), rows, last=("outcome",))
    console.print(
        f"The real day: {counted(result.rows, 'row')}, {result.seconds:.0f} s of work in all; the "
        f"old application is locked out for {result.frozen_seconds:.2f} s at the cut-over and for "
        f"{result.back_seconds:.2f} s at a rollback. Room: {result.bytes / 2**20:,.0f} MiB for a "
        f"backup, about three times that in PostgreSQL.",
        soft_wrap=True,
    )
    console.print("The scratch database and the copies are gone; nothing else was touched.")
