"""The quarantine on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from stillme.transfer.identity import TableId
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import show_cell, unpack_anything
from stillme.transfer.quarantine.decisions import Retried
from stillme.transfer.registry import table_label
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import marked, print_rows, say
from stillme.visible import counted, in_one_line

_WHAT_TO_DO = """
Decide about what is open, row by row (ID) or for all of a --reason or --table:
  see every cell of it   manage.py quarantine show ID
  put a value right      manage.py quarantine edit ID --column NAME --value TEXT
  load it now            manage.py quarantine retry ID
  leave it out           manage.py quarantine accept --reason NAME --note "why\""""


def _label(file: str, table: str) -> str:
    return table_label(TableId(file, table))


def as_dict(row: QuarantinedRow) -> dict[str, Any]:
    """Plain data of one row, its cells with storage class and bytes."""
    return {
        "id": row.pk,
        "file": row.file,
        "table": row.table,
        "key": row.key,
        "reason": row.reason,
        "column": row.column,
        "sentence": row.sentence,
        "status": row.status,
        "cells": row.cells,
        "repairs": row.repairs,
        "note": row.note,
        "decided_by": row.decided_by,
    }


@or_json(
    lambda rows, total, summary: {
        "total": total,
        "summary": summary,
        "rows": list(map(as_dict, rows)),
    }
)
def render_list(
    console: Console,
    rows: Sequence[QuarantinedRow],
    total: int,
    summary: Sequence[dict[str, Any]],
) -> None:
    """Counts by reason, then the rows."""
    if not summary:
        console.print("Nothing is in quarantine.")
        return
    counts = [
        (_label(line["file"], line["table"]), line["reason"], line["status"], line["rows"])
        for line in summary
    ]
    print_rows(console, "Quarantine", ("table", "reason", "status"), ("rows",), counts)
    for row in rows:
        key = in_one_line(row.key) if row.key is not None else "(no key)"
        where = f"{_label(row.file, row.table)} {key}"
        head = marked("bold", str(row.pk), f" {where} ")
        told = marked("red", row.reason, f" {row.column}: {row.sentence}")
        console.print(head + told, soft_wrap=True)
    if total > len(rows):
        console.print(f"... and {total - len(rows)} more: --limit shows them.")
    if any(line["status"] == QuarantinedRow.Status.OPEN for line in summary):
        console.print(_WHAT_TO_DO)


def _one_or_all(rows: Sequence[QuarantinedRow]) -> Any:
    """An object for one row, else a list of them."""
    found = [as_dict(row) for row in rows]
    return found[0] if len(found) == 1 else found


@or_json(_one_or_all)
def render_rows(console: Console, rows: Sequence[QuarantinedRow]) -> None:
    """Rows cell by cell."""
    for row in rows:
        _render_row(console, row)


def _render_row(console: Console, row: QuarantinedRow) -> None:
    where = f"{_label(row.file, row.table)} {in_one_line(str(row.key))}"
    console.print(marked("bold", str(row.pk), f" {where}: {row.sentence}"))
    cells: list[tuple[Text | str, ...]] = []
    for name, packed in row.cells.items():
        storage, raw = unpack_anything(packed)
        edited = show_cell(*unpack_anything(row.repairs[name])) if name in row.repairs else ""
        column = marked("red" if name == row.column else "", name)
        cells.append((column, storage, show_cell(storage, raw), edited))
    print_rows(console, "", ("column", "stored as", "value", "edited to"), (), cells)
    if row.note:
        console.print(f"{row.status} by {row.decided_by}: {row.note}")


@or_json(lambda result: {"loaded": result.loaded, "still": result.still})
def render_retry(console: Console, result: Retried) -> None:
    """What a retry came to."""
    console.print(f"{counted(len(result.loaded), 'row')} loaded.")
    say(console, "still set aside", (f"{pk}: {why}" for pk, why in result.still), "red")


@or_json(lambda rows, column: _one_or_all(rows))
def render_edits(console: Console, rows: Sequence[QuarantinedRow], column: str) -> None:
    """That a cell of each row was edited, and what comes next."""
    for row in rows:
        console.print(
            f"row {row.pk}: {column} edited; next: manage.py quarantine retry {row.pk}",
            soft_wrap=True,
        )


@or_json(lambda done, edited: {"accepted": done, "edited": edited})
def render_accept(console: Console, done: int, edited: Sequence[int]) -> None:
    """How many rows were accepted; `edited` are those that were left out."""
    console.print(f"{counted(done, 'row')} accepted: they stay out of the target, explained.")
    if edited:
        shown = " ".join(map(str, edited[:5])) + (" ..." if len(edited) > 5 else "")
        say(
            console,
            "left open",
            f"{counted(len(edited), 'row')} edited and not retried: manage.py quarantine retry "
            f"{shown}, or accept by number",
            "yellow",
        )
