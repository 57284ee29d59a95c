"""The proof on a terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console

from stillme.transfer.reports.advice import advice, states_of
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.inventory import print_left
from stillme.transfer.reports.terminal.tables import marked, print_rows, say
from stillme.transfer.verify.result import TableProof, VerifyResult
from stillme.visible import counted


@or_json(lambda result, most: as_dict(result))
def render_verify(console: Console, result: VerifyResult, most: int) -> None:
    """Print what was compared, every finding up to `most`, and the verdict."""
    say(console, "note", result.notices, "yellow")
    print_left(console, result.inventory)
    _print_table(console, result)
    _print_figures(console, result)
    findings = result.findings
    for finding in findings.kept[:most]:
        console.print(marked("red", finding.sentence()), soft_wrap=True)
    if findings.total > most:
        console.print(f"... and {findings.total - most:,} more: --max-findings, --format json.")
    helpful = advice(result.findings.counts, states_of(result.files))
    say(console, "what helps", (f"{kinds}: {sentence}" for kinds, sentence in helpful), "yellow")
    if result.open_rows:
        say(
            console,
            "undecided",
            f"{counted(result.open_rows, 'row')} in quarantine: `manage.py quarantine list` "
            "shows them; repair, retry or accept them.",
            "yellow",
        )
        for line in result.quarantine:
            if line["status"] == "open":
                reason = f"  {line['table']}: {line['reason']} {line['rows']:,}"
                console.print(reason, soft_wrap=True)
    colour = "green" if result.exit_status == 0 else "red"
    verdict = marked(colour, result.verdict, f" ({result.seconds:.1f} s)")
    console.print(verdict, soft_wrap=True)


def _print_figures(console: Console, result: VerifyResult) -> None:
    if cells := sum(proof.cells for proof in result.tables):
        console.print(f"{counted(cells, 'cell')} compared.")
    if mended := sum(proof.mended for proof in result.tables):
        console.print(f"{counted(mended, 'row')} in the target: edited by hand, then loaded.")
    for proof in result.tables:
        if proof.written:
            console.print(
                f"{proof.target}: {counted(proof.written, 'row')} written in PostgreSQL since the "
                "cut-over, not compared."
            )
        if proof.round_trip is not None:
            say(console, "round trip", [f"{proof.target}: {proof.round_trip.words}"])


def _print_table(console: Console, result: VerifyResult) -> None:
    figures = ("legacy", "target", "repaired", "open", "accepted", "findings")
    rows = [
        (
            proof.target,
            proof.legacy_rows,
            proof.target_rows,
            proof.repaired,
            proof.open,
            proof.accepted,
            proof.findings.total,
        )
        for proof in result.tables
    ]
    title = f"Verification, level {result.level}"
    print_rows(console, title, ("target table",), figures, rows)


def as_dict(result: VerifyResult) -> dict[str, Any]:
    """Plain data for JSON."""
    findings = result.findings
    return {
        "run": result.run_id,
        "level": result.level,
        "verdict": result.verdict,
        "exit_status": result.exit_status,
        "seconds": round(result.seconds, 3),
        "confidence": result.confidence,
        "started_at": result.started_at,
        "finished_at": result.finished_at,
        "database": result.cluster,
        "versions": result.versions,
        "files": result.files,
        "notices": result.notices,
        "undecided": result.open_rows,
        "quarantine": result.quarantine,
        "inventory": [asdict(line) for line in result.inventory],
        "findings_by_kind": {kind.value: rows for kind, rows in findings.counts.items()},
        "findings": [asdict(finding) for finding in findings.kept],
        "tables": [_table_dict(proof) for proof in result.tables],
    }


_RANGE = ("after", "upto", "rows", "digest")


def _table_dict(proof: TableProof) -> dict[str, Any]:
    return {
        "file": proof.file,
        "table": proof.table,
        "target": proof.target,
        "legacy_rows": proof.legacy_rows,
        "target_rows": proof.target_rows,
        "rows_by_digest": proof.by_digest,
        "rows_by_cell": proof.by_cell,
        "cells": proof.cells,
        "repaired": proof.repaired,
        "undecided": proof.open,
        "accepted": proof.accepted,
        "mended": proof.mended,
        "written_since": proof.written,
        "findings": proof.findings.total,
        "digest": proof.digest,
        "ranges": [{name: found[name] for name in _RANGE} for found in proof.ranges],
        "round_trip": None if proof.round_trip is None else asdict(proof.round_trip),
        "seconds": round(proof.seconds, 3),
    }
