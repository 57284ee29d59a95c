"""The inspection as Markdown: one section per file, one table per legacy table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stillme.transfer.reports.terminal.inspection import (
    bounds,
    clock_sentence,
    details,
    facts,
    storage,
    summary_rows,
    verdict,
)
from stillme.transfer.steps.inspect_result import FileInspection, Inspection, TableInspection


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars and line ends in cells are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def inspection_markdown(result: Inspection) -> str:
    """The whole document."""
    parts = ["# Inspection of the legacy files", verdict(result)]
    parts += [f"**To decide:** {question}" for question in result.open_questions]
    parts.append(_summary(result))
    for file in result.files:
        parts += _file(file)
    if result.others:
        parts.append("## Other SQLite files next to them")
        rows = [(other.name, f"{other.size:,}", other.what) for other in result.others]
        parts.append(markdown_table(("file", "bytes", "what"), rows))
    return "\n\n".join(parts) + "\n"


def _summary(result: Inspection) -> str:
    targets = [table.target for table in result.tables]
    targets += [table.target for table in result.stores]
    rows = [
        (f"`{name}`", f"`{target}`", *(f"{n:,}" for n in counts))
        for target, (name, *counts) in zip(targets, summary_rows(result), strict=True)
    ]
    head = ("legacy table", "target", "rows", "clean", "repaired", "quarantined")
    return markdown_table(head, rows)


def _file(file: FileInspection) -> Iterator[str]:
    yield f"## {file.file}"
    yield facts(file)
    if file.clock is not None:
        yield clock_sentence(file)
    if file.drift:
        yield "\n".join(f"- {drift.sentence()}" for drift in file.drift)
    for table in file.tables:
        yield from _table(table)


def _table(table: TableInspection) -> Iterator[str]:
    prediction = table.prediction
    yield f"### {table.table}"
    rows = [(f"`{c.name}`", storage(c), bounds(c), details(c)) for c in prediction.columns]
    yield markdown_table(("column", "stored", "from / to", "what"), rows)
    if prediction.repairs:
        cells = [
            (f"`{c}`", reason, f"{n:,}") for (c, reason), n in sorted(prediction.repairs.items())
        ]
        yield markdown_table(("column", "original kept because", "cells"), cells)
    if prediction.reasons:
        aside = [
            (reason, f"{n:,}", "; ".join(_examples(table, reason)))
            for reason, n in sorted(prediction.reasons.items())
        ]
        yield markdown_table(("quarantined because", "rows", "examples"), aside)


def _examples(table: TableInspection, reason: str) -> list[str]:
    return [
        f"row {e.key}: {e.column}" if e.column else f"row {e.key}"
        for e in table.prediction.examples
        if e.reason == reason
    ]
