"""manage.py verify_migration: prove that the target holds what the legacy files hold."""

from __future__ import annotations

from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FORMAT, SELECTION, given_path, option
from stillme.transfer.plumbing.private_file import check_writable
from stillme.transfer.records import ledger
from stillme.transfer.reports.proof_files import keep_report, render_manifest, write_files
from stillme.transfer.reports.terminal.progress import RunProgress
from stillme.transfer.reports.terminal.proof import render_verify
from stillme.transfer.steps.follow import settle_by_replay
from stillme.transfer.verify.manifest import check_manifest
from stillme.transfer.verify.verification import VerifyOptions, verify


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Compare the legacy files with PostgreSQL, cell by cell, by code of its own. "
        "Exit status: 0 proven, 1 findings or undecided rows, 2 could not run."
    )
    examples = (
        "manage.py verify_migration",
        "manage.py verify_migration --table rss_fetch_items --format json",
        "manage.py verify_migration --level counts",
    )

    options = (
        *SELECTION,
        option(
            "--level",
            choices=("counts", "sample", "full"),
            default="full",
            help="counts: rows only; sample: some key ranges in full; full: every cell (default).",
        ),
        option(
            "--sample",
            type=int,
            default=0,
            metavar="N",
            help="Level sample: compare about N rows of each table (default 3000).",
        ),
        option(
            "--jobs", type=int, default=0, metavar="N", help="Worker processes (default: per core)."
        ),
        option(
            "--max-findings", type=int, default=20, metavar="N", help="Print at most N findings."
        ),
        option(
            "--round-trip",
            help="Also rebuild the legacy files from PostgreSQL and compare them byte by byte.",
        ),
        option("--html", type=given_path, metavar="FILE", help="Also write an HTML page."),
        option(
            "--manifest",
            type=given_path,
            metavar="FILE",
            help="Also write SHA-256 of inputs and results.",
        ),
        option(
            "--check-manifest",
            type=given_path,
            metavar="FILE",
            help="Verify nothing: tell whether the legacy files are still those of this manifest.",
        ),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """The verdict's exit status."""
        if options["check_manifest"]:
            check = check_manifest(options["check_manifest"])
            render_manifest(self.console, self.form, check)
            return check.exit_status
        for name in ("html", "manifest"):
            if options[name] is not None:
                check_writable(options[name])
        if options["sample"] < 0:
            raise TransferError(f"--sample must be 1 or more, not {options['sample']}.")
        level = "sample" if options["sample"] else options["level"]
        wanted = VerifyOptions(
            selection=self.selection(options),
            level=level,
            sample=options["sample"] or 3000,
            jobs=max(0, options["jobs"]),
            round_trip=options["round_trip"],
        )
        ledger.close_dead_writers("default")
        with RunProgress(self.console, quiet=self.quiet) as progress:
            result = verify(wanted, progress.on_event, settle_by_replay("default"))
        render_verify(self.console, self.form, result, max(0, options["max_findings"]))
        keep_report("default", result)
        write_files(result, options["html"], options["manifest"])
        return result.exit_status
