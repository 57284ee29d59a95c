"""The files that a verification leaves where asked: HTML page and manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from stillme.transfer.errors import TransferError
from stillme.transfer.plumbing.private_file import write_private
from stillme.transfer.reports.json_text import json_text, print_json
from stillme.transfer.reports.proof_page import html_page
from stillme.transfer.reports.terminal.proof import as_dict
from stillme.transfer.verify.manifest import ManifestCheck, make_manifest
from stillme.transfer.verify.result import VerifyResult


def write_files(result: VerifyResult, html: Path | None, manifest: Path | None) -> None:
    """Write what was asked for. Raises TransferError where that fails."""
    report = as_dict(result)
    texts: list[tuple[Path, str]] = []
    if html is not None:
        texts.append((html, html_page(report)))
    if manifest is not None:
        texts.append((manifest, json_text(make_manifest(report))))
    for path, text in texts:
        try:
            write_private(path, text)
        except OSError as error:
            raise TransferError(f"{path} cannot be written: {error.strerror}.") from error


def render_manifest(console: Console, check: ManifestCheck, form: str) -> None:
    """What a later look at a manifest found."""
    if form == "json":
        status = {"exit_status": check.exit_status}
        print_json(console, {**asdict(check), **status})
        return
    for line in check.same:
        console.print(f"[green]same[/] {escape(line)}", soft_wrap=True)
    for line in check.differences:
        console.print(f"[red]differs[/] {escape(line)}", soft_wrap=True)
    console.print(f"The verdict then: {escape(check.verdict)}", soft_wrap=True)
    if check.status_then:
        console.print("[red]It was not proven then[/]: this manifest proves nothing.")
