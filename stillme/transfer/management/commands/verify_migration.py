"""manage.py verify_migration: prove that the target holds what the legacy files hold."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.management.base import TransferCommand, given_path
from stillme.transfer.plumbing.private_file import check_writable
from stillme.transfer.records import ledger
from stillme.transfer.reports.proof_files import (
    render_manifest,
    write_files,
)
from stillme.transfer.reports.terminal.proof import VerifyProgress, render_verify
from stillme.transfer.steps.follow import settle_by_replay
from stillme.transfer.verify.manifest import check_manifest
from stillme.transfer.verify.verification import VerifyOptions, verify


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Compare the legacy files with PostgreSQL, cell by cell, by a road of its own. "
        "Exit status: 0 proven, 1 findings or undecided rows, 2 could not run."
    )
    examples = (
        "manage.py verify_migration",
        "manage.py verify_migration --table rss_fetch_items --format json",
        "manage.py verify_migration --level counts",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        self.add_selection(parser)
        parser.add_argument(
            "--level",
            choices=("counts", "sample", "full"),
            default="full",
            help="counts: rows only; sample: some key ranges in full; full: every cell (default).",
        )
        parser.add_argument(
            "--sample",
            type=int,
            default=0,
            metavar="N",
            help="Level sample: compare about N rows of each table (default 3000).",
        )
        parser.add_argument(
            "--jobs", type=int, default=0, metavar="N", help="Worker processes (default: per core)."
        )
        parser.add_argument(
            "--max-findings", type=int, default=20, metavar="N", help="Print at most N findings."
        )
        parser.add_argument(
            "--round-trip",
            action="store_true",
            help="Also rebuild the legacy files from PostgreSQL and compare them byte by byte.",
        )
        parser.add_argument(
            "--html", type=given_path, metavar="FILE", help="Also write an HTML page."
        )
        parser.add_argument(
            "--manifest",
            type=given_path,
            metavar="FILE",
            help="Also write SHA-256 of inputs and results.",
        )
        parser.add_argument(
            "--check-manifest",
            type=given_path,
            metavar="FILE",
            help="Verify nothing: tell whether the legacy files are still those of this manifest.",
        )
        self.add_format(parser)

    def run(self, options: dict[str, Any]) -> int:
        """The verdict's exit status."""
        if options["check_manifest"]:
            check = check_manifest(options["check_manifest"])
            render_manifest(self.console, check, options["format"])
            return check.exit_status
        for name in ("html", "manifest"):
            if options[name] is not None:
                check_writable(options[name])
        if options["sample"] < 0:
            raise TransferError(f"--sample must be 1 or more, not {options['sample']}.")
        level = "sample" if options["sample"] else options["level"]
        wanted = VerifyOptions(
            selection=Selection(tuple(options["file"] or ()), tuple(options["table"] or ())),
            level=level,
            sample=options["sample"] or 3000,
            jobs=max(0, options["jobs"]),
            round_trip=options["round_trip"],
        )
        ledger.close_dead_writers("default")
        with VerifyProgress(self.console, quiet=options["format"] == "json") as progress:
            result = verify(wanted, progress.on_event, settle_by_replay("default"))
        render_verify(self.console, result, options["format"], max(0, options["max_findings"]))
        write_files(result, options["html"], options["manifest"])
        return result.exit_status
