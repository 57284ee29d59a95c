"""manage.py cutover: switch the application from the legacy files to PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from stillme.transfer.errors import TransferError
from stillme.transfer.management.base import TransferCommand, given_path
from stillme.transfer.reports.json_text import print_json
from stillme.transfer.reports.terminal.switching import render_cutover, render_list, render_sealed
from stillme.transfer.reports.terminal.syncing import SyncProgress
from stillme.transfer.steps.cutover import (
    CutoverOptions,
    check_cutover,
    cut_over,
    finish_interrupted,
)
from stillme.transfer.steps.readiness.accounted_lines import YELLOW
from stillme.transfer.steps.readiness.go_no_go import OVERRIDES, is_go
from stillme.transfer.steps.switching.limit import check_limit
from stillme.transfer.verify.tables.live_rows import TailJudge


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Freeze the legacy files, drain, verify the tail, install reverse capture, switch. "
        "Any failure before the switch unfreezes the files and leaves everything as it was."
    )
    examples = (
        "manage.py cutover --dry-run       # the go/no-go list; changes nothing",
        "manage.py cutover --backup DIR    # the real thing",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument("--dry-run", action="store_true", help="Only the go/no-go list.")
        parser.add_argument(
            "--freeze-limit",
            type=float,
            default=10.0,
            metavar="SECONDS",
            help="Give up, unharmed, where writers would be locked out for longer (default 10).",
        )
        parser.add_argument(
            "--backup", type=given_path, metavar="DIR", help="A folder of backup_sqlite."
        )
        for name in OVERRIDES:
            parser.add_argument(
                f"--despite-{name}",
                metavar="REASON",
                help=f"Cut over although the line '{name}' is red; the reason is recorded.",
            )
        self.add_format(parser)

    def run(self, options: dict[str, Any]) -> int:
        """0 switched (or go), 1 no-go."""
        check_limit(options["freeze_limit"])
        progress = SyncProgress(self.console, quiet=options["format"] == "json")
        given = {name: options[f"despite_{name}"] for name in OVERRIDES}
        if any(reason is not None and not reason.strip() for reason in given.values()):
            raise TransferError("--despite-... wants the reason why the risk is taken.")
        wanted = CutoverOptions(
            freeze_limit=options["freeze_limit"],
            backup=options["backup"],
            overrides={name: reason for name, reason in given.items() if reason},
        )
        if options["dry_run"]:
            lines = check_cutover(wanted, progress.on_event)
            render_list(self.console, lines, options["format"])
            return 0 if is_go(lines) else 1
        if sealed := finish_interrupted("default"):
            if options["format"] == "json":
                print_json(self.console, {"files": sealed.files, "not_sealed": sealed.unsealed})
            else:
                render_sealed(self.console, sealed)
            return 0
        result = cut_over(wanted, TailJudge("default"), progress.on_event)
        if options["format"] == "json":
            print_json(
                self.console,
                {
                    "frozen_seconds": result.frozen_seconds,
                    "steps": result.steps,
                    "files": result.files,
                    "not_switched": result.unswitched,
                    "not_sealed": result.unsealed,
                    "drained": result.drained,
                    "verified": result.verified,
                    "risks": [
                        f"{line.subject}: {line.finding}"
                        for line in result.lines
                        if line.override and line.colour == YELLOW
                    ],
                },
            )
        else:
            render_cutover(self.console, result)
        return 0
