"""The import on a terminal: progress while it runs, a closing table, JSON on request."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from stillme.transfer.identity import TableId
from stillme.transfer.quarantine.reasons import in_words
from stillme.transfer.registry import table_label
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.inventory import print_left, print_open
from stillme.transfer.reports.terminal.tables import marked, print_rows, say
from stillme.transfer.steps.load import ImportResult, TableResult
from stillme.visible import counted, in_one_line


def as_dict(result: ImportResult) -> dict[str, Any]:
    """What `--format json` prints."""
    return {
        "run": result.run_id,
        "dry_run": result.dry_run,
        "conserved": result.conserved,
        "seconds": round(result.seconds, 3),
        "returned_from_quarantine": result.returned,
        "exit_status": result.exit_status,
        "notices": result.notices,
        "inventory": result.inventory,
        "missing_legacy": result.missing,
        "deletions": result.deletions,
        "deletions_refused": result.refused,
        "tables": [
            {
                "file": table.file,
                "table": table.table,
                "target": table.target,
                "legacy_rows": table.outcome.legacy_rows,
                "counted_rows": table.counted,
                "loaded": table.outcome.loaded,
                "repaired": table.outcome.repaired,
                "quarantined": result.set_aside(table),
                "came_back": table.outcome.quarantined - result.set_aside(table),
                "reasons": table.outcome.reasons,
                "inserted": table.outcome.inserted,
                "updated": table.outcome.updated,
                "vanished": table.outcome.vanished_count,
                "vanished_keys": table.outcome.vanished,
                "pruned": table.outcome.pruned,
                "conflicts": table.outcome.conflict_count,
                "conflict_keys": table.outcome.conflicts,
                "chunks": table.chunks,
                "skipped_chunks": table.skipped_chunks,
                "seconds": round(table.seconds, 3),
            }
            for table in result.tables
        ],
    }


@or_json(as_dict)
def render_import(console: Console, result: ImportResult) -> None:
    """Print the outcome."""
    say(console, "note", result.notices, "yellow")
    _print_table(console, result)
    for table in result.tables:
        _explain(console, table)
    print_left(console, result.inventory)
    print_open(console, result.inventory)
    say(console, "missing", (line.sentence for line in result.missing), "red")
    if result.returned:
        console.print(
            f"{counted(result.returned, 'row')} came back from quarantine: the parent is here."
        )
    for deletion in result.deletions:
        what = "deleted" if deletion.deleted else "would delete" if result.dry_run else "kept"
        say(console, what, in_one_line(deletion.sentence()), "red")
    for sentence in result.refused:
        console.print(marked("red", in_one_line(sentence)), soft_wrap=True)
    console.print(_verdict(result), soft_wrap=True)


def _print_table(console: Console, result: ImportResult) -> None:
    title = "What an import would do" if result.dry_run else f"Import, run {result.run_id}"
    figures = ("legacy", "loaded", "repaired", "quarant.", "new", "changed")
    rows = [
        (
            table_label(TableId(row.file, row.table)),
            row.outcome.legacy_rows,
            row.outcome.loaded + row.outcome.quarantined - result.set_aside(row),
            row.outcome.repaired,
            result.set_aside(row),
            row.outcome.inserted,
            row.outcome.updated,
        )
        for row in result.tables
    ]
    print_rows(console, title, ("legacy table",), figures, rows)


def _explain(console: Console, table: TableResult) -> None:
    outcome = table.outcome
    if outcome.reasons:
        found = sorted(outcome.reasons.items())
        reasons = ", ".join(f"{n} {reason} ({in_words(reason)})" for reason, n in found)
        say(console, "quarantined", f"in {table.table}: {reasons}", "red")
    if outcome.conflict_count:
        keys = _listed(outcome.conflicts)
        say(
            console,
            "left alone",
            f"in {table.target}: {counted(outcome.conflict_count, 'row')} that somebody else wrote "
            f"in PostgreSQL ({keys}) and that differ from the file; --overwrite takes the file's "
            "values, with --prune it also deletes those that the file does not have",
            "red",
        )
    if outcome.vanished_count and not outcome.pruned:
        keys = _listed(outcome.vanished)
        say(
            console,
            "vanished",
            f"from {table.table}: {counted(outcome.vanished_count, 'row')} that the target still "
            f"holds ({keys}); --prune deletes them",
            "yellow",
        )


def _listed(keys: list[str]) -> str:
    return ", ".join(map(in_one_line, keys))


def _verdict(result: ImportResult) -> str | Text:
    rows = sum(table.outcome.legacy_rows for table in result.tables)
    aside = sum(result.set_aside(table) for table in result.tables)
    if not result.conserved:
        return marked("red", _missing(result))
    are = "would be" if result.dry_run else "is" if rows == 1 else "are"
    whole = "The only legacy row" if rows == 1 else f"All {rows:,} legacy rows"
    text = f"{whole} {are} accounted for in {result.seconds:.1f} s"
    if not rows:
        text = "There is no legacy row to load"
    if rows and result.seconds >= 1:
        text += f" ({rows / result.seconds:,.0f} rows/s)"
    if aside:
        text += f"; {aside:,} of them in quarantine: see `manage.py quarantine list`"
    if result.undecided:
        names = ", ".join(f"{line.file}.{line.name}" for line in result.undecided)
        undecided = marked("red", f"Not carried, and nobody has decided about it: {names}.")
        return marked("", f"{text}. ") + undecided
    return text + ("." if result.dry_run else ". Next: `manage.py verify_migration`.")


def _missing(result: ImportResult) -> str:
    """Which table does not add up, and by how much."""
    table = next(table for table in result.tables if not table.conserved)
    outcome = table.outcome
    rows = outcome.legacy_rows if table.counted is None else table.counted
    sums = f"{outcome.loaded:,} loaded + {outcome.repaired:,} repaired"
    return (
        f"Rows are missing: a full scan of {table.table} counts {counted(rows, 'row')}, not "
        f"{sums} + {outcome.quarantined:,} quarantined. The file is damaged: "
        "`manage.py backup_sqlite` tells what can be read."
    )
